import DatastoreCore
import DatastoreStorage
import Synchronization

/// The pending changes of one datastore at one moment, in memory, for questions that count them.
///
/// Thread-safe: it never changes. The next one shares what it has in common with this.
package final class PendingView: Sendable {
    /// Where the changes were read from: another instance may count otherwise.
    let source: PendingChanges
    /// Which state of the pending changes it is.
    let generation: Int
    let rewrites: Int64
    /// The last change that went into a version and was forgotten.
    let forgottenThrough: Int64
    /// The last change here.
    let lastSequence: Int64
    /// Committed changes in their order; of one entry the last counts. Numbered through, from 0: their *slots*.
    let blocks: [PendingBlock]
    let count: Int
    /// What counts beside each version that was asked for.
    private let known: Mutex<[VersionState?: PendingRows]>

    /// A version of a number may be removed, and another one come from a bundle.
    private struct VersionState: Hashable {
        let id: VersionID
        let lineage: Manifest.Lineage

        init(_ version: OpenVersion) {
            id = version.id
            lineage = version.manifest.lineage
        }
    }

    /// - Parameter previous: the view that the news follow; nil when they are all.
    init(_ news: PendingChanges.News, of source: PendingChanges, generation: Int, after previous: PendingView?) {
        self.source = source
        self.generation = generation
        rewrites = news.rewrites
        forgottenThrough = news.forgottenThrough
        let previous = news.isWhole ? nil : previous
        lastSequence = news.changes.last?.sequence ?? previous?.lastSequence ?? 0
        var blocks = previous?.blocks ?? []
        if !news.changes.isEmpty { blocks.append(PendingBlock(news.changes)) }
        // Few blocks, and each change is moved a few times only.
        while blocks.count > 1, blocks[blocks.count - 1].count * 2 > blocks[blocks.count - 2].count {
            let last = blocks.removeLast()
            blocks.append(PendingBlock(blocks.removeLast(), last))
        }
        self.blocks = blocks
        count = blocks.reduce(0) { $0 + $1.count }
        known = Mutex(previous?.known.withLock { $0 } ?? [:])
    }

    /// The changes that are not in a version yet; nil when some that came after it are in a later version: what was
    /// forgotten cannot be counted, and the rest alone would be wrong.
    ///
    /// - Parameter version: nil while there is none.
    func rows(after version: OpenVersion?) -> PendingRows? {
        guard forgottenThrough <= version?.manifest.lineage.pendingThrough ?? 0 else { return nil }
        let state = version.map(VersionState.init)
        return known.withLock { known in
            var rows = known[state] ?? .none
            if rows.slotCount < count {
                rows.extend(to: blocks, over: version)
                known[state] = rows
            }
            return rows
        }
    }
}
