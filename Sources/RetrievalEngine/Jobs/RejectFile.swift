import DatastoreCore
import DatastoreStorage
import Foundation

/// The rejected rows of a job, one JSON object per line. Not thread-safe.
final class RejectFile {
    private let url: URL
    private let handle: FileHandle
    /// Bytes of all rows in it.
    private(set) var bytes: Int64
    private var isSynchronized = true

    /// Makes the file, or opens it to go on after its first `bytes`.
    ///
    /// - Throws: `storage_failed` when it has fewer.
    init(_ url: URL, keeping bytes: Int64 = 0) throws {
        self.url = url
        self.bytes = bytes
        if bytes == 0 {
            guard FileManager.default.createFile(atPath: url.path, contents: nil) else {
                throw DatastoreError(.storageFailed, "could not create \(url.lastPathComponent)")
            }
        }
        handle = try FileHandle(forUpdating: url)
        let size = try handle.seekToEnd()
        guard size >= bytes else {
            throw DatastoreError(
                .storageFailed, "\(url.lastPathComponent): got \(size) bytes, expected the \(bytes) written before")
        }
        try handle.truncate(atOffset: UInt64(bytes))
    }

    func append(_ row: RejectedRow) throws {
        let line = try WireJSON.encode(row) + Data("\n".utf8)
        try handle.write(contentsOf: line)
        bytes += Int64(line.count)
        isSynchronized = false
    }

    /// Puts what was added on disk.
    func synchronize() throws {
        guard !isSynchronized else { return }
        try handle.synchronize()
        isSynchronized = true
    }

    /// Puts all of it on disk, the file's name too.
    func finish() throws {
        try synchronize()
        try handle.close()
        try DurableFiles.sync(url.deletingLastPathComponent())
    }
}
