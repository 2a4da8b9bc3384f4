import DatastoreCore
import Foundation

/// The vectors of one batch of pending changes, end to end in a file beside `pending.sqlite`: a database would write
/// each of them three times.
///
/// What lies behind the bytes that the database knows is not there. Thread-safe for one writer and any readers.
final class PendingVectors: Sendable {
    /// Bytes before the first vector: room for the header of a version's file, which this one may become.
    static let headerRoom: Int64 = 64

    let isWritten: Bool
    private let descriptor: Int32
    private let url: URL

    /// Opens the file.
    ///
    /// - Parameter isWritten: whether it is written to, and made where it is not there.
    init(_ url: URL, isWritten: Bool) throws {
        self.url = url
        self.isWritten = isWritten
        descriptor = open(url.path, (isWritten ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw DurableFiles.failure("open", url) }
    }

    deinit {
        close(descriptor)
    }

    /// Writes bytes at an offset and puts them on disk.
    func write(_ bytes: [UInt8], at offset: Int64) throws {
        try bytes.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                let count = pwrite(
                    descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written,
                    off_t(offset) + off_t(written))
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw DurableFiles.failure("write", url) }
                written += count
            }
        }
        guard fdatasync(descriptor) == 0 else { throw DurableFiles.failure("sync", url) }
    }

    /// Reads the vectors of one change.
    ///
    /// - Throws: `storage_failed` when the file does not have them.
    func vectors(_ layout: PendingLayout, at offset: Int64, bytes: Int) throws -> [PendingVector] {
        try withUnsafeTemporaryAllocation(byteCount: max(1, bytes), alignment: 16) { buffer in
            let buffer = UnsafeMutableRawBufferPointer(rebasing: buffer[..<bytes])
            try read(buffer, at: offset)
            guard let vectors = layout.vectors(UnsafeRawBufferPointer(buffer)) else {
                throw DatastoreError(
                    .storageFailed,
                    "pending/\(url.lastPathComponent): the \(bytes) bytes at \(offset) are no vectors \"\(layout.text)\""
                )
            }
            return vectors
        }
    }

    private func read(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws {
        var filled = 0
        while filled < buffer.count {
            let count = pread(
                descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled, off_t(offset) + off_t(filled)
            )
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw DatastoreError(
                    .storageFailed,
                    "pending/\(url.lastPathComponent): got no vector at byte \(offset), expected \(buffer.count) bytes")
            }
            filled += count
        }
    }
}
