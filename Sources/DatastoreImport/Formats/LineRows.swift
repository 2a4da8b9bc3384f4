import DatastoreCore

/// A form of which each line that is not blank is a row.
protocol LineForm {
    /// What a line says; nil when it is no row, as a header is none.
    ///
    /// - Throws: what is wrong with the row.
    mutating func content(of line: UnsafeRawBufferPointer) throws(RowFault) -> RowContent?
}

/// The rows of a file of lines.
final class LineRows<Form: LineForm>: RowSource {
    private let lines: LineReader
    private var form: Form

    init(_ form: Form, window: ByteWindow, maximumRowBytes: Int) {
        lines = LineReader(window: window, maximumLineBytes: maximumRowBytes)
        self.form = form
    }

    func next() throws -> SourceRow? {
        while true {
            // The outer nil is the end of the file, the inner one a line that is no row.
            let found = try lines.withNextLine { line -> SourceRow? in line.isBlank ? nil : row(line) }
            guard let found else { return nil }
            if let found { return found }
        }
    }

    private func row(_ line: RawRow) -> SourceRow? {
        let content: Result<RowContent, RowFault>
        do throws(RowFault) {
            try line.checkLength(maximum: lines.maximumLineBytes)
            guard let row = try form.content(of: line.bytes) else { return nil }
            content = .success(row)
        } catch {
            content = .failure(error)
        }
        return SourceRow(line: line.line, byte: line.byte, bytes: line.bytes, content: content)
    }
}
