import DatastoreCore
import Foundation

/// Writes rows of 32-bit floats to a `.npy` file that appears under its name once it is complete.
///
/// Not thread-safe. What was not finished is removed when the writer goes.
package final class NumpyRowWriter {
    private let path: String
    private let partialPath: String
    private let descriptor: Int32
    private var isFinished = false

    /// Opens the partial file; nothing is opened after this.
    ///
    /// - Throws: `storage_failed`.
    package init(path: String, partialPath: String) throws {
        self.path = path
        self.partialPath = partialPath
        descriptor = open(partialPath, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.failure(path) }
    }

    deinit {
        close(descriptor)
        if !isFinished { unlink(partialPath) }
    }

    /// Writes the header of `rows` × `dim` numbers.
    package func begin(rows: Int, dim: Int) throws {
        var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(rows), \(dim)), }"
        // Ten bytes precede it, a newline ends it, and the numbers start at a multiple of 64.
        header += String(repeating: " ", count: (64 - (header.utf8.count + 11) % 64) % 64) + "\n"
        let length = UInt16(header.utf8.count)
        let start = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)]
        try (start + Array(header.utf8)).withUnsafeBytes { try write($0) }
    }

    /// Writes numbers as they lie in memory, which is little-endian.
    package func write(_ bytes: UnsafeRawBufferPointer) throws {
        var sent = 0
        while sent < bytes.count {
            let count = Foundation.write(descriptor, bytes.baseAddress.map { $0 + sent }, bytes.count - sent)
            if count < 0 {
                if errno == EINTR { continue }
                throw Self.failure(path)
            }
            sent += count
        }
    }

    /// Syncs the file and gives it its name.
    package func finish() throws {
        guard fsync(descriptor) == 0, rename(partialPath, path) == 0 else { throw Self.failure(path) }
        isFinished = true
    }

    private static func failure(_ path: String) -> DatastoreError {
        let reason = String(cString: strerror(errno))
        return DatastoreError(.storageFailed, "\((path as NSString).lastPathComponent): cannot be written: \(reason)")
    }
}
