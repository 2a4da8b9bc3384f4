import DatastoreCore
import Foundation
import GRDB
import GRDBSQLite

/// The columns of an entry's fields, the same in versions and in pending changes.
enum EntryColumns {
    static let list = "external_id, text, image_id, origin, lang, source, payload"
    static let placeholders = "?, ?, ?, ?, ?, ?, ?"

    /// Binds the columns of `list`.
    static func bind(_ fields: EntryFields, to row: inout InsertStatement.Binder) throws {
        row.bind(fields.externalID)
        row.bind(fields.text)
        row.bind(fields.imageID)
        row.bind(fields.origin?.rawValue)
        row.bind(fields.lang)
        row.bind(fields.source)
        row.bind(try fields.payload.map { String(decoding: try WireJSON.encode($0), as: UTF8.self) })
    }

    /// Reads the columns of `list`, the first of which is at `offset`.
    static func fields(_ row: Row, offset: Int) throws -> EntryFields {
        EntryFields(
            externalID: row[offset], text: row[offset + 1], imageID: row[offset + 2],
            origin: (row[offset + 3] as String?).flatMap(Origin.init(rawValue:)), lang: row[offset + 4],
            source: row[offset + 5],
            payload: try (row[offset + 6] as String?).map { text in
                var text = text
                return try text.withUTF8 { try payload(UnsafeRawBufferPointer($0)) }
            }
        )
    }

    /// Reads the same columns from a statement that stands on a row.
    static func fields(_ statement: OpaquePointer, offset: Int32) throws -> EntryFields {
        func bytes(_ column: Int32) -> UnsafeRawBufferPointer? {
            sqlite3_column_text(statement, offset + column).map {
                UnsafeRawBufferPointer(start: $0, count: Int(sqlite3_column_bytes(statement, offset + column)))
            }
        }
        func text(_ column: Int32) -> String? { bytes(column).map { String(decoding: $0, as: UTF8.self) } }
        return EntryFields(
            externalID: text(0), text: text(1) ?? "", imageID: text(2), origin: text(3).flatMap(Origin.init(rawValue:)),
            lang: text(4), source: text(5), payload: try bytes(6).map(payload))
    }

    /// What was written by `arguments`; what a bundle brought may have forms that only `JSONDecoder` reads.
    private static func payload(_ text: UnsafeRawBufferPointer) throws -> JSONValue {
        var scanner = JSONScanner(text)
        do throws(RowFault) {
            let value = try scanner.value()
            try scanner.end()
            return value
        } catch {
            return try WireJSON.decode(JSONValue.self, from: Data(text))
        }
    }
}
