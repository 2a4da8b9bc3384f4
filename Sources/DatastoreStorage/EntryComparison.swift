package import DatastoreCore
package import Foundation
import GRDB

/// Compares the fields of entries that two versions both have.
///
/// The comparison runs in SQLite over both files at once, a range of ids at a time, so that memory stays small and a
/// caller can stop between two ranges. Blocking; not thread-safe.
package final class EntryComparison {
    private let connection: DatabaseQueue

    /// - Parameters:
    ///   - old: the `entries.sqlite` of one version, `new` of the other.
    /// - Throws: `storage_failed`.
    package init(old: URL, new: URL) throws {
        var configuration = Configuration()
        configuration.readonly = true
        connection = try Self.explaining {
            let connection = try DatabaseQueue(path: new.path, configuration: configuration)
            try connection.inDatabase { database in
                try database.execute(sql: "ATTACH DATABASE ? AS old", arguments: [old.path])
            }
            return connection
        }
    }

    /// Ids of `range` that both have and whose fields differ, ascending.
    package func changedIDs(in range: ClosedRange<Int64>) throws -> [Int64] {
        try Self.explaining {
            try connection.unsafeRead { database in
                let statement = try database.cachedStatement(sql: Self.query)
                return try Int64.fetchAll(statement, arguments: [range.lowerBound, range.upperBound])
            }
        }
    }

    private static let query: String = {
        let differs = EntryColumns.list.split(separator: ", ").map { "new.\($0) IS NOT old.\($0)" }
        return """
            SELECT new.id FROM main.entries AS new JOIN old.entries AS old ON old.id = new.id
            WHERE new.id BETWEEN ? AND ? AND (\(differs.joined(separator: " OR "))) ORDER BY new.id
            """
    }()

    private static func explaining<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let error as DatabaseError {
            throw DatastoreError(.storageFailed, "entries.sqlite: \(error)")
        }
    }
}
