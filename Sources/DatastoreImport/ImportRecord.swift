package import DatastoreCore

/// What an importer makes of one row of its source.
package enum ImportRecord: Sendable, Equatable {
    case row(ImportRow)
    case reject(RejectedRow)
}

/// A row that can become an entry.
package struct ImportRow: Sendable, Equatable {
    /// Number of the row among the rows of the source, from 1; row n has the nth vector.
    package let row: Int
    /// Line of the rows file on which it begins, from 1.
    package let line: Int
    /// Byte of the rows file, inflated, at which it begins, from 0.
    package let byte: Int
    package let fields: EntryFields
    /// As many finite numbers as the key has dimensions, not normalised; not all zero when the metric is cosine. Nil
    /// when an encoder is to make it.
    package let vector: [Float]?

    package init(row: Int, line: Int, byte: Int, fields: EntryFields, vector: [Float]?) {
        self.row = row
        self.line = line
        self.byte = byte
        self.fields = fields
        self.vector = vector
    }
}

/// Why one row is refused; the import goes on.
package struct RowFault: Error, Equatable {
    package let code: ErrorCode
    package let detail: String

    package init(_ code: ErrorCode, _ detail: String) {
        self.code = code
        self.detail = detail
    }
}
