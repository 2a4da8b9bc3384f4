import DatastoreCore

/// The rows of a file in one form, in the file's order.
protocol RowSource: AnyObject {
    /// The next row; nil after the last.
    ///
    /// - Throws: `DatastoreError` when the file as a whole cannot be read on.
    func next() throws -> SourceRow?
}

/// What a form makes of one row.
struct SourceRow {
    /// Characters of a row that a reject shows.
    static let excerptLength = 200

    /// Line of the file on which the row begins, from 1.
    let line: Int
    /// Byte of the file, inflated, at which the row begins, from 0.
    let byte: Int
    /// The row's first bytes.
    let excerptBytes: [UInt8]
    let content: Result<RowContent, RowFault>
    /// Whether it could not be read how many rows there are here: vectors that follow could belong to any.
    let mayHideRows: Bool

    /// - Parameter bytes: the whole row, or as much of it as there is.
    init(
        line: Int, byte: Int, bytes: UnsafeRawBufferPointer, content: Result<RowContent, RowFault>,
        mayHideRows: Bool = false
    ) {
        self.line = line
        self.byte = byte
        // A character of 200 may take some bytes.
        excerptBytes = Array(bytes.prefix(4 * Self.excerptLength))
        self.content = content
        self.mayHideRows = mayHideRows
    }

    /// The row as a reject shows it; bytes that are no UTF-8 become U+FFFD.
    var excerpt: String {
        String(String(decoding: excerptBytes, as: UTF8.self).prefix(Self.excerptLength))
    }
}

/// A row that its form could read.
struct RowContent {
    let fields: EntryFields
    /// The vectors that stand in the row.
    var vectors: InlineVectors?
}

extension RawRow {
    /// - Throws: `row_too_long`.
    func checkLength(maximum: Int) throws(RowFault) {
        guard isTooLong else { return }
        throw RowFault(.rowTooLong, "got a row of \(length) bytes, expected at most \(maximum)")
    }
}
