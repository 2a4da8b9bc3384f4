import DatastoreCore
import Foundation

/// The lines of a `ByteSource`, one at a time, in memory bounded by the longest line allowed.
///
/// A line ends with `\n` or `\r\n`; the last one may end with the file. A UTF-8 byte order mark before the first line
/// is skipped. A line that is too long is given with its first bytes only, and reading goes on behind it.
///
/// Not thread-safe: one thread reads at a time.
package final class LineReader {
    /// Enough for a vector of `KeySpec.maximumDim` numbers written in full.
    package static let defaultMaximumLineBytes = 4 * 1024 * 1024
    /// Bytes that are given of a line that is too long.
    package static let excerptBytes = 4096

    /// One line, valid only inside the closure that it is given to.
    package struct Line {
        /// From 1; blank lines count.
        package let number: Int
        /// Without its end; the first `excerptBytes` at most when the line is too long.
        package let bytes: UnsafeRawBufferPointer
        /// Bytes of the whole line.
        package let length: Int
        package let isTooLong: Bool

        /// Whether it holds nothing but white space.
        package var isBlank: Bool { !isTooLong && bytes.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D } }
    }

    package let source: ByteSource
    package let maximumLineBytes: Int
    private let chunkSize: Int
    private var buffer: UnsafeMutableRawBufferPointer
    /// The bytes read and not given yet are `buffer[start..<end]`.
    private var start = 0
    private var end = 0
    /// Bytes from `start` on that are known to hold no line end.
    private var searched = 0
    private var isAtEnd = false
    private var number = 0

    /// - Parameters:
    ///   - maximumLineBytes: longest line given whole, without its end; at most 2 GiB.
    ///   - chunkSize: bytes asked of `source` at a time, 1 or more.
    package init(
        source: ByteSource, maximumLineBytes: Int = LineReader.defaultMaximumLineBytes,
        chunkSize: Int = ByteSource.defaultChunkSize
    ) {
        precondition((0...Int(Int32.max)).contains(maximumLineBytes) && chunkSize > 0)
        self.source = source
        self.maximumLineBytes = maximumLineBytes
        self.chunkSize = chunkSize
        buffer = .allocate(byteCount: 2 * max(chunkSize, Self.excerptBytes), alignment: 16)
    }

    deinit {
        buffer.deallocate()
    }

    /// Gives the next line to `body` and returns what it returns; nil after the last line.
    ///
    /// The line counts as read when `body` throws.
    ///
    /// - Throws: what `ByteSource.read(into:)` and `body` throw.
    package func withNextLine<Result>(_ body: (Line) throws -> Result) throws -> Result? {
        // A byte order mark and the \r of a line end do not count as the line's.
        let longest = maximumLineBytes + byteOrderMark.count + 1
        while true {
            if let newline = findNewline() {
                let line = start..<newline
                start = newline + 1
                searched = 0
                return try body(makeLine(UnsafeRawBufferPointer(rebasing: buffer[line])))
            }
            searched = end - start
            if isAtEnd {
                guard start < end else { return nil }
                let line = start..<end
                start = end
                searched = 0
                return try body(makeLine(UnsafeRawBufferPointer(rebasing: buffer[line])))
            }
            if searched > longest {
                return try skipLongLine(body)
            }
            try fill()
        }
    }

    /// Reads on to the end of a line that is too long, keeping only its first bytes.
    private func skipLongLine<Result>(_ body: (Line) throws -> Result) throws -> Result {
        let excerpt = Array(buffer[start..<min(end, start + Self.excerptBytes)])
        var length = 0
        while true {
            if let newline = findNewline() {
                length += newline - start
                start = newline + 1
                break
            }
            length += end - start
            start = 0
            end = 0
            searched = 0
            if isAtEnd { break }
            try fill()
        }
        searched = 0
        number += 1
        return try excerpt.withUnsafeBytes { bytes in
            try body(Line(number: number, bytes: bytes, length: length, isTooLong: true))
        }
    }

    private func makeLine(_ whole: UnsafeRawBufferPointer) -> Line {
        number += 1
        var bytes = whole[...]
        if number == 1, bytes.starts(with: byteOrderMark) {
            bytes = bytes.dropFirst(byteOrderMark.count)
        }
        if bytes.last == 0x0D {
            bytes = bytes.dropLast()
        }
        let length = bytes.count
        let isTooLong = length > maximumLineBytes
        if isTooLong {
            bytes = bytes.prefix(Self.excerptBytes)
        }
        return Line(
            number: number, bytes: UnsafeRawBufferPointer(rebasing: bytes), length: length, isTooLong: isTooLong)
    }

    private func findNewline() -> Int? {
        let from = start + searched
        guard from < end, let base = buffer.baseAddress, let found = memchr(base + from, 0x0A, end - from) else {
            return nil
        }
        return UnsafeRawPointer(base).distance(to: UnsafeRawPointer(found))
    }

    /// Reads one more chunk behind `end`, after making room for it.
    private func fill() throws {
        if start == end {
            start = 0
            end = 0
        }
        if buffer.count - end < chunkSize, start > 0 {
            UnsafeMutableRawBufferPointer(rebasing: buffer[..<(end - start)])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
            end -= start
            start = 0
        }
        if buffer.count - end < chunkSize {
            let larger = UnsafeMutableRawBufferPointer.allocate(
                byteCount: max(2 * buffer.count, end + chunkSize), alignment: 16)
            larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[..<end]))
            buffer.deallocate()
            buffer = larger
        }
        let count = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[end..<end + chunkSize]))
        end += count
        isAtEnd = count == 0
    }
}

private let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
