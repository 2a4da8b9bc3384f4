import DatastoreCore
import Foundation
import NIOCore

/// Reads `multipart/form-data` (RFC 7578) part by part, holding no more than a chunk of the body and a delimiter.
struct MultipartReader {
    /// Where the reader stands. What precedes the first delimiter counts as content of no part.
    private enum Place {
        case content
        case header
        case end
    }

    private var body: LimitedBody
    /// What is read and not given yet. A line break is put before the body, so that every delimiter starts with one.
    private var buffer = ByteBuffer(string: "\r\n")
    private let delimiter: [UInt8]
    private var place = Place.content
    private static let headerLimit = 16 * 1024

    /// - Throws: `invalid_multipart` when the content type names no boundary.
    init(_ body: LimitedBody, contentType: String) throws {
        self.body = body
        let boundary = Self.value(of: "boundary", in: contentType)
        guard let boundary, !boundary.isEmpty, boundary.utf8.count <= 70 else {
            throw DatastoreError(
                .invalidMultipart,
                "got Content-Type \"\(contentType)\", expected a boundary of 1 to 70 characters in it")
        }
        delimiter = Array("\r\n--\(boundary)".utf8)
    }

    /// Goes to the next part and gives its name, nil after the last.
    ///
    /// - Throws: `invalid_multipart`, `upload_incomplete`.
    mutating func nextPart() async throws -> String? {
        while try await nextChunk() != nil {}
        return place == .end ? nil : try await readHeader()
    }

    /// The next bytes of the current part, nil at its end.
    ///
    /// - Throws: `invalid_multipart`, `upload_incomplete`.
    mutating func nextChunk() async throws -> ByteBuffer? {
        while place == .content {
            if let found = position(of: delimiter) {
                if found > 0 { return buffer.readSlice(length: found) }
                try await passDelimiter()
                break
            }
            let certain = buffer.readableBytes - (delimiter.count - 1)
            if certain > 0 { return buffer.readSlice(length: certain) }
            try await fill()
        }
        return nil
    }

    /// Reads a delimiter: `--` after it ends the body, a line break begins a part.
    private mutating func passDelimiter() async throws {
        buffer.moveReaderIndex(forwardBy: delimiter.count)
        while buffer.readableBytes < 2 { try await fill() }
        let next = buffer.readBytes(length: 2)
        if next == Array("--".utf8) {
            place = .end
            while try await body.next() != nil {}
        } else if next == Array("\r\n".utf8) {
            // Left for the headers: those of a part that has none end with their first line break.
            buffer.moveReaderIndex(to: buffer.readerIndex - 2)
            place = .header
        } else {
            throw DatastoreError(.invalidMultipart, "the boundary is not followed by a line break or by --")
        }
    }

    private mutating func readHeader() async throws -> String {
        let end = Array("\r\n\r\n".utf8)
        while position(of: end) == nil {
            guard buffer.readableBytes <= Self.headerLimit else {
                throw DatastoreError(.invalidMultipart, "the headers of a part are over \(Self.headerLimit) bytes")
            }
            try await fill()
        }
        let header = buffer.readString(length: position(of: end) ?? 0) ?? ""
        buffer.moveReaderIndex(forwardBy: end.count)
        for line in header.split(separator: "\r\n") where line.lowercased().hasPrefix("content-disposition:") {
            if let name = Self.value(of: "name", in: line) {
                place = .content
                return name
            }
        }
        throw DatastoreError(
            .invalidMultipart, "a part has no name; expected Content-Disposition: form-data; name=\"rows\"")
    }

    private mutating func fill() async throws {
        guard var chunk = try await body.next() else {
            throw DatastoreError(.uploadIncomplete, "the multipart body ends before its last boundary")
        }
        buffer.discardReadBytes()
        buffer.writeBuffer(&chunk)
    }

    /// Where `needle` begins in what is read, from the reader's position.
    private func position(of needle: [UInt8]) -> Int? {
        buffer.withUnsafeReadableBytes { bytes in
            needle.withUnsafeBytes { needle in
                guard let start = bytes.baseAddress, let wanted = needle.baseAddress else { return nil }
                var from = 0
                while bytes.count - from >= needle.count {
                    let candidates = bytes.count - from - needle.count + 1
                    guard let found = memchr(start + from, Int32(needle[0]), candidates) else { return nil }
                    let offset = UnsafeRawPointer(found) - start
                    if memcmp(found, wanted, needle.count) == 0 { return offset }
                    from = offset + 1
                }
                return nil
            }
        }
    }

    /// The value of the parameter `name="value"` or `name=value` of a header.
    private static func value(of name: String, in header: some StringProtocol) -> String? {
        var isQuoted = false
        var isEscaped = false
        let parameters = header.split { character in
            if character == "\"", !isEscaped { isQuoted.toggle() }
            isEscaped = character == "\\" && !isEscaped
            return character == ";" && !isQuoted
        }
        return parameters.dropFirst().lazy.compactMap { parameter -> String? in
            let parts = parameter.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, parts[0].trimmingCharacters(in: .whitespaces).lowercased() == name else {
                return nil
            }
            return parts[1].trimmingCharacters(in: .whitespaces).trimmingCharacters(in: ["\""])
        }.first
    }
}
