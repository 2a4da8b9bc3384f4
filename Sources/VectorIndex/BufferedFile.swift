import Foundation

/// A new file, written from front to back through a buffer; its header last.
///
/// Not thread-safe: one writer, one thread.
final class BufferedFile {
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private static let bufferSize = 1 << 20
    /// Bytes that were appended.
    private(set) var count = 0

    /// - Throws: `POSIXError` when it cannot be made, for example because it is there already.
    init(path: String, headerSize: Int) throws {
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        buffer.reserveCapacity(Self.bufferSize + (64 << 10))
        buffer.append(contentsOf: repeatElement(0, count: headerSize))
        count = headerSize
    }

    /// Opens a file that is there, to go on behind its first `count` bytes; what is behind them goes.
    init(path: String, goingOnAt count: Int) throws {
        // One that became part of a version, which was not published then, may be read-only.
        _ = chmod(path, 0o644)
        descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        guard lseek(descriptor, 0, SEEK_END) >= off_t(count) else {
            close(descriptor)
            throw POSIXError(.EIO)
        }
        guard ftruncate(descriptor, off_t(count)) == 0, lseek(descriptor, 0, SEEK_END) == off_t(count) else {
            let code = errno
            close(descriptor)
            throw POSIXError(POSIXErrorCode(rawValue: code) ?? .EIO)
        }
        self.count = count
    }

    deinit {
        close(descriptor)
    }

    /// Reads bytes that were written before the file was opened.
    ///
    /// - Throws: `POSIXError` when they are not there.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
        var filled = 0
        while filled < buffer.count {
            let count = pread(
                descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled, off_t(offset + filled))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw POSIXError(count == 0 ? .EIO : POSIXErrorCode(rawValue: errno) ?? .EIO) }
            filled += count
        }
    }

    func append(_ bytes: UnsafeRawBufferPointer) throws {
        buffer.append(contentsOf: bytes)
        count += bytes.count
        if buffer.count >= Self.bufferSize { try flush() }
    }

    func append<Element: BitwiseCopyable>(_ elements: [Element]) throws {
        try elements.withUnsafeBytes { try append($0) }
    }

    /// Zeros up to the next multiple of `size`.
    func align(to size: Int) throws {
        try append([UInt8](repeating: 0, count: (size - count % size) % size))
    }

    /// Writes what is buffered and then the header, and syncs: before, the file is none.
    func finish(header: [UInt8]) throws {
        try flush()
        let written = header.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        guard written == header.count, fsync(descriptor) == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
        }
    }

    private func flush() throws {
        try buffer.withUnsafeBytes { bytes in
            var sent = 0
            while sent < bytes.count {
                let count = write(descriptor, bytes.baseAddress.map { $0 + sent }, bytes.count - sent)
                if count < 0 {
                    if errno == EINTR { continue }
                    throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
                }
                sent += count
            }
        }
        buffer.removeAll(keepingCapacity: true)
    }
}
