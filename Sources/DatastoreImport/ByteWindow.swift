import DatastoreCore
import Foundation

/// The bytes of a source that were read and not used yet: one run of memory that moves over the source, grows as far
/// as its reader asks for, and knows at which byte and line it stands.
///
/// A UTF-8 byte order mark at the start of the source is skipped, but counts in `offset`.
///
/// Not thread-safe: one thread reads at a time.
package final class ByteWindow {
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    package let source: ByteSource
    private let chunkSize: Int
    private var buffer: UnsafeMutableRawBufferPointer
    private var start = 0
    private var end = 0
    private var isStarted = false
    /// What ended a look ahead; thrown once the bytes before it are used.
    private var failure: (any Error)?

    /// Byte of the source, inflated, at which `bytes` begins, from 0.
    package private(set) var offset = 0
    /// Line of the source on which `bytes` begins, from 1.
    package private(set) var line = 1
    /// Whether `bytes` is all that is left.
    package private(set) var isAtEnd = false

    /// - Parameter chunkSize: bytes asked of `source` at a time, 1 or more.
    package init(source: ByteSource, chunkSize: Int = ByteSource.defaultChunkSize) {
        precondition(chunkSize > 0)
        self.source = source
        self.chunkSize = chunkSize
        buffer = .allocate(byteCount: 2 * max(chunkSize, 4096), alignment: 16)
    }

    deinit {
        buffer.deallocate()
    }

    /// The bytes read and not used yet; valid until the next call that reads.
    package var bytes: UnsafeRawBufferPointer {
        guard let base = buffer.baseAddress else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: base + start, count: end - start)
    }

    package var count: Int { end - start }

    /// Bytes of the file that were used up, compressed ones, as far as that can be told, when it is gzip.
    package var bytesUsed: Int {
        guard count > 0 else { return source.bytesRead }
        return Int(Double(source.bytesRead) * (Double(offset) / Double(offset + count)))
    }

    /// Reads one more chunk behind `bytes`, or sets `isAtEnd`.
    ///
    /// - Throws: what `ByteSource.read(into:)` throws.
    package func fill() throws {
        if let failure { throw failure }
        if isStarted { return try readChunk() }
        repeat { try readChunk() } while count < Self.byteOrderMark.count && !isAtEnd
        isStarted = true
        if bytes.starts(with: Self.byteOrderMark) { drop(Self.byteOrderMark.count, lines: 0) }
    }

    /// Reads until there are `wanted` bytes or the source ends; an error waits until the bytes before it are used.
    package func lookAhead(_ wanted: Int) {
        do {
            while count < wanted, !isAtEnd { try fill() }
        } catch {
            failure = error
        }
    }

    /// Goes on behind the next `count` bytes.
    package func drop(_ count: Int) {
        drop(count, lines: UnsafeRawBufferPointer(rebasing: bytes[..<count]).newlines)
    }

    /// Goes on behind the next `count` bytes, which hold `lines` line ends.
    package func drop(_ count: Int, lines: Int) {
        start += count
        offset += count
        line += lines
    }

    /// Where the next line end is, counted from the start of `bytes`; nil when the source ends, or `limit` bytes have
    /// passed, before there is one.
    package func newline(limit: Int) throws -> Int? {
        var searched = 0
        while true {
            if let found = bytes.newline(from: searched) { return found }
            searched = count
            if isAtEnd || searched > limit { return nil }
            try fill()
        }
    }

    /// Goes on behind the next line end, or to the end of the source.
    ///
    /// - Returns: bytes passed, without the line end.
    package func skipLine() throws -> Int {
        var length = 0
        while true {
            if let newline = bytes.newline(from: 0) {
                drop(newline + 1, lines: 1)
                return length + newline
            }
            length += count
            drop(count, lines: 0)
            if isAtEnd { return length }
            try fill()
        }
    }

    private func readChunk() throws {
        if start == end {
            start = 0
            end = 0
        }
        if buffer.count - end < chunkSize, start > 0 {
            UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]).copyMemory(from: bytes)
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
        let read = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[end..<end + chunkSize]))
        end += read
        isAtEnd = read == 0
    }
}

extension UnsafeRawBufferPointer {
    /// Position of the first line end at or behind `from`.
    func newline(from: Int) -> Int? {
        guard from < count, let base = baseAddress, let found = memchr(base + from, 0x0A, count - from) else {
            return nil
        }
        return base.distance(to: UnsafeRawPointer(found))
    }

    /// How many line ends there are.
    var newlines: Int {
        var newlines = 0
        for byte in self where byte == 0x0A { newlines += 1 }
        return newlines
    }
}
