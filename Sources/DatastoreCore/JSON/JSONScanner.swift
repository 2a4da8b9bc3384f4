/// Reads JSON (RFC 8259, strictly) straight from UTF-8 bytes, one value after the other.
///
/// It exists because a row's vector is thousands of bytes of numbers: `JSONDecoder` takes many times longer for them,
/// and cannot tell an integer that it has no type for. Where both read a text, they read the same from it.
/// Refused, though other readers take them: a name that occurs twice in one object, integers beyond 64 bits, numbers
/// too large for a double (each would be changed in silence), and nesting deeper than `maximumDepth`.
///
/// The bytes must be valid UTF-8 and must outlive the scanner.
package struct JSONScanner {
    package static let maximumDepth = 128

    package let bytes: UnsafeRawBufferPointer
    /// Position of the next byte to read.
    package var offset = 0

    package init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// The next byte; 0, which no JSON holds, at the end.
    package var current: UInt8 { offset < bytes.count ? bytes[offset] : 0 }

    /// Reads one value of any kind.
    ///
    /// - Throws: `invalid_json`, or `invalid_value` for a number that would be changed.
    package mutating func value(depth: Int = 0) throws(RowFault) -> JSONValue {
        skipWhitespace()
        switch current {
        case UInt8(ascii: "\""):
            return .string(try string())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return try number()
        case UInt8(ascii: "{"):
            var members: [String: JSONValue] = [:]
            try object(depth: depth) { (name, scanner) throws(RowFault) in
                guard members.updateValue(try scanner.value(depth: depth + 1), forKey: name) == nil else {
                    throw scanner.duplicate(name)
                }
            }
            return .object(members)
        case UInt8(ascii: "["):
            var elements: [JSONValue] = []
            try array(depth: depth) { (scanner) throws(RowFault) in
                elements.append(try scanner.value(depth: depth + 1))
            }
            return .array(elements)
        case UInt8(ascii: "t") where skip("true"):
            return .bool(true)
        case UInt8(ascii: "f") where skip("false"):
            return .bool(false)
        case UInt8(ascii: "n") where skip("null"):
            return .null
        default:
            throw unexpected("a value")
        }
    }

    /// Reads an object; `member` reads the value of each name from the scanner it is given.
    package mutating func object(
        depth: Int = 0, member: (String, inout JSONScanner) throws(RowFault) -> Void
    ) throws(RowFault) {
        try open("{", depth: depth)
        if close("}") { return }
        repeat {
            skipWhitespace()
            guard current == UInt8(ascii: "\"") else { throw unexpected("a name in double quotes") }
            let name = try string()
            skipWhitespace()
            guard skip(":") else { throw unexpected("':'") }
            skipWhitespace()
            try member(name, &self)
            skipWhitespace()
        } while skip(",")
        guard close("}") else { throw unexpected("',' or '}'") }
    }

    /// Reads an array; `element` reads each element from the scanner it is given.
    package mutating func array(
        depth: Int = 0, element: (inout JSONScanner) throws(RowFault) -> Void
    ) throws(RowFault) {
        try open("[", depth: depth)
        if close("]") { return }
        repeat {
            skipWhitespace()
            try element(&self)
            skipWhitespace()
        } while skip(",")
        guard close("]") else { throw unexpected("',' or ']'") }
    }

    /// Checks that nothing but white space is left.
    package mutating func end() throws(RowFault) {
        skipWhitespace()
        guard offset == bytes.count else { throw unexpected("the end of the row") }
    }

    /// Reads a string, of which the opening quote is the next byte.
    package mutating func string() throws(RowFault) -> String {
        offset += 1
        let start = offset
        skipPlainCharacters()
        if current == UInt8(ascii: "\"") {
            offset += 1
            return String(decoding: bytes[start..<offset - 1], as: UTF8.self)
        }
        var utf8 = Array(bytes[start..<offset])
        while current == UInt8(ascii: "\\") {
            offset += 1
            utf8.append(contentsOf: String(try escape()).utf8)
            let plain = offset
            skipPlainCharacters()
            utf8.append(contentsOf: bytes[plain..<offset])
        }
        guard current == UInt8(ascii: "\"") else { throw unexpected("the end of a string") }
        offset += 1
        return String(decoding: utf8, as: UTF8.self)
    }

    package mutating func skipWhitespace() {
        while current == 0x20 || current == 0x09 || current == 0x0A || current == 0x0D { offset += 1 }
    }

    /// Goes behind `word` when it comes next.
    package mutating func skip(_ word: StaticString) -> Bool {
        let expected = UnsafeRawBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        guard bytes.count - offset >= expected.count else { return false }
        for index in 0..<expected.count where bytes[offset + index] != expected[index] { return false }
        offset += expected.count
        return true
    }

    package func unexpected(_ expected: String) -> RowFault {
        let got: String
        switch current {
        case 0 where offset >= bytes.count: got = "the end of the row"
        case 0x20..<0x7F: got = "'\(Character(Unicode.Scalar(current)))'"
        default: got = "byte 0x" + String(current, radix: 16)
        }
        return RowFault(.invalidJSON, "not valid JSON: byte \(offset): got \(got), expected \(expected)")
    }

    package func duplicate(_ name: String) -> RowFault {
        RowFault(
            .invalidJSON,
            "not valid JSON: byte \(offset): the name \"\(name.prefix(80))\" occurs twice in one object")
    }

    private mutating func open(_ bracket: StaticString, depth: Int) throws(RowFault) {
        skipWhitespace()
        guard skip(bracket) else { throw unexpected("'\(bracket)'") }
        guard depth < Self.maximumDepth else {
            throw RowFault(.invalidJSON, "byte \(offset): nested deeper than \(Self.maximumDepth) levels")
        }
    }

    private mutating func close(_ bracket: StaticString) -> Bool {
        skipWhitespace()
        return skip(bracket)
    }

    private mutating func skipPlainCharacters() {
        while current >= 0x20, current != UInt8(ascii: "\""), current != UInt8(ascii: "\\") { offset += 1 }
    }

    /// Reads what follows a backslash.
    private mutating func escape() throws(RowFault) -> Unicode.Scalar {
        let letter = current
        guard letter != UInt8(ascii: "u") else { return try unicodeEscape() }
        let scalar: Unicode.Scalar
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): scalar = Unicode.Scalar(letter)
        case UInt8(ascii: "b"): scalar = "\u{8}"
        case UInt8(ascii: "f"): scalar = "\u{C}"
        case UInt8(ascii: "n"): scalar = "\n"
        case UInt8(ascii: "r"): scalar = "\r"
        case UInt8(ascii: "t"): scalar = "\t"
        default: throw unexpected("one of \" \\ / b f n r t u after '\\'")
        }
        offset += 1
        return scalar
    }

    /// Reads `uXXXX`, or the two escapes of a surrogate pair.
    private mutating func unicodeEscape() throws(RowFault) -> Unicode.Scalar {
        let first = try hexadecimal()
        if let scalar = Unicode.Scalar(first) { return scalar }
        if (0xD800..<0xDC00).contains(first), skip("\\") {
            let second = try hexadecimal()
            if (0xDC00..<0xE000).contains(second),
                let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
            {
                return scalar
            }
        }
        throw RowFault(.invalidJSON, "not valid JSON: byte \(offset): half of a surrogate pair in a string")
    }

    private mutating func hexadecimal() throws(RowFault) -> UInt32 {
        guard skip("u") else { throw unexpected("the second half of a surrogate pair") }
        var number: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(current)).hexDigitValue else {
                throw unexpected("4 hexadecimal digits after '\\u'")
            }
            number = number << 4 | UInt32(digit)
            offset += 1
        }
        return number
    }
}
