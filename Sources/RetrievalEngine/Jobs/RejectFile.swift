import DatastoreCore
import DatastoreStorage
import Foundation

/// The rejected rows of a job, one JSON object per line. Not thread-safe.
final class RejectFile {
    private let url: URL
    private let handle: FileHandle
    private(set) var count = 0

    init(_ url: URL) throws {
        self.url = url
        guard FileManager.default.createFile(atPath: url.path, contents: nil) else {
            throw DatastoreError(.storageFailed, "could not create \(url.lastPathComponent)")
        }
        handle = try FileHandle(forWritingTo: url)
    }

    func append(_ row: RejectedRow) throws {
        try handle.write(contentsOf: WireJSON.encode(row) + Data("\n".utf8))
        count += 1
    }

    /// Puts all of it on disk.
    func finish() throws {
        try handle.synchronize()
        try handle.close()
        try DurableFiles.sync(url.deletingLastPathComponent())
    }
}
