import DatastoreCore
package import Foundation

/// A regular file that is read at offsets. Thread-safe; calls block.
package final class InputDescriptor: Sendable {
    let name: String
    package let size: Int64
    private let descriptor: Int32

    /// - Throws: `source_unreadable`.
    package init(_ url: URL) throws {
        name = url.lastPathComponent
        descriptor = open(url.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        var info = stat()
        guard descriptor >= 0, fstat(descriptor, &info) == 0 else {
            let reason = String(cString: strerror(errno))
            // `deinit` does not run before all is set.
            if descriptor >= 0 { close(descriptor) }
            throw DatastoreError(.sourceUnreadable, "\(url.lastPathComponent): cannot be read: \(reason)")
        }
        size = Int64(info.st_size)
        guard info.st_mode & S_IFMT == S_IFREG else {
            throw DatastoreError(.sourceUnreadable, "\(url.lastPathComponent): not a regular file")
        }
    }

    deinit {
        close(descriptor)
    }

    /// Fills as much of `buffer` as the file has at `offset`.
    ///
    /// - Returns: how many bytes that is; fewer than the buffer has at the end of the file only.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws -> Int {
        var filled = 0
        while filled < buffer.count {
            let count = pread(
                descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled, off_t(offset) + off_t(filled)
            )
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw DatastoreError(
                    .storageFailed, "\(name): could not read: \(String(cString: strerror(errno)))")
            }
            if count == 0 { break }
            filled += count
        }
        return filled
    }

    func read(upTo count: Int, at offset: Int64) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = try read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
        }
    }
}
