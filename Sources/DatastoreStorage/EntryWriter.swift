package import DatastoreCore
package import Foundation
import GRDB
import Migrations

/// Fills the `entries.sqlite` of a version that is being made.
///
/// Not thread-safe: one writer, one thread. Nothing is journaled: a half-written file is thrown away with its folder.
package final class EntryWriter {
    private let url: URL
    private let queue: DatabaseQueue
    private static let insert =
        "INSERT INTO entries (id, \(EntryColumns.list)) VALUES (?, \(EntryColumns.placeholders))"

    package init(_ url: URL) throws {
        self.url = url
        var configuration = Configuration()
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        }
        queue = try DatabaseQueue(path: url.path, configuration: configuration)
        try DatabaseMigrator(Migration.entries).migrate(queue)
    }

    /// Writes entries in one transaction.
    package func append(_ entries: [Entry]) throws {
        try queue.write { database in
            let statement = try database.cachedStatement(sql: Self.insert)
            for entry in entries {
                try statement.execute(arguments: StatementArguments([entry.id] + EntryColumns.arguments(entry.fields)))
            }
        }
    }

    /// Closes and syncs the file.
    package func finish() throws {
        try queue.close()
        try DurableFiles.sync(url)
    }
}
