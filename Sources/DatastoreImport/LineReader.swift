import DatastoreCore

/// The lines of a `ByteSource`, one at a time, in memory bounded by the longest line allowed.
///
/// A line ends with `\n` or `\r\n`; the last one may end with the file. A UTF-8 byte order mark before the first line
/// is skipped. A line that is too long is given with its first bytes only, and reading goes on behind it.
///
/// Not thread-safe: one thread reads at a time.
package final class LineReader {
    /// Enough for a vector of `KeySpec.maximumDim` numbers written in full.
    package static let defaultMaximumLineBytes = 4 * 1024 * 1024

    package let maximumLineBytes: Int
    private let window: ByteWindow

    /// - Parameters:
    ///   - maximumLineBytes: longest line given whole, without its end; at most 2 GiB.
    ///   - chunkSize: bytes asked of `source` at a time, 1 or more.
    package convenience init(
        source: ByteSource, maximumLineBytes: Int = LineReader.defaultMaximumLineBytes,
        chunkSize: Int = ByteSource.defaultChunkSize
    ) {
        self.init(window: ByteWindow(source: source, chunkSize: chunkSize), maximumLineBytes: maximumLineBytes)
    }

    /// Reads on from where a window stands.
    init(window: ByteWindow, maximumLineBytes: Int) {
        precondition((0...Int(Int32.max)).contains(maximumLineBytes))
        self.window = window
        self.maximumLineBytes = maximumLineBytes
    }

    /// Gives the next line to `body` and returns what it returns; nil after the last line.
    ///
    /// The line counts as read when `body` throws.
    ///
    /// - Throws: what `ByteSource.read(into:)` and `body` throw.
    package func withNextLine<Result>(_ body: (RawRow) throws -> Result) throws -> Result? {
        // The \r of a line end does not count as the line's.
        let newline = try window.newline(limit: maximumLineBytes + 1)
        guard newline != nil || window.isAtEnd else { return try skipLongLine(body) }
        let length = newline ?? window.count
        guard newline != nil || length > 0 else { return nil }
        defer { window.drop(newline.map { $0 + 1 } ?? length, lines: newline == nil ? 0 : 1) }
        var bytes = window.bytes[..<length]
        if bytes.last == 0x0D { bytes = bytes.dropLast() }
        let isTooLong = bytes.count > maximumLineBytes
        return try body(
            RawRow(
                line: window.line, byte: window.offset,
                bytes: UnsafeRawBufferPointer(rebasing: isTooLong ? bytes.prefix(RawRow.excerptBytes) : bytes),
                length: bytes.count, isTooLong: isTooLong))
    }

    /// Reads on to the end of a line that is too long, keeping only its first bytes.
    private func skipLongLine<Result>(_ body: (RawRow) throws -> Result) throws -> Result {
        let (line, byte) = (window.line, window.offset)
        let excerpt = Array(window.bytes.prefix(RawRow.excerptBytes))
        let length = try window.skipLine()
        return try excerpt.withUnsafeBytes { bytes in
            try body(RawRow(line: line, byte: byte, bytes: bytes, length: length, isTooLong: true))
        }
    }
}
