package import DatastoreCore
package import Foundation
import GRDB
import GRDBSQLite
import Synchronization

/// Reads the `entries.sqlite` of a published version, read-only and without locks taken per read.
///
/// Thread-safe: each caller borrows a connection with its prepared statements; there are as many as were ever needed
/// at once. Calls block.
package final class EntryReader: Sendable {
    private let path: String
    private let idle = Mutex<[DatabaseQueue]>([])
    private static let closing = DispatchQueue(label: "closing entries", qos: .utility)
    private static let byID = "SELECT id, \(EntryColumns.list) FROM entries WHERE id = ?"

    /// - Throws: `version_damaged` when it is not a database of entries.
    package init(_ url: URL) throws {
        path = url.path
        try giveBack(connect())
    }

    deinit {
        // Who lets go last may be a question, which must not wait until the files are closed.
        let connections = idle.withLock { $0 }
        Self.closing.async { withExtendedLifetime(connections) {} }
    }

    /// The entries of `ids`, in their order.
    ///
    /// The statement is stepped directly: every question reads its texts here, and GRDB copies each row column by column
    /// before it is looked at.
    ///
    /// - Throws: `version_damaged` when one is not there: vectors and texts would have drifted apart.
    package func entries(_ ids: [Int64]) throws -> [Entry] {
        try read { database in
            let statement = try database.cachedStatement(sql: Self.byID).sqliteStatement
            defer { sqlite3_reset(statement) }
            return try ids.map { id in
                sqlite3_reset(statement)
                sqlite3_bind_int64(statement, 1, id)
                switch sqlite3_step(statement) {
                case SQLITE_ROW: return Entry(id: id, fields: try EntryColumns.fields(statement, offset: 1))
                case SQLITE_DONE:
                    throw DatastoreError(.versionDamaged, "entries.sqlite: no entry \(id), but it has a vector")
                case let code:
                    throw DatabaseError(
                        resultCode: ResultCode(rawValue: code),
                        message: sqlite3_errmsg(sqlite3_db_handle(statement)).map { String(cString: $0) },
                        sql: Self.byID)
                }
            }
        }
    }

    /// Ids of the entries of any of `imageIDs`.
    package func ids(ofImages imageIDs: [String]) throws -> Set<Int64> {
        guard !imageIDs.isEmpty else { return [] }
        return try read { database in
            let statement = try database.cachedStatement(sql: "SELECT id FROM entries WHERE image_id = ?")
            var ids: Set<Int64> = []
            for imageID in imageIDs {
                for id in try Int64.fetchAll(statement, arguments: [imageID]) { ids.insert(id) }
            }
            return ids
        }
    }

    /// Origin, language and source of all entries, in the order of their ids. Looks at every entry.
    package func attributes() throws -> EntryAttributes {
        try read { database in
            var attributes = EntryAttributes()
            let cursor = try Row.fetchCursor(database, sql: "SELECT origin, lang, source FROM entries ORDER BY id")
            while let row = try cursor.next() {
                attributes.origins.append(row[0])
                attributes.langs.append(row[1])
                attributes.sources.append(row[2])
            }
            return attributes
        }
    }

    /// Ids of the entries whose payload has all these members with these values, ascending. Looks at every entry.
    ///
    /// - Parameter members: strings, numbers, booleans and nulls.
    package func ids(payload members: [String: JSONValue]) throws -> [Int64] {
        var conditions: [String] = []
        var arguments: [(any DatabaseValueConvertible)?] = []
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            // Not by a path: that has no way to write every name.
            arguments.append(name)
            switch value {
            case .null: conditions.append("key = ? AND type = 'null'")
            case .bool(let value): conditions.append("key = ? AND type = '\(value)'")
            case .integer(let value):
                conditions.append("key = ? AND type IN ('integer', 'real') AND atom = ?")
                arguments.append(value)
            case .number(let value):
                conditions.append("key = ? AND type IN ('integer', 'real') AND atom = ?")
                arguments.append(value)
            case .string(let value):
                conditions.append("key = ? AND type = 'text' AND atom = ?")
                arguments.append(value)
            case .array, .object:
                throw DatastoreError(.invalidValue, "\(name.prefix(80)): arrays and objects are not compared")
            }
        }
        let all = conditions.map { "EXISTS (SELECT 1 FROM json_each(entries.payload) WHERE \($0))" }
            .joined(separator: " AND ")
        return try read { database in
            try Int64.fetchAll(
                database,
                sql: "SELECT id FROM entries WHERE payload IS NOT NULL\(all.isEmpty ? "" : " AND \(all)") ORDER BY id",
                arguments: StatementArguments(arguments))
        }
    }

    /// The entries with these external ids, by external id.
    package func entries(externalIDs: [String]) throws -> [String: Entry] {
        try read { database in
            let statement = try database.cachedStatement(
                sql: "SELECT id, \(EntryColumns.list) FROM entries WHERE external_id = ?")
            var found: [String: Entry] = [:]
            for externalID in externalIDs {
                found[externalID] = try Row.fetchOne(statement, arguments: [externalID]).map {
                    Entry(id: $0[0], fields: try EntryColumns.fields($0, offset: 1))
                }
            }
            return found
        }
    }

    /// Compares the ids here with those of the vectors, one by one.
    ///
    /// - Throws: `version_damaged` at the first difference.
    package func check(ids: UnsafeBufferPointer<Int64>) throws {
        try read { database in
            // Where ids have no gap, as many between the same two are the same.
            if let first = ids.first, let last = ids.last, last - first == Int64(ids.count - 1) {
                let found = try Row.fetchOne(database, sql: "SELECT count(*), min(id), max(id) FROM entries")
                if let found, found[0] == Int64(ids.count), found[1] == first, found[2] == last { return }
            }
            var row = 0
            let cursor = try Int64.fetchCursor(database, sql: "SELECT id FROM entries ORDER BY id")
            while let id = try cursor.next() {
                guard row < ids.count, ids[row] == id else {
                    throw DatastoreError(
                        .versionDamaged,
                        "entries.sqlite: entry \(id) at row \(row), "
                            + (row < ids.count ? "but the vector there is of \(ids[row])" : "but it has no vector"))
                }
                row += 1
            }
            guard row == ids.count else {
                throw DatastoreError(.versionDamaged, "entries.sqlite: \(row) entries, but \(ids.count) vectors")
            }
        }
    }

    private func read<Value>(_ body: (Database) throws -> Value) throws -> Value {
        let connection = try idle.withLock { $0.popLast() } ?? connect()
        defer { giveBack(connection) }
        do {
            return try connection.unsafeRead(body)
        } catch let error as DatabaseError {
            throw Self.explained(error)
        }
    }

    private func giveBack(_ connection: DatabaseQueue) {
        idle.withLock { $0.append(connection) }
    }

    private func connect() throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.prepareDatabase { database in
            // The file never changes: the shared lock is taken once and kept.
            try database.execute(sql: "PRAGMA locking_mode = EXCLUSIVE; PRAGMA mmap_size = 1073741824")
        }
        do {
            return try DatabaseQueue(path: path, configuration: configuration)
        } catch let error as DatabaseError {
            throw Self.explained(error)
        }
    }

    /// Only a corrupt file or one without the table is damage; no memory or no file descriptor left may pass.
    private static func explained(_ error: DatabaseError) -> DatastoreError {
        let isDamage = [.SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_ERROR].contains(error.resultCode)
        return DatastoreError(isDamage ? .versionDamaged : .storageFailed, "entries.sqlite: \(error)")
    }
}
