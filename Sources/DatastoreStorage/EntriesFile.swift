import DatastoreCore
package import Foundation
import GRDB
import Migrations

/// An `entries.sqlite` that somebody else has made.
package enum EntriesFile {
    /// Makes sure that it is a whole database with the tables that a release of Capstan makes, and nothing that would run:
    /// no view or trigger in the place of a table. Blocks for as long as reading it takes.
    ///
    /// - Throws: `version_damaged`.
    package static func check(_ url: URL) throws {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON")
        }
        // A database that says that it has a journal beside it would have SQLite make one.
        let start = try FileHandle(forReadingFrom: url).read(upToCount: 20) ?? Data()
        guard start.count == 20, start[18] == 1, start[19] == 1 else {
            throw DatastoreError(.versionDamaged, "\(url.lastPathComponent): not a database that is whole by itself")
        }
        do {
            let queue = try DatabaseQueue(path: url.path, configuration: configuration)
            defer { try? queue.close() }
            let found = try queue.read(schema)
            let known = try (1...Migration.entries.count).map { steps in
                let fresh = try DatabaseQueue()
                try DatabaseMigrator(Array(Migration.entries.prefix(steps))).migrate(fresh)
                return try fresh.read(schema)
            }
            guard known.contains(found) else {
                throw DatastoreError(
                    .versionDamaged, "\(url.lastPathComponent): its tables are not those that Capstan makes")
            }
            let verdict = try queue.read { try String.fetchOne($0, sql: "PRAGMA quick_check(1)") ?? "" }
            guard verdict == "ok" else {
                throw DatastoreError(.versionDamaged, "\(url.lastPathComponent): \(verdict.prefix(200))")
            }
        } catch let error as DatabaseError {
            throw DatastoreError(.versionDamaged, "\(url.lastPathComponent): \(error.message ?? "not a database")")
        }
    }

    private static func schema(_ database: Database) throws -> Set<[String]> {
        try Set(
            Row.fetchAll(database, sql: "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master").map {
                row in
                (0..<4).map { row[$0] }
            })
    }
}
