package import DatastoreCore
import DatastoreImport
import DatastoreStorage
package import Foundation
import Logging
import VectorIndex

/// How versions are searched: plans, and the questions that recall is measured with.
extension CapstanEngine {
    /// What makes the indexes of a version, with the job's progress.
    func indexBuild(_ job: JobQueue.Job, plan: IndexPlan, recallGate: Double) -> IndexBuild {
        var phase: JobPhase?
        var pace = Pace()
        return IndexBuild(plan: plan, gate: recallGate) { [self] spec in
            try recallQuestions(spec, of: job.datastore)
        } progress: { [self] next, rows, fraction in
            try checkpoint(job.id)
            if phase != next {
                phase = next
                pace = Pace()
                try catalog.start(job: job.id, phase: next, at: Date())
            }
            if let progress = pace.progress(rows: rows, fraction: fraction) {
                try catalog.update(job: job.id, progress: progress)
            }
        }
    }

    // MARK: Questions

    /// What the owner gave, else what was asked; nil where there is too little of both.
    private func recallQuestions(_ spec: KeySpec, of datastore: String) throws -> RecallQuestions? {
        if let given = try questions(spec, of: datastore, .given) { return given }
        try recorded.save(to: directory)
        do {
            guard let asked = try questions(spec, of: datastore, .recorded), asked.count >= Self.fewestRecorded else {
                return nil
            }
            return asked
        } catch {
            // A sample is no reason to have no version.
            logger.warning(
                "recorded questions could not be read, and are gone",
                metadata: ["datastore": "\(datastore)", "key": "\(spec.name)", "error": "\(error)"])
            recorded.forget(datastore: datastore)
            try DurableFiles.remove(directory.questions(ofKey: spec.name, datastore: datastore, .recorded))
            return nil
        }
    }

    /// Fewer recorded questions say little: one that misses would be two hundredths.
    private static let fewestRecorded = 50

    private func questions(
        _ spec: KeySpec, of datastore: String, _ source: RecallReport.Source
    ) throws -> RecallQuestions? {
        let file = directory.questions(ofKey: spec.name, datastore: datastore, source)
        guard FileManager.default.fileExists(atPath: file.path) else { return nil }
        let vectors = try Self.readQuestions(file, spec)
        // Spread over all that are there.
        let count = min(vectors.count, RecallQuestions.maximum)
        return RecallQuestions((0..<count).map { vectors[$0 * vectors.count / count] }, source: source)
    }

    /// Takes the questions that recall is measured with from now on.
    ///
    /// - Parameter file: a NumPy file, one vector a row.
    /// - Throws: `unknown_datastore`, `unknown_key`, `vector_dim_mismatch`, `vector_not_finite`, `vector_zero`, and what a
    ///   NumPy file can be.
    package func setQuestions(_ file: URL, ofKey key: String, of datastore: String) async throws -> Int {
        try await control { [self] in
            let spec = try denseKey(key, of: catalog.datastore(datastore))
            let count = try Self.readQuestions(file, spec).count
            _ = try pendingChanges(datastore)
            let place = directory.questions(ofKey: spec.name, datastore: datastore, .given)
            try DurableFiles.replace(place, with: file)
            return count
        }
    }

    /// Forgets them: recall is measured with recorded questions or entries again.
    ///
    /// - Throws: `unknown_datastore`, `unknown_key`.
    package func removeQuestions(ofKey key: String, of datastore: String) async throws {
        try await control { [self] in
            let spec = try denseKey(key, of: catalog.datastore(datastore))
            try DurableFiles.remove(directory.questions(ofKey: spec.name, datastore: datastore, .given))
        }
    }

    private func denseKey(_ name: String, of datastore: DatastoreRecord) throws -> KeySpec {
        guard let key = datastore.keys.first(where: { $0.name == name }), key.kind == .dense else {
            throw DatastoreError.field(
                .unknownKey, "key", "datastore \"\(datastore.name)\" has no dense key \"\(name.prefix(80))\"")
        }
        return key
    }

    private static func readQuestions(_ file: URL, _ spec: KeySpec) throws -> [[Float]] {
        let reader = try NumpyReader(path: file.path)
        guard reader.dim == spec.dim else {
            throw DatastoreError(
                .vectorDimMismatch, "\(reader.name): got vectors of \(reader.dim), expected \(spec.dim)")
        }
        var vectors: [[Float]] = []
        while vectors.count < maximumQuestions, let vector = try reader.next() {
            try QueryVectors(values: vector, count: 1, field: "row \(vectors.count)")
                .validate(dim: spec.dim, metric: spec.metric)
            vectors.append(vector)
        }
        guard !vectors.isEmpty else {
            throw DatastoreError(.noVectors, "\(reader.name): got no vector, expected 1 or more")
        }
        return vectors
    }

    /// More are not looked at.
    private static let maximumQuestions = 10_000

    // MARK: Plans

    /// What each plan takes, and which one a build would use now.
    ///
    /// - Parameters:
    ///   - key: nil is the first dense one.
    ///   - rows: nil is what the datastore has, pending changes among them.
    ///   - plan: nil is the datastore's.
    /// - Throws: `unknown_datastore`, `unknown_key`, `invalid_value`, `version_damaged`.
    package func plan(
        of datastore: String, key: String?, rows: Int?, plan: IndexPlan?
    ) async throws -> PlanAnswer {
        try Self.validate(plan, nil)
        if let rows, !(1...Self.maximumPlannedRows).contains(rows) {
            throw DatastoreError.field(
                .invalidValue, "rows", "got \(rows), expected 1 to \(Self.maximumPlannedRows)")
        }
        return try await control { [self] in
            let record = try catalog.datastore(datastore)
            guard let name = key ?? record.keys.first(where: { $0.kind == .dense })?.name else {
                throw DatastoreError.field(.unknownKey, "key", "datastore \"\(datastore)\" has no dense key")
            }
            let spec = try denseKey(name, of: record)
            let latest = try catalog.latestVersion(of: datastore)
            let count = try rows ?? ((latest?.entries ?? 0) + waitingChanges(datastore, latest))
            let open = try latest.map { try self.open($0.id) }
            let planner: IndexPlanner
            let basis: String
            if let open, let key = open.key(name)?.dense, key.count > 0 {
                planner = IndexPlanner(key, rows: count)
                basis =
                    "exact searches of \(open.id), measured now with \(VectorIndex.instructions); "
                    + "indexes computed for FAISS \(VectorIndex.faissVersion)"
            } else {
                planner = IndexPlanner(rows: count, dim: spec.dim)
                basis =
                    "\(Int(IndexPlanner.assumedBytesPerSecond / 1e9)) GB/s of memory, assumed: there is "
                    + "no version to measure with"
            }
            let wanted = plan ?? record.plan
            var choice = (plan: wanted, reason: "asked for")
            if wanted.method == .auto { choice = planner.choices(for: wanted)[0] }
            if count < choice.plan.minimumRows {
                choice = (
                    .exact,
                    "\(choice.plan.method.rawValue) needs \(choice.plan.minimumRows) entries, and there are \(count)"
                )
            }
            return PlanAnswer(
                datastore: datastore, key: name, rows: count, dim: spec.dim, plan: wanted,
                chosen: choice.plan.filled(rows: count, dim: spec.dim), reason: choice.reason, gate: record.recallGate,
                basis: basis, estimates: planner.estimates(for: wanted))
        }
    }

    private static let maximumPlannedRows = 1_000_000_000
}
