package import DatastoreCore
package import Foundation
import GRDB
import Migrations

/// Fills the `entries.sqlite` of a version that is being made.
///
/// Not thread-safe: one writer, one thread at a time. Nothing is journaled: a half-written file is thrown away with its
/// folder.
package final class EntryWriter {
    private let url: URL
    private let queue: DatabaseQueue
    /// What makes the indexes: they are made once all entries are there, which is faster and packs them.
    private let indexes: [String]
    private static let insert =
        "INSERT INTO entries (id, \(EntryColumns.list)) VALUES (?, \(EntryColumns.placeholders))"
    /// Entries that are copied at a time.
    private static let copied: Int64 = 1 << 15

    package init(_ url: URL) throws {
        self.url = url
        var configuration = Configuration()
        configuration.prepareDatabase { database in
            try database.execute(
                sql: "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16384")
        }
        queue = try DatabaseQueue(path: url.path, configuration: configuration)
        try DatabaseMigrator(Migration.entries).migrate(queue)
        indexes = try queue.write { database in
            let found = try Row.fetchAll(
                database,
                sql: """
                    SELECT name, sql FROM sqlite_master
                    WHERE type = 'index' AND tbl_name = 'entries' AND sql IS NOT NULL ORDER BY name
                    """
            ).map { (name: $0[0] as String, sql: $0[1] as String) }
            for index in found { try database.execute(sql: "DROP INDEX \(index.name)") }
            return found.map(\.sql)
        }
    }

    /// Writes entries in one transaction.
    package func append(_ entries: [Entry]) throws {
        try queue.write { database in
            let insert = try InsertStatement(Self.insert, database)
            for entry in entries {
                try insert.run { row in
                    row.bind(entry.id)
                    try EntryColumns.bind(entry.fields, to: &row)
                }
            }
        }
    }

    /// Copies the entries of pending changes.
    ///
    /// - Parameter checkpoint: called between parts with how many were copied; throws to stop.
    package func append(_ run: PendingRun, of pending: PendingChanges, checkpoint: (Int) throws -> Void) throws {
        try queue.writeWithoutTransaction { database in
            try database.execute(sql: "ATTACH DATABASE ? AS pending", arguments: [pending.pool.path])
            defer { try? database.execute(sql: "DETACH DATABASE pending") }
            let count = Int64(run.ids.count)
            for start in stride(from: 0, to: count, by: Int64.Stride(Self.copied)) {
                try checkpoint(Int(start))
                let first = run.firstSequence + start
                try database.execute(
                    sql: """
                        INSERT INTO entries (id, \(EntryColumns.list))
                        SELECT entry_id, \(EntryColumns.list) FROM pending.changes
                        WHERE sequence >= ? AND sequence < ? AND job_id = ? ORDER BY sequence
                        """, arguments: [first, min(first + Self.copied, run.firstSequence + count), run.job])
            }
        }
    }

    /// Makes the indexes, closes and syncs the file.
    package func finish() throws {
        try queue.write { database in
            for index in indexes { try database.execute(sql: index) }
        }
        try queue.close()
        try DurableFiles.sync(url)
    }
}
