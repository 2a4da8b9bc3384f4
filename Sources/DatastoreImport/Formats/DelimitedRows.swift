import DatastoreCore

/// The rows of a file of columns: comma-separated (RFC 4180; commas or semicolons, found out) or tab-separated.
///
/// A record that cannot be taken apart, such as one with a quote that never closes, is rejected as far as its first
/// line goes, and reading goes on at the next.
final class DelimitedRows: RowSource {
    private let window: ByteWindow
    private let syntax: DelimitedSyntax
    /// Nil when the file has no records.
    private let layout: ColumnLayout?
    private let maximumRowBytes: Int
    private var isBehindHeader: Bool

    /// - Parameter window: at the file's start, of which as much is looked at as was read.
    /// - Throws: `unknown_column`.
    init(window: ByteWindow, isTabs: Bool, options: ImportOptions, maximumRowBytes: Int) throws {
        let rows = RowsSample(window)
        let syntax = isTabs ? .tab : rows.commaSyntax
        let sample = rows.records(syntax)
        self.window = window
        self.syntax = syntax
        self.maximumRowBytes = maximumRowBytes
        layout =
            sample.records.isEmpty
            ? nil : try ColumnLayout(sample: sample, options: options, file: window.source.name)
        isBehindHeader = layout?.hasHeader != true
    }

    func next() throws -> SourceRow? {
        while true {
            if window.count == 0 {
                if window.isAtEnd { return nil }
                try window.fill()
                continue
            }
            switch DelimitedRecord(window.bytes, syntax: syntax, isWhole: window.isAtEnd) {
            case .unfinished:
                if window.count > maximumRowBytes, let row = try skipLine(because: nil) { return row }
                try window.fill()
            case .malformed(let reason):
                if let row = try skipLine(because: RowFault(.malformedRow, reason)) { return row }
            case .fields(let fields, let length, let end):
                let bytes = UnsafeRawBufferPointer(rebasing: window.bytes[..<length])
                defer { window.drop(end) }
                if let row = row(bytes, fields) { return row }
            }
        }
    }

    /// The row of a record; nil when it is blank or the header.
    private func row(_ bytes: UnsafeRawBufferPointer, _ fields: [DelimitedField]) -> SourceRow? {
        let row = RawRow(
            line: window.line, byte: window.offset, bytes: bytes, length: bytes.count,
            isTooLong: bytes.count > maximumRowBytes)
        if row.isBlank { return nil }
        if !isBehindHeader {
            isBehindHeader = true
            return nil
        }
        let content = Result { () throws(RowFault) in
            try row.checkLength(maximum: maximumRowBytes)
            try RowText.checkUTF8(bytes)
            let record = fields.map { $0.string(in: bytes) }
            guard let layout else { return RowContent(fields: EntryFields(text: try RowText.caption(record[0]))) }
            return RowContent(fields: try layout.fields(of: record))
        }
        return SourceRow(line: row.line, byte: row.byte, bytes: bytes, content: content)
    }

    /// Rejects the first line, which is too long when nothing else is wrong with it.
    private func skipLine(because fault: RowFault?) throws -> SourceRow? {
        let (line, byte) = (window.line, window.offset)
        let excerpt = Array(
            window.bytes[..<(window.bytes.newline(from: 0) ?? window.count)].prefix(RawRow.excerptBytes))
        let length = try window.skipLine()
        let fault =
            fault
            ?? RowFault(.rowTooLong, "got a row of \(length) bytes, expected at most \(maximumRowBytes)")
        return excerpt.withUnsafeBytes { bytes in
            SourceRow(line: line, byte: byte, bytes: bytes, content: .failure(fault))
        }
    }
}
