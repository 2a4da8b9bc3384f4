import DatastoreCore
import Foundation
import VectorIndex

/// Says what each way of searching takes, and chooses one.
///
/// Exact searches are measured where there are vectors to measure with. The other figures are computed from the rows and
/// dimensions, with constants that were measured with FAISS 1.7.3 and our distances, on one thread.
struct IndexPlanner {
    let rows: Int
    let dim: Int
    /// Of one exact search.
    let exactMilliseconds: Double

    /// For the rows of an open key.
    init(_ key: KeyIndex) {
        self.init(key, rows: key.count)
    }

    /// For so many rows like those of an open key.
    init(_ key: KeyIndex, rows: Int) {
        let vectors = key.vectors
        self.rows = rows
        dim = vectors.dim
        let measured = Self.millisecondsOfOneScan(key)
        exactMilliseconds = vectors.count == 0 ? 0 : measured * Double(rows) / Double(vectors.count)
    }

    /// For rows that are not there yet.
    init(rows: Int, dim: Int) {
        self.rows = rows
        self.dim = dim
        let block = Double(CompactCodes.blockSize(dim: dim)) / Double(CompactCodes.rowsOfBlock)
        exactMilliseconds = Double(rows) * block / Self.assumedBytesPerSecond * 1000
    }

    /// What memory gives one core of a common server.
    static let assumedBytesPerSecond = 12e9
    /// Milliseconds that a search may take where nobody says.
    static let defaultLatency = 20.0
    /// Share of the machine's memory that an index may take where nobody says.
    private static let defaultMemoryShare: Int64 = 2

    /// The median of three exact searches with entries.
    private static func millisecondsOfOneScan(_ key: KeyIndex) -> Double {
        guard key.count > 0 else { return 0 }
        let times = (0..<3).map { turn in
            let query = KeyQuery(key.vectors.vector(row: turn * (key.count - 1) / 2)[...], metric: key.metric)
            let start = ContinuousClock.now
            _ = try? key.search(query, limit: 10, effort: SearchEffort(exact: true))
            return (ContinuousClock.now - start) / .milliseconds(1)
        }
        return times.sorted()[1]
    }

    // MARK: Costs

    /// Nanoseconds for each number of a vector that FAISS compares: floats, bytes, and the table of a code byte.
    private static let perFloat = 0.32
    private static let perByte = 1.7
    private static let perCode = 1.6
    /// The same for compact codes and many queries at once.
    private static let perCodedNumber = 0.012
    /// Scoring on original vectors what by its code can belong to the answer.
    private static let rankingMilliseconds = 0.01
    /// Reading a vector that is not in a cache.
    private static let perVisit = 90.0
    /// Vectors that a graph's search looks at for each candidate that it keeps, per link.
    private static let visitsPerCandidate = 0.75
    /// Multiplications and additions in a second of OpenBLAS on one thread.
    private static let flops = 40e9

    /// What a plan with all its numbers takes.
    func estimate(_ plan: IndexPlan) -> PlanAnswer.Estimate {
        let rows = Double(rows)
        let dim = Double(dim)
        let floats = rows * dim * 4
        var index = 0.0
        var build = 0.0
        var latency = exactMilliseconds
        let lists = Double(plan.lists ?? 1)
        let probed = rows * Double(plan.nprobe ?? 1) / lists
        let coarse = lists * dim * Self.perFloat
        let training = min(rows, Double(PlannedIndex.trainingSize(plan)))
        let learning = training * lists * dim * 2 * 10 / Self.flops + rows * lists * dim * 2 / Self.flops
        switch plan.method {
        case .exact, .auto: break
        case .hnsw:
            let links = Double(plan.links ?? 32)
            func search(_ candidates: Double) -> Double {
                candidates * links * Self.visitsPerCandidate * (dim * Self.perFloat + Self.perVisit)
            }
            index = rows * links * 2.1 * 4
            latency = search(Double(plan.efSearch ?? 64)) / 1e6
            build = rows * search(80) * 1.3 / 1e9
        case .ivfFlat:
            index = floats + rows * 8 + lists * dim * 4
            latency = (coarse + probed * dim * Self.perFloat) / 1e6
            build = learning
        case .ivfSQ4:
            let block = Double(CompactCodes.blockSize(dim: self.dim)) / Double(CompactCodes.rowsOfBlock)
            index = rows * (block + 4) * 1.03 + lists * dim * 4.5
            // A row of a list takes what a row of all takes, which was measured.
            latency = (lists + probed) / max(1, rows) * exactMilliseconds + Self.rankingMilliseconds
            build = (training * 8 + rows) * lists * dim * Self.perCodedNumber / 1e9 + rows * dim * 4e-9
        case .ivfSQ8:
            index = rows * (dim + 8) + lists * dim * 4
            latency = (coarse + probed * dim * Self.perByte) / 1e6
            build = learning * 1.2
        case .ivfPQ:
            let code = Double(plan.codeBytes ?? 1)
            index = rows * (code + 8) + lists * dim * 4 + 256 * dim * 4
            latency =
                (coarse + Double(plan.nprobe ?? 1) * 256 * dim * Self.perFloat + probed * code * Self.perCode) / 1e6
            build = learning + training * 256 * dim * 2 * 25 / (Self.flops / 8) + rows * 256 * dim * 2 / Self.flops
        }
        let memory = index
        return PlanAnswer.Estimate(
            plan: plan, indexBytes: Int64(index), memoryBytes: Int64(memory), buildSeconds: build,
            latencyMilliseconds: latency)
    }

    /// All methods with their standard numbers, but where `plan` gives others; each with what speaks against it.
    func estimates(for plan: IndexPlan) -> [PlanAnswer.Estimate] {
        let budget = Budget(plan)
        return IndexPlan.Method.allCases.filter { $0 != .auto }.map { method in
            let own = method == plan.method ? plan : IndexPlan(method)
            var estimate = estimate(own.filled(rows: rows, dim: dim))
            estimate.against = budget.objection(estimate, rows: rows)
            return estimate
        }
    }

    // MARK: Choosing

    private struct Budget {
        let memory: Int64
        let latency: Double

        init(_ plan: IndexPlan) {
            memory = plan.memoryBytes ?? Int64(ProcessInfo.processInfo.physicalMemory) / IndexPlanner.defaultMemoryShare
            latency = plan.latencyMilliseconds ?? IndexPlanner.defaultLatency
        }

        func objection(_ estimate: PlanAnswer.Estimate, rows: Int) -> String? {
            if rows < estimate.plan.minimumRows { return "needs \(estimate.plan.minimumRows) entries" }
            if estimate.memoryBytes > memory { return "takes more memory than \(memory.shownAsMegabytes)" }
            if estimate.latencyMilliseconds > latency { return "takes more than \(latency) ms" }
            return nil
        }
    }

    /// What `auto` takes, and after it what it tries where an index does not pass the gate: exact search where it is fast
    /// enough, else the indexes within the budgets, the one that is built soonest first, and exact search at last.
    func choices(for plan: IndexPlan) -> [(plan: IndexPlan, reason: String)] {
        let budget = Budget(plan)
        let estimates = estimates(for: plan)
        let exact = estimates.first { $0.plan.method == .exact } ?? estimate(.exact)
        let size = "\(rows) entries of \(dim) numbers"
        let scan = "an exact search takes about \(exact.latencyMilliseconds.shown) ms"
        if exact.latencyMilliseconds <= budget.latency {
            return [(.exact, "\(size): \(scan), within \(budget.latency.shown) ms")]
        }
        let fitting = estimates.filter { $0.plan.method != .exact && $0.against == nil }
        return fitting.sorted { $0.buildSeconds < $1.buildSeconds }.map { estimate in
            (
                estimate.plan,
                "\(size): \(scan), more than \(budget.latency.shown) ms; \(estimate.plan.method.rawValue) is expected to take "
                    + "\(estimate.latencyMilliseconds.shown) ms and \(estimate.memoryBytes.shownAsMegabytes) of memory"
            )
        } + [
            (
                .exact,
                "\(size): \(scan), and no index is within \(budget.latency.shown) ms, "
                    + "\(budget.memory.shownAsMegabytes) of memory and the recall gate"
            )
        ]
    }
}

extension Double {
    /// Two digits that mean something.
    fileprivate var shown: String {
        if self >= 10 { return String(Int(rounded())) }
        return "\((self * 100).rounded() / 100)"
    }
}

extension Int64 {
    fileprivate var shownAsMegabytes: String { "\(self / 1_000_000) MB" }
}
