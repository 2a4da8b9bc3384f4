package import DatastoreCore
package import DatastoreStorage
import Foundation
import Logging
import Synchronization
import VectorIndex

/// A second look at a version that is published: what is on disk, not what was read of it before.
extension CapstanEngine {
    /// Queues the verification of a version. It runs beside other jobs of the datastore.
    ///
    /// - Throws: `unknown_datastore`, `unknown_version`, `version_removed`.
    package func submitVerification(of id: VersionID, by: String? = nil) async throws -> JobInfo {
        try await control { [self] in
            _ = try catalog.datastore(id.datastore)
            _ = try catalog.version(id)
            return try submit(
                Self.newJobID(), id.datastore, .verify(version: id.number), Submission(by: by)
            ) {
                // Not between the removal of a version and of its files.
                _ = try catalog.version(id)
            }
        }
    }

    /// Compares all files with their checksums, vectors with texts, and a sample of vectors with what the index finds.
    ///
    /// A version that differs is marked damaged, and served no more; one that was marked and is right again is served.
    ///
    /// - Throws: `version_damaged`.
    func performVerification(_ job: JobQueue.Job, version number: Int) throws {
        let id = VersionID(datastore: job.datastore, number: number)
        let record = try catalog.version(id)
        try catalog.start(job: job.id, phase: .verifying, at: Date())
        do {
            let report = try verify(id, record, job)
            try catalog.update(job: job.id, report: report)
        } catch let error as DatastoreError where error.code == .versionDamaged {
            try withdraw(id, error)
            throw error
        }
        if record.state == .damaged {
            try catalog.markReady(id)
            logger.notice("a version was damaged and is right again", metadata: ["version": "\(id)"])
            reopenDomains(of: id)
        }
        try catalog.finish(job: job.id, state: .succeeded, error: nil, at: Date())
    }

    private func verify(_ id: VersionID, _ record: VersionRecord, _ job: JobQueue.Job) throws -> VerifyReport {
        var report = VerifyReport()
        let folder = try VersionFolder(
            verifying: directory.version(id), id: id, manifestSHA256: record.manifestSHA256
        ) { [self] in try checkpoint(job.id) }
        report.files = folder.manifest.files.count
        report.bytes = folder.manifest.files.reduce(0) { $0 + $1.bytes }
        try catalog.update(job: job.id, report: report)
        let version = try OpenVersion(folder)
        guard version.count == record.entries else {
            throw DatastoreError(
                .versionDamaged, "\(id): it has \(version.count) entries, the catalog says \(record.entries)")
        }
        remember(folder)
        report.entries = version.count
        for key in version.keys {
            do {
                try key.dense?.checkCodes { [self] in try checkpoint(job.id) }
            } catch let error as DatastoreError where error.code == .versionDamaged {
                throw DatastoreError(.versionDamaged, "\(id), key \(key.spec.name): \(error.detail)")
            }
        }
        let rows = Self.sample(of: version.count)
        var pace = Pace()
        for (number, row) in rows.enumerated() {
            try checkpoint(job.id)
            for (position, key) in version.keys.enumerated() {
                let isExact = folder.manifest.keys[position].plan.method == .exact
                let look = try Self.look(at: row, of: key) { [self] in try checkpoint(job.id) }
                guard let look else { continue }
                report.sampled += 1
                report.foundThemselves += look.foundItself ? 1 : 0
                report.agreed += look.agrees ? 1 : 0
                // An approximate index may miss some; its recall was measured when it was built.
                if isExact, !look.agrees {
                    throw DatastoreError(
                        .versionDamaged,
                        "\(id): the index of key \(key.spec.name) does not find what is nearest to entry \(version.ids[row])"
                    )
                }
            }
            if let progress = pace.progress(rows: number + 1, fraction: Double(number + 1) / Double(rows.count)) {
                try catalog.update(job: job.id, progress: progress)
            }
        }
        try catalog.update(job: job.id, report: report)
        return report
    }

    private static let samples = 20
    private static let neighbours = 10

    /// Rows spread evenly over a version.
    private static func sample(of count: Int) -> [Int] {
        (0..<min(samples, count)).map { $0 * count / min(samples, count) }
    }

    /// Searches for a row's own vector, through the index and by a look at every row.
    ///
    /// - Returns: nil for a vector that nothing is near to: a sparse one without weights.
    private static func look(
        at row: Int, of key: OpenKey, checkpoint: () throws -> Void
    ) throws -> (foundItself: Bool, agrees: Bool)? {
        let found: [KeyIndex.Hit]
        let nearest: [Int]
        let own: Float
        switch key.index {
        case .dense(let index):
            let query = KeyQuery(index.vectors.vector(row: row)[...], metric: index.metric)
            found = try index.search(query, limit: neighbours)
            var best: [(row: Int, score: Float)] = []
            for other in 0..<index.count {
                if other % 65536 == 0 { try checkpoint() }
                let score = index.score(query, row: other)
                if best.count == neighbours, let last = best.last, score <= last.score { continue }
                best.insert((other, score), at: best.firstIndex { $0.score < score } ?? best.count)
                if best.count > neighbours { best.removeLast() }
            }
            nearest = best.map(\.row)
            own = index.score(query, row: row)
        case .sparse(let index):
            let vector = index.vectors.vector(row: row)
            found = index.search(vector, limit: neighbours)
            nearest = index.scan(vector, limit: neighbours).map(\.row)
            own = index.score(vector, row: row)
        }
        guard !found.isEmpty || !nearest.isEmpty else { return nil }
        let foundItself = found.contains { $0.row == row } || (found.last.map { $0.score >= own } ?? false)
        return (foundItself, found.map(\.row) == nearest)
    }

    /// Serves a damaged version no more.
    func withdraw(_ id: VersionID, _ error: DatastoreError) throws {
        try catalog.markDamaged(id, detail: error.detail)
        logger.error("a version is damaged", metadata: ["version": "\(id)", "detail": "\(error.detail)"])
        verified.withLock { _ = $0.removeValue(forKey: id) }
        _ = cache.release(id)
        reopenDomains(of: id)
    }

    /// Gives the domains that are bound to a version what it is now: open, or its error.
    func reopenDomains(of id: VersionID) {
        changes.withLock { _ in
            let bound = currentSnapshot.domains.values.map(\.info).filter { info in
                info.datastores.contains { $0.name == id.datastore && $0.version == id.number }
            }
            let opened = bound.map(open)
            swap { snapshot in
                for domain in opened { snapshot.domains[domain.info.domain] = domain }
            }
        }
    }
}
