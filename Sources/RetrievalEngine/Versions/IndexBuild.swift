import DatastoreCore
import DatastoreStorage
import Foundation
import VectorIndex

/// Chooses, builds and measures the index of a dense key.
///
/// An approximate index is kept only when its recall passes the gate: promise 7. Blocking.
struct IndexBuild {
    /// What was asked for.
    let plan: IndexPlan
    /// Share of the k truly nearest entries that a version must find.
    let gate: Double
    /// Questions to measure with, newest choice of the caller; nil takes entries.
    let questions: (KeySpec) throws -> RecallQuestions?
    /// Says how far the work is; throws to stop it.
    let progress: (JobPhase, _ rows: Int, _ fraction: Double) throws -> Void

    struct Made {
        var plan: IndexPlan
        var reason: String?
        var recall: RecallReport?
    }

    /// The vectors of a key, as far as they are written.
    struct Rows {
        let spec: KeySpec
        let vectors: VectorFile
        let codes: CompactCodes?
        /// The version that is made.
        let folder: URL

        func open(_ plan: IndexPlan = .exact, _ index: CandidateIndex? = nil) throws -> KeyIndex {
            try KeyIndex(vectors: vectors, metric: spec.metric, codes: codes, plan: plan, index: index)
        }
    }

    /// Writes the file of the index, where searches are not all exact.
    ///
    /// - Throws: `recall_gate_refused`.
    func run(_ rows: Rows) throws -> Made {
        guard plan.method == .auto else { return try make(plan, nil, rows) }
        var refused: [String] = []
        for choice in try IndexPlanner(rows.open()).choices(for: plan) {
            do {
                var made = try make(choice.plan, choice.reason, rows)
                if let slow = made.recall.flatMap({ Self.objection($0, made.plan) }) {
                    if let name = Manifest.Key.indexFile(of: rows.spec, made.plan) {
                        try DurableFiles.remove(rows.folder.appending(path: name))
                    }
                    refused.append(slow)
                    continue
                }
                if !refused.isEmpty {
                    made.reason = "\(made.reason ?? ""); before it: \(refused.joined(separator: ", "))"
                }
                return made
            } catch let error as DatastoreError where error.code == .recallGateRefused {
                refused.append("\(choice.plan.method.rawValue) did not pass the gate of \(gate)")
            }
        }
        return Made(plan: .exact, reason: refused.joined(separator: ", "))
    }

    /// Shorter searches take what else the machine does: which of two is faster says nothing.
    private static let tellingMilliseconds = 1.0

    /// What was expected of an index is one thing, what it takes another.
    private static func objection(_ recall: RecallReport, _ plan: IndexPlan) -> String? {
        let own = recall.curve.first { $0.efSearch == plan.efSearch && $0.nprobe == plan.nprobe }
        guard let own, recall.exactMilliseconds >= tellingMilliseconds, own.milliseconds >= recall.exactMilliseconds
        else { return nil }
        return
            "\(plan.method.rawValue) took \(own.milliseconds) ms, no less than the \(recall.exactMilliseconds) of exact"
    }

    private func make(_ plan: IndexPlan, _ reason: String?, _ rows: Rows) throws -> Made {
        let (spec, vectors) = (rows.spec, rows.vectors)
        guard vectors.count >= plan.minimumRows else {
            let reason = "\(plan.method.rawValue) needs \(plan.minimumRows) entries, and there are \(vectors.count)"
            return Made(plan: .exact, reason: reason)
        }
        var wanted = plan.filled(rows: vectors.count, dim: spec.dim)
        guard let name = Manifest.Key.indexFile(of: spec, wanted) else { return Made(plan: .exact, reason: reason) }
        let path = rows.folder.appending(path: name).path
        let index = try PlannedIndex.build(wanted, vectors: vectors, metric: spec.metric, at: path) { done in
            try progress(.indexing, done, Double(done) / Double(vectors.count))
        }
        var recall = try measure(rows.open(wanted, index), spec)
        // Where nobody has set the effort, it is the least that passes.
        if self.plan.method == .auto, let least = recall.curve.first(where: { $0.recall >= gate }) {
            wanted.efSearch = least.efSearch
            wanted.nprobe = least.nprobe
            recall.recall = least.recall
        }
        guard recall.recall >= gate else {
            try DurableFiles.remove(URL(filePath: path))
            throw refusal(spec, wanted, recall)
        }
        try index.write(to: path)
        return Made(plan: wanted, reason: reason, recall: recall)
    }

    private func measure(_ key: KeyIndex, _ spec: KeySpec) throws -> RecallReport {
        let questions = try questions(spec) ?? RecallQuestions(entriesOf: key)
        return try RecallMeasurement(key: key, questions: questions, gate: gate) { fraction in
            try progress(.measuring, Int(fraction * Double(questions.count)), fraction)
        }.report()
    }

    private func refusal(_ spec: KeySpec, _ plan: IndexPlan, _ recall: RecallReport) -> DatastoreError {
        let curve = recall.curve.map(\.shown).joined(separator: "; ")
        let advice: String
        if let enough = recall.curve.first(where: { $0.recall >= gate }) {
            var better = self.plan
            better.efSearch = enough.efSearch
            better.nprobe = enough.nprobe
            advice = "--plan \(better) would pass"
        } else {
            advice = "no setting of \(plan.method.rawValue) passes; --plan exact always does"
        }
        return DatastoreError(
            .recallGateRefused,
            "key \"\(spec.name)\": \(plan) finds \(recall.recall.shownAsShare) of the \(recall.k) nearest, the gate is "
                + "\(gate) (\(recall.questions) questions, \(recall.source.rawValue)). Measured: \(curve). \(advice). "
                + "The old version stays")
    }
}

extension RecallReport.Point {
    fileprivate var shown: String {
        let setting = efSearch.map { "ef_search \($0)" } ?? nprobe.map { "nprobe \($0)" } ?? "as built"
        return "\(setting) \(recall.shownAsShare)"
    }
}

extension Double {
    /// Four digits, enough to see on which side of a gate it is.
    fileprivate var shownAsShare: String { "\((self * 10_000).rounded(.down) / 10_000)" }
}
