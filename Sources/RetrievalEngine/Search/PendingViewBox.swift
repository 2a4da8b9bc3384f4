import DatastoreCore
import DatastoreStorage
import Synchronization

/// The newest pending view of one datastore, brought up to date by who asks first after a change.
///
/// Thread-safe: others who ask meanwhile wait for it.
final class PendingViewBox: Sendable {
    private let newest = Mutex<PendingView?>(nil)

    /// What is pending now. Blocks when something has changed since the last call.
    ///
    /// - Parameter limit: changes that a view may have.
    /// - Throws: `too_many_pending`, `storage_failed`.
    func view(of changes: PendingChanges, limit: Int) throws -> PendingView {
        try newest.withLock { newest in
            while true {
                let generation = changes.generation
                if let newest, newest.source === changes, newest.generation == generation { return newest }
                let previous = newest?.source === changes ? newest : nil
                do {
                    let news = try changes.news(
                        after: previous?.lastSequence ?? 0, rewrites: previous?.rewrites, known: previous?.count ?? 0,
                        limit: limit)
                    let view = PendingView(news, of: changes, generation: generation, after: previous)
                    newest = view
                    return view
                } catch {
                    // What was read may have gone into a version meanwhile.
                    guard changes.generation != generation else { throw error }
                }
            }
        }
    }
}
