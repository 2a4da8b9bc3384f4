internal import CFaiss
import Foundation

/// Writes a vector file row by row; `VectorFile` has the format.
///
/// Not thread-safe: one writer, one thread. Bytes are buffered; `finish()` writes ids and header and syncs the file.
package final class VectorFileWriter {
    private let descriptor: Int32
    private let element: VectorFile.Element
    private let dim: Int
    private var ids: [Int64] = []
    private var buffer: [UInt8] = []
    private var largestSquares = 0.0
    private static let bufferSize = 1 << 20

    package init(path: String, dim: Int, element: VectorFile.Element) throws {
        self.dim = dim
        self.element = element
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        buffer.reserveCapacity(Self.bufferSize + dim * 4)
        buffer.append(contentsOf: repeatElement(0, count: VectorFile.headerSize))
    }

    deinit {
        close(descriptor)
    }

    /// Appends one vector. Ids must ascend.
    package func append(id: Int64, _ vector: UnsafeBufferPointer<Float>) throws {
        precondition(vector.count == dim && ids.last.map { $0 < id } ?? true)
        guard let base = vector.baseAddress else { return }
        ids.append(id)
        var dot = 0.0
        var squares = 0.0
        cfaiss_dot_f32(base, base, Int32(dim), &dot, &squares)
        largestSquares = max(largestSquares, squares)
        switch element {
        case .f32: buffer.append(contentsOf: UnsafeRawBufferPointer(vector))
        case .f16:
            withUnsafeTemporaryAllocation(byteCount: dim * 2, alignment: 2) { halves in
                guard let to = halves.baseAddress else { return }
                cfaiss_f32_to_f16(base, to, Int64(dim))
                buffer.append(contentsOf: halves)
            }
        }
        if buffer.count >= Self.bufferSize { try flush() }
    }

    /// Writes ids and header, and syncs.
    package func finish() throws {
        let vectorsEnd = VectorFile.headerSize + ids.count * dim * element.size
        let idsOffset = VectorFile.idsOffset(after: vectorsEnd - VectorFile.headerSize)
        buffer.append(contentsOf: repeatElement(0, count: idsOffset - vectorsEnd))
        ids.withUnsafeBytes { buffer.append(contentsOf: $0) }
        try flush()
        var header = VectorFile.magic
        func put<T: FixedWidthInteger>(_ value: T) {
            withUnsafeBytes(of: value.littleEndian) { header.append(contentsOf: $0) }
        }
        put(VectorFile.format)
        put(element.rawValue)
        put(UInt32(dim))
        put(UInt32(0))
        put(UInt64(ids.count))
        put(UInt64(idsOffset))
        put(largestSquares.squareRoot().bitPattern)
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
