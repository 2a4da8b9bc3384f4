import DatastoreCore

/// A form of which each element of a JSON array is a row, or several.
protocol ElementForm {
    /// The member of the document's object that holds the array; nil when the document is the array.
    static var member: String? { get }

    /// The rows of one element.
    mutating func rows(of element: UnsafeRawBufferPointer) -> [ElementRow]

    /// Whether an element may be other than one row.
    static var hasManyRows: Bool { get }

    /// Called at the end of the file.
    ///
    /// - Parameters:
    ///   - name: the file's.
    ///   - rows: how many were given.
    /// - Throws: `DatastoreError` when the file has not what was asked for.
    func finish(name: String, rows: Int) throws
}

extension ElementForm {
    static var member: String? { nil }
    static var hasManyRows: Bool { false }
    func finish(name: String, rows: Int) throws {}
}

/// One row of an element.
struct ElementRow {
    /// Where the row stands in the element's bytes, behind those of the rows before; nil when it is the whole element.
    var range: Range<Int>?
    var content: Result<RowContent, RowFault>
    /// Whether it stands for an element of which the rows cannot be told.
    var mayHideRows = false

    /// A row that is a whole element.
    init(_ content: () throws(RowFault) -> RowContent) {
        self.content = Result(catching: content)
    }

    /// A row that is part of an element.
    init(range: Range<Int>, _ content: () throws(RowFault) -> RowContent) {
        self.range = range
        self.content = Result(catching: content)
    }

    /// An element that cannot be read.
    init(unreadable fault: RowFault) {
        content = .failure(fault)
        mayHideRows = true
    }
}

/// The rows of a JSON document, read as a stream.
final class ElementRows<Form: ElementForm>: RowSource {
    private enum State {
        case start, members, elements, ended
    }

    private let stream: JSONStream
    private let maximumRowBytes: Int
    private var form: Form
    private var state = State.start
    /// Names of the document's members, as far as messages list them.
    private var members: [String] = []
    private var hasElements = false
    /// Rows of the last element that were not given yet, the last one first.
    private var waiting: [SourceRow] = []
    private var rows = 0

    init(_ form: Form, window: ByteWindow, maximumRowBytes: Int) {
        stream = JSONStream(window: window, maximumValueBytes: maximumRowBytes)
        self.maximumRowBytes = maximumRowBytes
        self.form = form
    }

    func next() throws -> SourceRow? {
        while true {
            if let row = waiting.popLast() {
                rows += 1
                return row
            }
            switch state {
            case .start: try start()
            case .members: try nextMember()
            case .elements: try nextElement()
            case .ended: return nil
            }
        }
    }

    private func start() throws {
        guard let first = try stream.peek() else {
            state = .ended
            return
        }
        guard try stream.enter(Form.member == nil ? "[" : "{") else {
            throw mismatch("got '\(Unicode.Scalar(first))' as the first character")
        }
        state = Form.member == nil ? .elements : .members
    }

    private func nextMember() throws {
        guard let name = try stream.nextMember() else {
            guard hasElements else {
                let names = members.map { "\"\($0.prefix(80))\"" }.joined(separator: ", ")
                throw mismatch("got the members \(names.isEmpty ? "none" : names)")
            }
            return try end()
        }
        guard name == Form.member else {
            if members.count < 10 { members.append(name) }
            return try stream.skipValue()
        }
        guard !hasElements else { throw stream.unexpected("\"\(name)\" no more than once") }
        guard try stream.enter("[") else { throw mismatch("got \"\(name)\" that is no array") }
        hasElements = true
        state = .elements
    }

    private func nextElement() throws {
        guard try stream.nextElement() else {
            if Form.member == nil { try end() } else { state = .members }
            return
        }
        try stream.withValue { element in
            do throws(RowFault) {
                try element.checkLength(maximum: maximumRowBytes)
            } catch {
                return waiting.append(row(of: ElementRow(unreadable: error), in: element, line: element.line))
            }
            var line = element.line
            var counted = 0
            for part in form.rows(of: element.bytes) {
                if let start = part.range?.lowerBound, start > counted {
                    line += UnsafeRawBufferPointer(rebasing: element.bytes[counted..<start]).newlines
                    counted = start
                }
                waiting.append(row(of: part, in: element, line: line))
            }
            waiting.reverse()
        }
    }

    /// - Parameter line: on which the row begins.
    private func row(of row: ElementRow, in element: RawRow, line: Int) -> SourceRow {
        let range = row.range ?? 0..<element.bytes.count
        return SourceRow(
            line: line, byte: element.byte + range.lowerBound,
            bytes: UnsafeRawBufferPointer(rebasing: element.bytes[range]), content: row.content,
            mayHideRows: row.mayHideRows && Form.hasManyRows)
    }

    private func end() throws {
        try stream.finish()
        state = .ended
        try form.finish(name: stream.name, rows: rows)
    }

    private func mismatch(_ got: String) -> DatastoreError {
        let expected = Form.member.map { "an object with an array \"\($0)\"" } ?? "an array"
        return DatastoreError(.formatMismatch, "\(stream.name): \(got), expected \(expected)")
    }
}
