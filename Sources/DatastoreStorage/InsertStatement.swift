import GRDB
import GRDBSQLite

/// An INSERT that is run for many rows: values are bound as they are, without the arrays of arguments that GRDB makes for each
/// run.
///
/// Not thread-safe; valid inside the closure that gave the database.
struct InsertStatement {
    /// A column's value.
    struct Binder {
        fileprivate let statement: OpaquePointer
        private var position: Int32 = 0

        fileprivate init(_ statement: OpaquePointer) {
            self.statement = statement
        }

        mutating func bind(_ value: Int64?) {
            position += 1
            if let value {
                sqlite3_bind_int64(statement, position, value)
            } else {
                sqlite3_bind_null(statement, position)
            }
        }

        mutating func bind(_ text: String?) {
            position += 1
            guard var text else {
                sqlite3_bind_null(statement, position)
                return
            }
            text.withUTF8 { bytes in
                // An address for the empty string too: a null one would be NULL.
                bytes.withMemoryRebound(to: CChar.self) { characters in
                    withUnsafePointer(to: CChar(0)) { nothing in
                        _ = sqlite3_bind_text(
                            statement, position, characters.baseAddress ?? nothing, Int32(characters.count), copied)
                    }
                }
            }
        }

        /// SQLITE_TRANSIENT: SQLite keeps a copy.
        private var copied: sqlite3_destructor_type { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }
    }

    private let statement: Statement

    init(_ sql: String, _ database: Database) throws {
        statement = try database.cachedStatement(sql: sql)
    }

    /// Inserts a row; `bind` binds the values of all columns, in their order.
    func run(_ bind: (inout Binder) throws -> Void) throws {
        let handle = statement.sqliteStatement
        sqlite3_reset(handle)
        defer { sqlite3_reset(handle) }
        var binder = Binder(handle)
        try bind(&binder)
        let code = sqlite3_step(handle)
        guard code == SQLITE_DONE else {
            throw DatabaseError(
                resultCode: ResultCode(rawValue: code),
                message: String(cString: sqlite3_errmsg(sqlite3_db_handle(handle))))
        }
    }
}
