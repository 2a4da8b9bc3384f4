import DatastoreCore
import Foundation

/// A regular file open for reading from its start, closed when the value ends.
///
/// Only regular files are opened: a pipe or a device could keep the importing thread waiting for ever.
struct InputFile: ~Copyable {
    /// The last component of the path, as messages name the file.
    let name: String
    /// Bytes the file had when it was opened.
    let size: Int
    /// Bytes read so far.
    private(set) var offset = 0
    private let descriptor: Int32

    /// - Throws: `source_unreadable` when the path names nothing, nothing readable, or no regular file.
    init(path: String) throws {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        guard !path.utf8.contains(0) else {
            throw Self.unreadable(name, "its path holds a NUL byte")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw Self.unreadable(name, String(cString: strerror(errno)))
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            throw Self.unreadable(name, reason)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            throw Self.unreadable(name, isDirectory ? "it is a directory" : "it is not a regular file")
        }
        self.name = name
        self.size = Int(status.st_size)
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// Reads the next bytes into `buffer`, as many as the system has at hand.
    ///
    /// - Returns: bytes read, 1 or more; 0 at the end of the file, or when `buffer` is empty.
    /// - Throws: `source_unreadable`.
    mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard let base = buffer.baseAddress else { return 0 }
        while true {
            let count = Foundation.read(descriptor, base, buffer.count)
            if count >= 0 {
                offset += count
                return count
            }
            guard errno == EINTR else {
                throw Self.unreadable(name, "byte \(offset): \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Reads until `buffer` is full or the file ends, and returns the bytes read.
    ///
    /// - Throws: `source_unreadable`.
    mutating func readFully(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        var filled = 0
        while filled < buffer.count {
            let count = try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
            if count == 0 { break }
            filled += count
        }
        return filled
    }

    /// The next `count` bytes, fewer at the end of the file.
    ///
    /// - Throws: `source_unreadable`.
    mutating func readBytes(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let filled = try bytes.withUnsafeMutableBytes { try readFully(into: $0) }
        bytes.removeLast(count - filled)
        return bytes
    }

    /// Goes back to the first byte.
    ///
    /// - Throws: `source_unreadable`.
    mutating func rewind() throws {
        guard lseek(descriptor, 0, SEEK_SET) == 0 else {
            throw Self.unreadable(name, String(cString: strerror(errno)))
        }
        offset = 0
    }

    private static func unreadable(_ name: String, _ reason: String) -> DatastoreError {
        DatastoreError(.sourceUnreadable, "\(name): cannot be read: \(reason)")
    }
}
