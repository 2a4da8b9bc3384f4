package import DatastoreCore
import DatastoreStorage
package import Foundation
import Logging
import Synchronization

/// Copies of everything at one moment, for a client to fetch while the daemon goes on.
extension CapstanEngine {
    /// After which a backup that nobody asks for is removed.
    static let backupLife: Duration = .seconds(3600)

    /// Copies the catalog and what is pending, and links all files that do not change any more.
    ///
    /// Queries go on; changes wait while the databases are copied.
    package func startBackup() async throws -> BackupInfo {
        try await transferring { [self] in
            try removeExpiredBackups()
            let session = BackupSession(id: Self.newJobID(), directory: directory)
            do {
                let created = Date()
                try changes.withLock { _ in
                    try session.copy(catalog, at: created) { try pendingChanges($0) }
                }
                let info = try session.list(createdAt: created, life: Self.backupLife)
                backups.withLock { $0[session.id] = BackupSession.Open(session: session, info: info) }
                logger.info("backup begun", metadata: ["backup": "\(session.id)", "files": "\(info.files.count)"])
                return info
            } catch {
                try? session.remove()
                throw error
            }
        }
    }

    /// - Throws: `unknown_backup`.
    package func backup(_ id: String) throws -> BackupInfo {
        try backups.withLock { backups in
            guard var open = backups[id] else { throw Self.unknown(id) }
            open.touch(life: Self.backupLife)
            backups[id] = open
            return open.info
        }
    }

    /// The place of a file of a backup.
    ///
    /// - Throws: `unknown_backup`, `not_found`.
    package func backupFile(_ path: String, of id: String) throws -> (file: BackupFile, url: URL) {
        let info = try backup(id)
        guard let file = info.files.first(where: { $0.path == path }) else {
            throw DatastoreError(.notFound, "backup \(id) has no file \(path.prefix(200).debugDescription)")
        }
        // A large file over a slow line is under way for longer than nobody may ask.
        backups.withLock { $0[id]?.touch(life: Self.backupLife + .seconds(file.bytes / 100_000)) }
        return (file, BackupSession(id: id, directory: directory).folder.appending(path: path))
    }

    /// Ends a backup and removes its files.
    ///
    /// - Throws: `unknown_backup`.
    package func endBackup(_ id: String) async throws {
        try await transferring { [self] in
            guard let open = backups.withLock({ $0.removeValue(forKey: id) }) else { throw Self.unknown(id) }
            try open.session.remove()
            logger.info("backup ended", metadata: ["backup": "\(id)"])
        }
    }

    /// Removes what nobody has asked for in an hour.
    func removeExpiredBackups() throws {
        let now = ContinuousClock.now
        let expired = backups.withLock { backups in
            let expired = backups.values.filter { $0.expires <= now }
            for open in expired { backups[open.session.id] = nil }
            return expired
        }
        for open in expired {
            try open.session.remove()
            logger.notice("a backup that nobody fetched was removed", metadata: ["backup": "\(open.session.id)"])
        }
    }

    /// Looks for expired backups until the task is cancelled.
    func sweepBackups() async {
        while (try? await Task.sleep(for: .seconds(60))) != nil {
            do {
                try await transferring { [self] in try removeExpiredBackups() }
            } catch {
                logger.error("expired backups were not removed", metadata: ["error": "\(error)"])
            }
        }
    }

    private static func unknown(_ id: String) -> DatastoreError {
        DatastoreError(
            .unknownBackup,
            "no backup \"\(id.prefix(80))\"; one is kept for an hour after it was asked for last, and not over a restart"
        )
    }
}
