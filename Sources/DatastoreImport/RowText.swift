import DatastoreCore
import Foundation

/// What every form asks of the strings in a row.
enum RowText {
    /// - Throws: `invalid_utf8`, saying at which byte.
    static func checkUTF8(_ bytes: UnsafeRawBufferPointer) throws(RowFault) {
        guard !bytes.isASCII, String(validating: bytes, as: UTF8.self) == nil else { return }
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        var valid = 0
        while case .scalarValue(let scalar) = decoder.decode(&iterator) { valid += UTF8.width(scalar) }
        throw RowFault(.invalidUTF8, "byte \(valid) of the row does not begin a valid UTF-8 character")
    }

    /// - Throws: `invalid_utf8`.
    static func string(_ bytes: UnsafeRawBufferPointer) throws(RowFault) -> String {
        try checkUTF8(bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Takes white space off both ends of a text.
    ///
    /// - Throws: `missing_text` when nothing is left, `invalid_value` for a NUL character.
    static func caption(_ text: String) throws(RowFault) -> String {
        let text = trimmed(try withoutNUL(text, field: "text"))
        guard !text.isEmpty else { throw RowFault(.missingText, "the text is empty") }
        return text
    }

    /// - Throws: `invalid_value`: SQLite's strings end at a NUL, so that what follows it would be lost.
    static func withoutNUL(_ string: String, field: String) throws(RowFault) -> String {
        // Strings of this module are stored as UTF-8; memchr passes over many bytes at a time.
        let hasNUL =
            string.utf8.withContiguousStorageIfAvailable { bytes in
                bytes.baseAddress.map { memchr($0, 0, bytes.count) != nil } ?? false
            } ?? string.utf8.contains(0)
        guard !hasNUL else { throw RowFault(.invalidValue, "\(field): got a NUL character") }
        return string
    }

    /// - Throws: `invalid_value`, which lists the words.
    static func origin(_ name: String) throws(RowFault) -> Origin {
        if let origin = Origin(rawValue: name) { return origin }
        let known = Origin.allCases.map(\.rawValue).joined(separator: ", ")
        throw RowFault(.invalidValue, "origin: got \"\(name.prefix(80))\", expected one of \(known)")
    }

    static func trimmed(_ text: String) -> String {
        let utf8 = text.utf8
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
        guard let first = utf8.firstIndex(where: { !isSpace($0) }), let last = utf8.lastIndex(where: { !isSpace($0) })
        else { return "" }
        // Most texts begin and end in ASCII; the others may have white space of other kinds.
        guard utf8[first] < 0x80, utf8[last] < 0x80 else {
            return text.trimmingCharacters(in: .whitespacesAndNewlines)
        }
        if first == utf8.startIndex, utf8.index(after: last) == utf8.endIndex { return text }
        return String(Substring(utf8[first...last]))
    }
}

extension UnsafeRawBufferPointer {
    /// Whether every byte is below 0x80; tested eight at a time.
    fileprivate var isASCII: Bool {
        var position = 0
        while position + 8 <= count {
            if loadUnaligned(fromByteOffset: position, as: UInt64.self) & 0x8080_8080_8080_8080 != 0 { return false }
            position += 8
        }
        return self[position...].allSatisfy { $0 < 0x80 }
    }
}
