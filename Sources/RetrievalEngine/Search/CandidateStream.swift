import DatastoreCore
import DatastoreStorage

/// Candidates of one source, best first, as many as are asked for: a version is searched again for more when those found
/// are used up, as the index knows neither images nor texts.
final class CandidateStream {
    private let target: SearchTarget
    private let probe: TargetProbe?
    private let readsEntries: Bool
    private var found: [Candidate]
    private var next = 0
    private var limit: Int
    private var isComplete: Bool
    /// Whether all was searched and some entries can be no results: they share no term with the question.
    private(set) var leavesOut: Bool
    /// Candidates whose entries are read at a time.
    private static let chunk = 64

    var binding: Int { target.binding }

    /// The rows of a version.
    ///
    /// - Parameter readsEntries: whether each candidate comes with its entry.
    init(_ target: SearchTarget, _ probe: TargetProbe, expecting count: Int, readsEntries: Bool) {
        self.target = target
        self.probe = probe
        self.readsEntries = readsEntries
        found = []
        limit = min(target.version.count, count + target.pending.hidden.count)
        isComplete = target.version.count == 0
        leavesOut = false
    }

    /// What is there already, best first.
    ///
    /// - Parameter entries: how many entries it was chosen from.
    init(_ target: SearchTarget, _ candidates: [Candidate], of entries: Int = 0, readsEntries: Bool = false) {
        leavesOut = candidates.count < entries
        self.target = target
        self.readsEntries = readsEntries
        probe = nil
        found = candidates
        limit = candidates.count
        isComplete = true
    }

    /// The best candidate that is left; nil when there is none.
    func peek() throws -> Candidate? {
        while true {
            if next == found.count {
                guard !isComplete, let probe else { return nil }
                if !found.isEmpty || next > 0 {
                    // Rather once over all than ever nearer to it.
                    let count = target.version.count
                    limit = limit * 4 < count / 8 ? limit * 4 : count
                }
                let last = found.last
                let isFirst = last == nil && next == 0
                // An index that is asked for more finds other rows too: only a search of all goes on where it stopped.
                let (candidates, isAll) = try target.search(probe, limit: limit, exact: !isFirst)
                isComplete = isAll || limit >= target.version.count
                leavesOut = isComplete && candidates.count < target.version.count
                if let last, target.isApproximate(probe) {
                    found = candidates.filter { Candidate.precedes(last, $0) }
                    next = 0
                } else {
                    let seen = next
                    found = candidates
                    next = min(seen, found.count)
                }
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
