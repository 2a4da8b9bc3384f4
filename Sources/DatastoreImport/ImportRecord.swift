package import DatastoreCore

/// What an importer makes of one row of its source.
package enum ImportRecord: Sendable, Equatable {
    case row(ImportRow)
    case reject(RejectedRow)
}

/// A row that can become an entry.
package struct ImportRow: Sendable, Equatable {
    /// Line of the rows file, from 1.
    package let line: Int
    package let fields: EntryFields
    /// As many finite numbers as the key has dimensions, not normalised; not all zero when the metric is cosine.
    package let vector: [Float]

    package init(line: Int, fields: EntryFields, vector: [Float]) {
        self.line = line
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

extension RejectedRow {
    /// Characters of the line that are kept.
    static let excerptLength = 200

    init(line: LineReader.Line, fault: RowFault) {
        // Bytes that are no UTF-8 become U+FFFD.
        let start = String(decoding: line.bytes.prefix(LineReader.excerptBytes), as: UTF8.self)
        self.init(
            line: line.number, code: fault.code, detail: fault.detail,
            excerpt: String(start.prefix(Self.excerptLength)))
    }
}
