import DatastoreCore
import Foundation
import GRDB
import Migrations

extension DatabaseMigrator {
    init(_ migrations: [Migration]) {
        self.init()
        for migration in migrations {
            registerMigration(migration.name) { try $0.execute(sql: migration.sql) }
        }
    }

    /// Refuses a database that a newer release has changed, before anything is written to it.
    ///
    /// - Throws: `newer_format`.
    func refuseNewer(_ url: URL) throws {
        guard FileManager.default.fileExists(atPath: url.path) else { return }
        var configuration = Configuration()
        configuration.readonly = true
        let queue = try DatabaseQueue(path: url.path, configuration: configuration)
        defer { try? queue.close() }
        guard try !queue.read(hasBeenSuperseded) else {
            throw DatastoreError(
                .newerFormat,
                "\(url.lastPathComponent) was written by a newer release of Capstan; upgrade capstand to open it")
        }
    }
}
