import DatastoreStorage
import Synchronization

/// Opened versions by name, so that a version is opened once however many domains ask it.
///
/// Those that a domain is bound to are held by the snapshot; a few that were used last are held here, so that switching
/// back is at once. All others close when the last query that holds them ends. Thread-safe; opening blocks.
final class VersionCache: Sendable {
    private static let recentLimit = 4

    private struct Weak {
        weak var version: OpenVersion?
    }

    private struct State {
        var open: [VersionID: Weak] = [:]
        var recent: [OpenVersion] = []
    }

    private let state = Mutex(State())

    /// The version if it is open, otherwise what `open` makes. Opening runs outside the lock.
    func version(_ id: VersionID, open: () throws -> OpenVersion) rethrows -> OpenVersion {
        if let version = state.withLock({ $0.open[id]?.version }) {
            keep(version)
            return version
        }
        return insert(try open())
    }

    /// The version if it is open.
    func opened(_ id: VersionID) -> OpenVersion? { state.withLock { $0.open[id]?.version } }

    /// Adds a version that was opened; the one that is there already, if there is one.
    @discardableResult
    func insert(_ opened: OpenVersion) -> OpenVersion {
        let winner = state.withLock { state in
            if let other = state.open[opened.id]?.version { return other }
            state.open = state.open.filter { $0.value.version != nil }
            state.open[opened.id] = Weak(version: opened)
            return opened
        }
        keep(winner)
        return winner
    }

    var openCount: Int { state.withLock { $0.open.values.count { $0.version != nil } } }

    /// Whether somebody has the version open.
    func isOpen(_ id: VersionID) -> Bool { state.withLock { $0.open[id]?.version != nil } }

    /// Lets go of a version.
    ///
    /// - Returns: whether somebody else still has it open.
    func release(_ id: VersionID) -> Bool {
        forget(id)
        return isOpen(id)
    }

    /// Forgets a version whose files are going or are others now: who asks next opens them anew.
    func drop(_ id: VersionID) {
        state.withLock { _ = $0.open.removeValue(forKey: id) }
        forget(id)
    }

    private func forget(_ id: VersionID) {
        let dropped = state.withLock { state in
            let dropped = state.recent.filter { $0.id == id }
            state.recent.removeAll { $0.id == id }
            return dropped
        }
        withExtendedLifetime(dropped) {}
    }

    /// Lets go of the versions of a datastore that is deleted.
    func forget(datastore: String) {
        let dropped = state.withLock { state in
            state.open = state.open.filter { $0.key.datastore != datastore }
            let dropped = state.recent.filter { $0.id.datastore == datastore }
            state.recent.removeAll { $0.id.datastore == datastore }
            return dropped
        }
        withExtendedLifetime(dropped) {}
    }

    private func keep(_ version: OpenVersion) {
        let dropped = state.withLock { state in
            state.recent.removeAll { $0 === version }
            state.recent.append(version)
            return state.recent.count > Self.recentLimit ? state.recent.removeFirst() : nil
        }
        // A large version takes a while to unmap: not under the lock.
        withExtendedLifetime(dropped) {}
    }
}
