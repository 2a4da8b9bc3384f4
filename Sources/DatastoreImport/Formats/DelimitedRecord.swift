/// How the fields of a record are told apart.
struct DelimitedSyntax: Sendable, Equatable {
    static let comma = DelimitedSyntax(delimiter: UInt8(ascii: ","), hasQuotedNewlines: true)
    static let semicolon = DelimitedSyntax(delimiter: UInt8(ascii: ";"), hasQuotedNewlines: true)
    static let tab = DelimitedSyntax(delimiter: UInt8(ascii: "\t"), hasQuotedNewlines: false)

    let delimiter: UInt8
    /// RFC 4180: a field in double quotes may hold delimiters, line ends and, doubled, quotes. Otherwise, as in most
    /// files with tabs, a line is a record and a quote means something only around a whole field.
    let hasQuotedNewlines: Bool
}

/// One field of a record.
struct DelimitedField: Equatable {
    /// Where it stands in the record's bytes, quotes left out.
    var range: Range<Int>
    var isQuoted = false

    func string(in record: UnsafeRawBufferPointer) -> String {
        let text = String(decoding: record[range], as: UTF8.self)
        return isQuoted ? text.replacing("\"\"", with: "\"") : text
    }
}

/// What stands at the start of some bytes.
enum DelimitedRecord {
    /// - Parameters:
    ///   - length: of the record, without its line end.
    ///   - end: where the next record begins.
    case fields([DelimitedField], length: Int, end: Int)
    /// A record that goes on behind the bytes.
    case unfinished
    /// What no record begins like.
    case malformed(String)

    /// Bytes that a record with quotes may have: a quote that never closes must not swallow the file.
    static let maximumQuotedBytes = 64 * 1024

    /// - Parameter isWhole: whether nothing follows the bytes, so that their end is the last record's.
    init(_ bytes: UnsafeRawBufferPointer, syntax: DelimitedSyntax, isWhole: Bool) {
        self =
            syntax.hasQuotedNewlines
            ? Self.quoted(bytes, delimiter: syntax.delimiter, isWhole: isWhole)
            : Self.line(bytes, delimiter: syntax.delimiter, isWhole: isWhole)
    }

    private static func line(
        _ bytes: UnsafeRawBufferPointer, delimiter: UInt8, isWhole: Bool
    ) -> DelimitedRecord {
        let newline = bytes.newline(from: 0)
        guard newline != nil || isWhole else { return .unfinished }
        var length = newline ?? bytes.count
        if length > 0, bytes[length - 1] == 0x0D { length -= 1 }
        var fields: [DelimitedField] = []
        var start = 0
        while true {
            let end = bytes[start..<length].firstIndex(of: delimiter) ?? length
            fields.append(unquoted(bytes, start..<end))
            if end == length { break }
            start = end + 1
        }
        return .fields(fields, length: length, end: newline.map { $0 + 1 } ?? bytes.count)
    }

    /// A field that is quoted as a whole, without its quotes; any other as it is.
    private static func unquoted(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> DelimitedField {
        let quote = UInt8(ascii: "\"")
        guard range.count >= 2, bytes[range.lowerBound] == quote, bytes[range.upperBound - 1] == quote else {
            return DelimitedField(range: range)
        }
        let inner = range.lowerBound + 1..<range.upperBound - 1
        var position = inner.lowerBound
        while let found = bytes[position..<inner.upperBound].firstIndex(of: quote) {
            guard found + 1 < inner.upperBound, bytes[found + 1] == quote else { return DelimitedField(range: range) }
            position = found + 2
        }
        return DelimitedField(range: inner, isQuoted: true)
    }

    private static func quoted(
        _ bytes: UnsafeRawBufferPointer, delimiter: UInt8, isWhole: Bool
    ) -> DelimitedRecord {
        var fields: [DelimitedField] = []
        var position = 0
        while true {
            var field = DelimitedField(range: position..<position)
            if position < bytes.count, bytes[position] == UInt8(ascii: "\"") {
                let start = position + 1
                guard let close = closingQuote(bytes, from: start) else {
                    if !isWhole, bytes.count <= maximumQuotedBytes { return .unfinished }
                    return .malformed(
                        "the quote at byte \(position) of the row never closes, or not within \(maximumQuotedBytes) "
                            + "bytes")
                }
                field = DelimitedField(range: start..<close, isQuoted: true)
                position = close + 1
                if position + 1 < bytes.count, bytes[position] == 0x0D, bytes[position + 1] == 0x0A { position += 1 }
                if position == bytes.count - 1, bytes[position] == 0x0D, isWhole { position += 1 }
                if position < bytes.count, bytes[position] != delimiter, bytes[position] != 0x0A {
                    if bytes[position] == 0x0D, position == bytes.count - 1 { return .unfinished }
                    return .malformed(
                        "byte \(position) of the row: got more text behind a closing quote, expected a delimiter or "
                            + "the end of the line")
                }
            } else {
                while position < bytes.count, bytes[position] != delimiter, bytes[position] != 0x0A { position += 1 }
                field.range = field.range.lowerBound..<position
            }
            guard position < bytes.count else {
                guard isWhole else { return .unfinished }
                fields.append(field.withoutReturn(bytes))
                return .fields(fields, length: lengthWithoutReturn(bytes, position), end: position)
            }
            if bytes[position] == 0x0A {
                fields.append(field.withoutReturn(bytes))
                return .fields(fields, length: lengthWithoutReturn(bytes, position), end: position + 1)
            }
            fields.append(field)
            position += 1
        }
    }

    /// The quote that ends a field which began behind a quote; nil when it is not among the bytes that a record may have.
    private static func closingQuote(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        let limit = min(bytes.count, maximumQuotedBytes)
        var position = start
        while position < limit {
            guard bytes[position] == UInt8(ascii: "\"") else {
                position += 1
                continue
            }
            guard position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "\"") else {
                return position
            }
            position += 2
        }
        return nil
    }

    private static func lengthWithoutReturn(_ bytes: UnsafeRawBufferPointer, _ length: Int) -> Int {
        length > 0 && bytes[length - 1] == 0x0D ? length - 1 : length
    }
}

extension DelimitedField {
    /// The last field of a line, without the `\r` of a line end.
    fileprivate func withoutReturn(_ bytes: UnsafeRawBufferPointer) -> DelimitedField {
        guard !isQuoted, let last = range.last, bytes[last] == 0x0D else { return self }
        return DelimitedField(range: range.lowerBound..<last)
    }
}
