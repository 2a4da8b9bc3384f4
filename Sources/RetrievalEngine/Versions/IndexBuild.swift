import DatastoreCore
import DatastoreStorage
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

    /// - Returns: the index, nil where all searches are exact.
    /// - Throws: `recall_gate_refused`.
    func run(
        _ spec: KeySpec, _ vectors: VectorFile, _ codes: CompactCodes?
    ) throws -> (index: VectorIndex?, made: Made) {
        guard plan.method == .auto else { return try make(plan, nil, spec, vectors, codes) }
        var refused: [String] = []
        let exact = try KeyIndex(vectors: vectors, metric: spec.metric, codes: codes)
        for choice in IndexPlanner(exact).choices(for: plan) {
            do {
                var (index, made) = try make(choice.plan, choice.reason, spec, vectors, codes)
                if !refused.isEmpty {
                    made.reason = "\(made.reason ?? ""); before it: \(refused.joined(separator: ", "))"
                }
                return (index, made)
            } catch let error as DatastoreError where error.code == .recallGateRefused {
                refused.append("\(choice.plan.method.rawValue) did not pass the gate of \(gate)")
            }
        }
        return (nil, Made(plan: .exact, reason: refused.joined(separator: ", ")))
    }

    private func make(
        _ plan: IndexPlan, _ reason: String?, _ spec: KeySpec, _ vectors: VectorFile, _ codes: CompactCodes?
    ) throws -> (index: VectorIndex?, made: Made) {
        guard vectors.count >= plan.minimumRows else {
            let reason = "\(plan.method.rawValue) needs \(plan.minimumRows) entries, and there are \(vectors.count)"
            return (nil, Made(plan: .exact, reason: reason))
        }
        var wanted = plan.filled(rows: vectors.count, dim: spec.dim)
        guard wanted.method != .exact else { return (nil, Made(plan: .exact, reason: reason)) }
        let index = try PlannedIndex.build(wanted, vectors: vectors, metric: spec.metric) { rows in
            try progress(.indexing, rows, Double(rows) / Double(vectors.count))
        }
        let key = try KeyIndex(vectors: vectors, metric: spec.metric, codes: codes, plan: wanted, index: index)
        var recall = try measure(key, spec)
        // Where nobody has set the effort, it is the least that passes.
        if self.plan.method == .auto, let least = recall.curve.first(where: { $0.recall >= gate }) {
            wanted.efSearch = least.efSearch
            wanted.nprobe = least.nprobe
            recall.recall = least.recall
        }
        guard recall.recall >= gate else { throw refusal(spec, wanted, recall) }
        return (index, Made(plan: wanted, reason: reason, recall: recall))
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
