import DatastoreCore
import DatastoreStorage
import VectorIndex

/// Candidates of one source, best first, as many as are asked for: it is searched again for more when those found are
/// used up, as the index knows neither images nor texts.
final class CandidateStream {
    private enum Source {
        case version(TargetProbe)
        case pending(TargetProbe)
        /// Nothing that is searched: all are there.
        case given
    }

    private let target: SearchTarget
    private let source: Source
    /// What counts of the source; nil when all does.
    private let among: RowSet?
    /// How many entries may come.
    private let total: Int
    private let readsEntries: Bool
    private var found: [Candidate] = []
    private var next = 0
    private var isSearched = false
    /// The last candidate before those found, where an index may have missed some.
    private var last: Candidate?
    private var limit: Int
    private var isComplete: Bool
    /// What the first search finds, where it was made for several vectors at once.
    private var first: First?
    /// Whether all was searched and some entries can be no results: they share no term with the question.
    private(set) var leavesOut = false
    /// Candidates whose entries are read at a time.
    private static let chunk = 64

    var binding: Int { target.binding }

    /// What `SearchTarget.search` gives.
    typealias First = (candidates: [Candidate], isComplete: Bool)

    /// The rows of a version.
    ///
    /// - Parameters:
    ///   - rows: those that count; nil when all do.
    ///   - readsEntries: whether each candidate comes with its entry.
    ///   - first: what a search of the version for `limit(_:among:expecting:)` finds, where it is known already.
    init(
        versionOf target: SearchTarget, _ probe: TargetProbe, among rows: RowSet?, expecting count: Int,
        readsEntries: Bool, first: First? = nil
    ) {
        self.first = first
        self.target = target
        self.readsEntries = readsEntries
        source = .version(probe)
        among = rows
        total = rows?.count ?? target.version.count
        limit = Self.limit(target, among: rows, expecting: count)
        isComplete = total == 0
    }

    /// Candidates that the first search of a version asks for.
    static func limit(_ target: SearchTarget, among rows: RowSet?, expecting count: Int) -> Int {
        // As many hidden ones as there are in any part of the version.
        let hidden = Double(target.pending.hidden.count) / Double(max(1, target.version.count))
        return min(
            rows?.count ?? target.version.count, count + Int((2 * hidden * Double(count)).rounded(.up)))
    }

    /// What is pending beside a version.
    ///
    /// - Parameter slots: the entries that count; nil when all do.
    init(pendingOf target: SearchTarget, _ probe: TargetProbe, among slots: RowSet?, expecting count: Int) {
        self.target = target
        readsEntries = false
        source = .pending(probe)
        among = slots
        total = slots?.count ?? target.pending.count
        limit = min(total, count)
        isComplete = total == 0
    }

    /// What is there already, best first.
    init(_ target: SearchTarget, _ candidates: [Candidate], readsEntries: Bool = false) {
        self.target = target
        self.readsEntries = readsEntries
        source = .given
        among = nil
        total = candidates.count
        found = candidates
        limit = candidates.count
        isComplete = true
    }

    /// The best candidate that is left; nil when there is none.
    func peek() throws -> Candidate? {
        while true {
            if next == found.count {
                guard !isComplete else { return nil }
                try search()
                continue
            }
            if case .version = found[next].place, target.pending.hidden.contains(found[next].id) {
                next += 1
                continue
            }
            if readsEntries, found[next].entry == nil { try read() }
            return found[next]
        }
    }

    private func search() throws {
        // Rather once over all than ever nearer to it.
        if isSearched { limit = limit * 4 < total / 8 ? limit * 4 : total }
        let candidates: [Candidate]
        let isAll: Bool
        var startsBehindLast = false
        switch source {
        case .version(let probe):
            // An index that is asked for more finds other rows too: only a search of all goes on where it stopped.
            (candidates, isAll) =
                try first ?? target.search(probe, limit: limit, among: among, exact: isSearched)
            first = nil
            startsBehindLast = isSearched && target.isApproximate(probe)
        case .pending(let probe): (candidates, isAll) = target.searchPending(probe, limit: limit, among: among)
        case .given: return
        }
        isSearched = true
        isComplete = isAll || limit >= total
        leavesOut = isComplete && candidates.count < total
        if startsBehindLast {
            last = found.last ?? last
            found = candidates.filter { candidate in last.map { Candidate.precedes($0, candidate) } ?? true }
            next = 0
        } else {
            found = candidates
            next = min(next, found.count)
        }
    }

    func pop() { next += 1 }

    /// No candidate that is left can be a result.
    func close() {
        next = found.count
        isComplete = true
    }

    private func read() throws {
        let end = min(next + Self.chunk, found.count)
        let missing = (next..<end).filter { found[$0].entry == nil }
        let entries = try target.version.entries.entries(missing.map { found[$0].id })
        for (index, entry) in zip(missing, entries) { found[index].entry = entry }
    }
}
