import DatastoreCore
import VectorIndex

/// Questions that recall is measured with.
struct RecallQuestions {
    let vectors: [[Float]]
    /// The row that a question is, which is no answer to it; nil for questions from outside.
    let rows: [Int]?
    let source: RecallReport.Source

    var count: Int { vectors.count }

    init(_ vectors: [[Float]], source: RecallReport.Source) {
        self.vectors = vectors
        self.source = source
        rows = nil
    }

    /// Entries, spread evenly over all.
    init(entriesOf key: KeyIndex) {
        let wanted = min(key.count, Self.maximum)
        let rows = (0..<wanted).map { $0 * key.count / wanted }
        self.rows = rows
        vectors = rows.map { key.vectors.vector(row: $0) }
        source = .entries
    }

    /// More would tell the recall to less than a hundredth, and take longer than it is worth.
    static let maximum = 400
}

/// Compares an index with exact search.
struct RecallMeasurement {
    let key: KeyIndex
    let questions: RecallQuestions
    let gate: Double
    /// Says which share is done; throws to stop.
    let progress: (Double) throws -> Void

    private static let k = 10

    /// The recall at the plan's setting, and the curve around it.
    func report() throws -> RecallReport {
        let queries = questions.vectors.map { KeyQuery($0[...], metric: key.metric) }
        var truths: [[Int]] = []
        var times: [Double] = []
        for (index, query) in queries.enumerated() {
            try progress(0.5 * Double(index) / Double(queries.count))
            let (rows, seconds) = try rows(query, index, SearchEffort(exact: true))
            truths.append(rows)
            times.append(seconds)
        }
        let settings = settings()
        var curve: [RecallReport.Point] = []
        for (step, setting) in settings.enumerated() {
            try progress(0.5 + 0.5 * Double(step) / Double(settings.count))
            let point = try point(setting, queries, truths)
            curve.append(point)
            let isPast =
                (setting.efSearch ?? 0) >= (key.plan.efSearch ?? 0) && (setting.nprobe ?? 0) >= (key.plan.nprobe ?? 0)
            if isPast, point.recall >= max(gate, 0.999) { break }
        }
        let own = curve.first { $0.efSearch == key.plan.efSearch && $0.nprobe == key.plan.nprobe }
        return RecallReport(
            k: Self.k, recall: own?.recall ?? 0, gate: gate, questions: questions.count, source: questions.source,
            exactMilliseconds: Self.median(times) * 1000, curve: curve)
    }

    /// Settings to measure, ascending, the plan's own among them.
    private func settings() -> [SearchEffort] {
        if let own = key.plan.efSearch {
            return Set([16, 32, 64, 128, 256, 512, own]).sorted().map { SearchEffort(efSearch: $0) }
        }
        let lists = key.plan.lists ?? 1
        let powers = (0..<12).map { 1 << $0 }.filter { $0 <= lists }
        return Set(powers + [key.plan.nprobe ?? 1]).sorted().map { SearchEffort(nprobe: $0) }
    }

    private func point(_ setting: SearchEffort, _ queries: [KeyQuery], _ truths: [[Int]]) throws -> RecallReport.Point {
        var found = 0
        var possible = 0
        var times: [Double] = []
        for (index, query) in queries.enumerated() {
            let (rows, seconds) = try rows(query, index, setting)
            found += Set(rows).intersection(truths[index]).count
            possible += truths[index].count
            times.append(seconds)
        }
        return RecallReport.Point(
            efSearch: setting.efSearch, nprobe: setting.nprobe,
            recall: possible == 0 ? 1 : Double(found) / Double(possible), milliseconds: Self.median(times) * 1000)
    }

    /// The nearest rows but the question itself, and the seconds it took.
    private func rows(_ query: KeyQuery, _ index: Int, _ effort: SearchEffort) throws -> ([Int], Double) {
        let start = ContinuousClock.now
        let hits = try key.search(query, limit: Self.k + (questions.rows == nil ? 0 : 1), effort: effort)
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let own = questions.rows?[index]
        return (Array(hits.map(\.row).filter { $0 != own }.prefix(Self.k)), seconds)
    }

    private static func median(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.sorted()[values.count / 2]
    }
}
