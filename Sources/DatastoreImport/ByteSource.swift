import DatastoreCore

/// The bytes of a file, in order, inflated when the file is gzip.
///
/// Gzip is recognised by its first two bytes, never by the file's name. The file is read in chunks; nothing is kept.
///
/// Not thread-safe: one thread reads at a time.
package final class ByteSource {
    /// Bytes that are read from the file at a time, unless the caller says otherwise.
    package static let defaultChunkSize = 256 * 1024

    private var file: InputFile
    private let inflater: GzipInflater?

    /// Opens a file.
    ///
    /// - Parameter chunkSize: compressed bytes read at a time, 1 or more; plain files are read by the caller's buffer.
    /// - Throws: `source_unreadable`.
    package init(path: String, chunkSize: Int = ByteSource.defaultChunkSize) throws {
        precondition(chunkSize > 0)
        var file = try InputFile(path: path)
        let isGzip = try file.readBytes(GzipInflater.magic.count) == GzipInflater.magic
        try file.rewind()
        inflater = isGzip ? try GzipInflater(chunkSize: chunkSize) : nil
        self.file = file
    }

    /// The file's base name.
    package var name: String { file.name }

    package var isGzip: Bool { inflater != nil }

    /// Bytes of the file, compressed ones when it is gzip, that were used up.
    package var bytesRead: Int { file.offset - (inflater?.unusedInput ?? 0) }

    /// Bytes the file had when it was opened.
    package var totalBytes: Int { file.size }

    /// Puts the next bytes at the start of `buffer`.
    ///
    /// - Returns: bytes written, 1 or more; 0 at the end, or when `buffer` is empty.
    /// - Throws: `gzip_truncated`, `gzip_corrupt` or `source_unreadable`.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if let inflater {
            return try inflater.read(from: &file, into: buffer)
        }
        return try file.read(into: buffer)
    }
}
