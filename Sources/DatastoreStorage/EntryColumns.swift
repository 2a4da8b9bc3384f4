import DatastoreCore
import Foundation
import GRDB

/// The columns of an entry's fields, the same in versions and in pending changes.
enum EntryColumns {
    static let list = "external_id, text, image_id, origin, lang, source, payload"
    static let placeholders = "?, ?, ?, ?, ?, ?, ?"

    static func arguments(_ fields: EntryFields) throws -> [(any DatabaseValueConvertible)?] {
        let payload = try fields.payload.map { String(decoding: try WireJSON.encode($0), as: UTF8.self) }
        return [
            fields.externalID, fields.text, fields.imageID, fields.origin?.rawValue, fields.lang, fields.source,
            payload,
        ]
    }

    /// Reads the columns of `list`, the first of which is at `offset`.
    static func fields(_ row: Row, offset: Int) throws -> EntryFields {
        EntryFields(
            externalID: row[offset], text: row[offset + 1], imageID: row[offset + 2],
            origin: (row[offset + 3] as String?).flatMap(Origin.init(rawValue:)), lang: row[offset + 4],
            source: row[offset + 5],
            payload: try (row[offset + 6] as String?).map {
                try WireJSON.decode(JSONValue.self, from: Data($0.utf8))
            }
        )
    }
}
