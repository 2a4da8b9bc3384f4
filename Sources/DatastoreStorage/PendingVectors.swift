import DatastoreCore
import Foundation

/// The vectors of one batch of pending changes, end to end in a file beside `pending.sqlite`: a database would write
/// each of them three times.
///
/// What lies behind the bytes that the database knows is not there. Thread-safe for one writer and any readers.
final class PendingVectors: Sendable {
    private let descriptor: Int32
    private let url: URL

    /// Opens the file, or makes it.
    init(_ url: URL) throws {
        self.url = url
        descriptor = open(url.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
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

    /// Reads `dim` numbers at an offset.
    ///
    /// - Throws: `storage_failed` when the file does not have them.
    func vector(at offset: Int64, dim: Int, half: Bool) throws -> [Float] {
        guard half else {
            return try [Float](unsafeUninitializedCapacity: dim) { floats, count in
                try read(UnsafeMutableRawBufferPointer(floats), at: offset)
                count = dim
            }
        }
        return try withUnsafeTemporaryAllocation(of: Float16.self, capacity: dim) { halves in
            try read(UnsafeMutableRawBufferPointer(halves), at: offset)
            return halves.map(Float.init)
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
