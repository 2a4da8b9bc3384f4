import DatastoreCore
import DatastoreStorage
import Synchronization

/// The pending changes of one datastore at one moment, in memory, for questions that count them.
///
/// Thread-safe: it never changes.
package final class PendingView: Sendable {
    /// Which state of the pending changes it is.
    let generation: Int
    /// Committed changes in their order; of one entry the last counts.
    let changes: [PendingEntry]
    /// What was asked for last, by version: the same question comes again and again.
    private let known = Mutex<[VersionID: PendingRows]>([:])

    init(generation: Int, changes: [PendingEntry]) {
        self.generation = generation
        self.changes = changes
    }

    static let empty = PendingView(generation: 0, changes: [])

    /// The changes that are not in a version yet.
    func rows(after version: OpenVersion) -> PendingRows {
        if let rows = known.withLock({ $0[version.id] }) { return rows }
        let through = version.manifest.lineage.pendingThrough
        var last: [Int64: PendingEntry] = [:]
        for change in changes where change.sequence > through { last[change.entry.id] = change }
        let rows = PendingRows(entries: last.values.sorted { $0.entry.id < $1.entry.id }, over: version)
        known.withLock { $0[version.id] = rows }
        return rows
    }
}

/// Pending entries beside a version: they are searched one by one, and hide the entries that they replace.
struct PendingRows: Sendable {
    /// In the order of their ids.
    let entries: [PendingEntry]
    /// Entries of the version that do not count.
    let hidden: Set<Int64>

    static let none = PendingRows(entries: [], hidden: [])

    private init(entries: [PendingEntry], hidden: Set<Int64>) {
        self.entries = entries
        self.hidden = hidden
    }

    init(entries: [PendingEntry], over version: OpenVersion) {
        self.init(
            entries: entries,
            hidden: Set(entries.lazy.map(\.entry.id).filter { version.row(ofID: $0) != nil }))
    }

    func index(ofID id: Int64) -> Int? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].entry.id < id { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].entry.id == id ? low : nil
    }
}
