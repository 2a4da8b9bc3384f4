/// Writes JSON as `WireJSON.encode` does, byte for byte, and straight to UTF-8: an answer of ten results takes
/// `JSONEncoder`, which makes a tree of all values first, longer than the search of a small datastore takes.
///
/// Names come in the order in which they are written: who writes an object writes them sorted.
package struct JSONWriter {
    package private(set) var bytes: [UInt8] = []
    /// Whether the next member or element follows another.
    private var isBehindOther = false

    package init(reservingCapacity capacity: Int = 1024) {
        bytes.reserveCapacity(capacity)
    }

    /// Writes an object; `members` writes its members.
    package mutating func object(_ members: (inout JSONWriter) throws -> Void) rethrows {
        try nested(UInt8(ascii: "{"), UInt8(ascii: "}"), members)
    }

    /// Writes an array of what `write` writes of each of `elements`.
    package mutating func array<Element>(
        _ elements: some Sequence<Element>, _ write: (inout JSONWriter, Element) throws -> Void
    ) rethrows {
        try nested(UInt8(ascii: "["), UInt8(ascii: "]")) { writer in
            for element in elements {
                writer.separate()
                try write(&writer, element)
            }
        }
    }

    private mutating func nested(
        _ open: UInt8, _ close: UInt8, _ body: (inout JSONWriter) throws -> Void
    ) rethrows {
        bytes.append(open)
        isBehindOther = false
        try body(&self)
        bytes.append(close)
        isBehindOther = true
    }

    private mutating func separate() {
        if isBehindOther { bytes.append(UInt8(ascii: ",")) }
        isBehindOther = true
    }

    /// Writes a member; `write` writes its value.
    package mutating func member(_ name: StaticString, _ write: (inout JSONWriter) throws -> Void) rethrows {
        separate()
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
        try write(&self)
    }

    /// Writes a member, or nothing when there is no value.
    package mutating func memberIfPresent<Value>(
        _ name: StaticString, _ value: Value?, _ write: (inout JSONWriter, Value) throws -> Void
    ) rethrows {
        guard let value else { return }
        try member(name) { try write(&$0, value) }
    }

    // MARK: Values

    package mutating func null() { bytes.append(contentsOf: "null".utf8) }

    package mutating func bool(_ value: Bool) { bytes.append(contentsOf: (value ? "true" : "false").utf8) }

    package mutating func integer(_ value: some FixedWidthInteger) {
        bytes.append(contentsOf: value.description.utf8)
    }

    /// - Throws: `EncodingError` for what is not finite.
    package mutating func number(_ value: some BinaryFloatingPoint & CustomStringConvertible) throws {
        guard value.isFinite else {
            throw EncodingError.invalidValue(
                value, .init(codingPath: [], debugDescription: "\(value) is no number of JSON"))
        }
        bytes.append(contentsOf: value.description.utf8)
        if bytes.suffix(2).elementsEqual(".0".utf8) { bytes.removeLast(2) }
    }

    package mutating func string(_ value: String) {
        bytes.append(UInt8(ascii: "\""))
        var value = value
        value.withUTF8 { utf8 in
            var plain = 0
            for index in 0..<utf8.count {
                let byte = utf8[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[plain..<index]))
                escape(byte)
                plain = index + 1
            }
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[plain...]))
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        case 0..<0x20:
            let digits = Array("0123456789abcdef".utf8)
            bytes.append(contentsOf: "u00".utf8)
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        default: bytes.append(byte)
        }
    }

    package mutating func value(_ value: JSONValue) throws {
        switch value {
        case .null: null()
        case .bool(let value): bool(value)
        case .integer(let value): integer(value)
        case .number(let value): try number(value)
        case .string(let value): string(value)
        case .array(let values): try array(values) { try $0.value($1) }
        case .object(let members): try object(members) { try $0.value($1) }
        }
    }

    /// Writes an object of numbers.
    package mutating func numbers(_ members: [String: Float]) throws {
        try object(members) { try $0.number($1) }
    }

    private mutating func object<Value>(
        _ members: [String: Value], _ write: (inout JSONWriter, Value) throws -> Void
    ) rethrows {
        try object { writer in
            for (name, value) in members.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
                writer.separate()
                writer.string(name)
                writer.bytes.append(UInt8(ascii: ":"))
                try write(&writer, value)
            }
        }
    }

    /// Writes what has no form here as `WireJSON` encodes it.
    package mutating func encoded(_ value: some Encodable) throws {
        bytes.append(contentsOf: try WireJSON.encode(value))
    }
}
