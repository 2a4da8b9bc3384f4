import DatastoreCore

/// Walks through one JSON document that need not fit in memory: goes into its objects and arrays, hands out the bytes
/// of one value at a time and skips the others.
///
/// It knows the document's structure (brackets, commas, names, where strings end), not what is in a value: whoever
/// gets a value's bytes reads them with `JSONScanner`. Memory is bounded by the longest value that is given whole.
///
/// Structural damage, and the end of the file inside the document, is `invalid_json`, which says at which byte and line
/// and in which element, for example `annotations[12]`.
///
/// Not thread-safe: one thread reads at a time.
final class JSONStream {
    /// An object or array that was entered.
    private struct Container {
        let closer: UInt8
        var count = 0
        /// The member that is being read, in an object.
        var member: String?
    }

    private let window: ByteWindow
    private let maximumValueBytes: Int
    private var containers: [Container] = []

    /// - Parameter maximumValueBytes: longest value given whole.
    init(window: ByteWindow, maximumValueBytes: Int) {
        self.window = window
        self.maximumValueBytes = maximumValueBytes
    }

    /// The file's base name.
    var name: String { window.source.name }

    /// Where the reading is, for messages: for example `annotations[12]`; empty at the document itself.
    var path: String {
        containers.reduce(into: "") { path, container in
            if let member = container.member {
                path += path.isEmpty ? String(member.prefix(80)) : ".\(member.prefix(80))"
            } else if container.closer == UInt8(ascii: "]"), container.count > 0 {
                path += "[\(container.count - 1)]"
            }
        }
    }

    /// The first byte of what comes next, white space aside; nil at the end of the file.
    func peek() throws -> UInt8? {
        while true {
            let bytes = window.bytes
            let spaces = bytes.firstIndex { !Self.isSpace($0) } ?? bytes.count
            if spaces > 0 { window.drop(spaces) }
            if spaces < bytes.count { return bytes[spaces] }
            if window.isAtEnd { return nil }
            try window.fill()
        }
    }

    /// Goes into the object or array that comes next.
    ///
    /// - Returns: false, with nothing read, when something else comes next.
    func enter(_ bracket: Unicode.Scalar) throws -> Bool {
        guard let next = try peek() else { throw endOfFile() }
        guard next == UInt8(ascii: bracket) else { return false }
        window.drop(1, lines: 0)
        containers.append(Container(closer: UInt8(ascii: bracket == "{" ? "}" : "]")))
        return true
    }

    /// Goes to the value of the next member of the object that was entered last.
    ///
    /// - Returns: the member's name; nil, behind the object, after the last.
    func nextMember() throws -> String? {
        guard try advance() else { return nil }
        guard try peek() == UInt8(ascii: "\"") else { throw unexpected("a name in double quotes") }
        let name = try withValue { value in
            Result { () throws(RowFault) in
                try value.checkLength(maximum: maximumValueBytes)
                var scanner = JSONScanner(value.bytes)
                return try scanner.string()
            }
        }
        let member: String
        switch name {
        case .success(let name): member = name
        case .failure(let error): throw fault("a name: \(error.detail)")
        }
        guard try peek() == UInt8(ascii: ":") else { throw unexpected("':'") }
        window.drop(1, lines: 0)
        containers[containers.count - 1].member = member
        return member
    }

    /// Goes to the next element of the array that was entered last.
    ///
    /// - Returns: false, behind the array, after the last.
    func nextElement() throws -> Bool { try advance() }

    /// Gives the value that comes next to `body`, and goes behind it.
    ///
    /// - Throws: what `body` throws, or `invalid_json`.
    func withValue<Result>(_ body: (RawRow) throws -> Result) throws -> Result {
        guard try peek() != nil else { throw endOfFile() }
        let (line, byte) = (window.line, window.offset)
        var extent = JSONExtent()
        var scanned = 0
        while scanned <= maximumValueBytes {
            if let end = try self.end(of: &extent, from: scanned) {
                guard end <= maximumValueBytes else { break }
                defer { window.drop(end) }
                let bytes = UnsafeRawBufferPointer(rebasing: window.bytes[..<end])
                return try body(RawRow(line: line, byte: byte, bytes: bytes, length: end, isTooLong: false))
            }
            scanned = window.count
            try window.fill()
        }
        let excerpt = Array(window.bytes.prefix(RawRow.excerptBytes))
        try skipValue()
        let length = window.offset - byte
        return try excerpt.withUnsafeBytes { bytes in
            try body(RawRow(line: line, byte: byte, bytes: bytes, length: length, isTooLong: true))
        }
    }

    /// Goes behind the value that comes next.
    func skipValue() throws {
        guard try peek() != nil else { throw endOfFile() }
        var extent = JSONExtent()
        while true {
            if let end = try end(of: &extent, from: 0) { return window.drop(end) }
            window.drop(window.count)
            try window.fill()
        }
    }

    /// Checks that nothing but white space follows the document.
    func finish() throws {
        guard try peek() == nil else { throw unexpected("the end of the file, for the document is complete") }
    }

    func unexpected(_ expected: String) -> DatastoreError {
        guard let next = window.bytes.first else { return endOfFile() }
        return fault("got \(Self.description(of: next)), expected \(expected)")
    }

    private func endOfFile() -> DatastoreError {
        fault("the file ends before the document does; it was cut")
    }

    private func fault(_ message: String) -> DatastoreError {
        let place = path.isEmpty ? "" : ", in \(path)"
        return DatastoreError(
            .invalidJSON, "\(name): not valid JSON: byte \(window.offset), line \(window.line)\(place): \(message)")
    }

    private func advance() throws -> Bool {
        guard let container = containers.last else { return false }
        containers[containers.count - 1].member = nil
        if try peek() == container.closer {
            window.drop(1, lines: 0)
            containers.removeLast()
            return false
        }
        if container.count > 0 {
            guard try peek() == UInt8(ascii: ",") else {
                throw unexpected("',' or '\(Unicode.Scalar(container.closer))'")
            }
            window.drop(1, lines: 0)
        }
        containers[containers.count - 1].count += 1
        return true
    }

    private func end(of extent: inout JSONExtent, from: Int) throws -> Int? {
        do throws(JSONExtent.Fault) {
            if let end = try extent.end(in: window.bytes, from: from) { return end }
        } catch {
            window.drop(min(error.position, window.count))
            throw error.expected.map { unexpected($0) }
                ?? fault("values nested deeper than \(JSONExtent.maximumDepth) levels")
        }
        if window.isAtEnd {
            window.drop(window.count)
            throw endOfFile()
        }
        return nil
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
    }

    private static func description(of byte: UInt8) -> String {
        (0x20..<0x7F).contains(byte) ? "'\(Unicode.Scalar(byte))'" : "byte 0x" + String(byte, radix: 16)
    }
}

/// Finds where one JSON value ends, from bytes that come piece by piece.
struct JSONExtent {
    /// More than `JSONScanner` reads, so that a value too deep for it is still one value.
    static let maximumDepth = 1024

    struct Fault: Error {
        let position: Int
        /// Nil when the value is nested too deep.
        let expected: String?
    }

    private enum State {
        case start, structure, string, escape, scalar
    }

    private var state = State.start
    /// What closes the objects and arrays that are open.
    private var closers: [UInt8] = []

    /// Where the value ends, or nil when it goes on behind `bytes`.
    ///
    /// - Parameter position: where to go on; all before it was given before. The value begins at the first byte.
    mutating func end(in bytes: UnsafeRawBufferPointer, from position: Int) throws(Fault) -> Int? {
        var position = position
        while position < bytes.count {
            var byte = bytes[position]
            switch state {
            case .string:
                while byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), position + 1 < bytes.count {
                    position += 1
                    byte = bytes[position]
                }
                if byte == UInt8(ascii: "\"") {
                    state = .structure
                    if closers.isEmpty { return position + 1 }
                } else if byte == UInt8(ascii: "\\") {
                    state = .escape
                }
            case .escape:
                state = .string
            case .structure:
                if try structure(byte, at: position) { return position + 1 }
            case .scalar:
                if Self.endsScalar(byte) { return position }
            case .start:
                state = .structure
                if Self.endsScalar(byte) || byte == UInt8(ascii: ":") {
                    throw Fault(position: position, expected: "a value")
                }
                _ = try structure(byte, at: position)
                if state == .structure, closers.isEmpty { state = .scalar }
            }
            position += 1
        }
        return nil
    }

    /// Takes a byte outside strings; true when it ends the value.
    private mutating func structure(_ byte: UInt8, at position: Int) throws(Fault) -> Bool {
        switch byte {
        case UInt8(ascii: "\""):
            state = .string
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            guard closers.count < Self.maximumDepth else { throw Fault(position: position, expected: nil) }
            // '}' follows '{' in ASCII as ']' follows '[', by two.
            closers.append(byte + 2)
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            guard let closer = closers.popLast(), closer == byte else {
                throw Fault(position: position, expected: byte == UInt8(ascii: "}") ? "']'" : "'}'")
            }
            return closers.isEmpty
        default:
            break
        }
        return false
    }

    private static func endsScalar(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x20, 0x09, 0x0A, 0x0D, UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"): true
        default: false
        }
    }
}
