import DatastoreCore
import GRDB
import Migrations

extension DatabaseMigrator {
    init(_ migrations: [Migration]) {
        self.init()
        for migration in migrations {
            registerMigration(migration.name) { try $0.execute(sql: migration.sql) }
        }
    }

    /// Brings a database up to date, and refuses one that a newer release has changed.
    ///
    /// - Throws: `newer_format`.
    func migrate(_ writer: some DatabaseWriter, file: String) throws {
        guard try !writer.read(hasBeenSuperseded) else {
            throw DatastoreError(
                .newerFormat, "\(file) was written by a newer release of Capstan; upgrade capstand to open it")
        }
        try migrate(writer)
    }
}
