import DatastoreCore
package import Foundation

/// A new file, written from front to back. Not thread-safe; calls block.
package final class OutputDescriptor {
    private let descriptor: Int32
    private let name: String

    /// - Throws: `storage_failed`, also when there is a file of that name.
    package init(_ url: URL) throws {
        name = url.lastPathComponent
        descriptor = open(url.path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("make") }
    }

    deinit {
        close(descriptor)
    }

    package func write(_ bytes: UnsafeRawBufferPointer) throws {
        var written = 0
        while written < bytes.count {
            let count = Foundation.write(descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write") }
            written += count
        }
    }

    /// Puts on disk what was written.
    package func sync() throws {
        guard fsync(descriptor) == 0 else { throw failure("sync") }
    }

    private func failure(_ action: String) -> DatastoreError {
        DatastoreError(.storageFailed, "could not \(action) \(name): \(String(cString: strerror(errno)))")
    }
}
