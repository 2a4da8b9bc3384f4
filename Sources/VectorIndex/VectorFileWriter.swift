internal import CFaiss
import Foundation

/// Writes a vector file row by row; `VectorFile` has the format.
///
/// Not thread-safe: one writer, one thread. Bytes are buffered; `finish()` writes ids and header and syncs the file.
package final class VectorFileWriter {
    private let file: BufferedFile
    private let element: VectorFile.Element
    private let dim: Int
    private var ids: [Int64] = []
    private var largestSquares = 0.0

    package init(path: String, dim: Int, element: VectorFile.Element) throws {
        self.dim = dim
        self.element = element
        file = try BufferedFile(path: path, headerSize: VectorFile.headerSize)
    }

    /// Makes a vector file of one that has room for the header and then the vectors of `ids`, end to end: they are not
    /// written again. Reads all of it.
    ///
    /// - Throws: `POSIXError` when it is shorter.
    package init(completing path: String, dim: Int, element: VectorFile.Element, ids: ClosedRange<Int64>) throws {
        self.dim = dim
        self.element = element
        self.ids = Array(ids)
        let rowBytes = dim * element.size
        file = try BufferedFile(path: path, goingOnAt: VectorFile.headerSize + ids.count * rowBytes)
        try findLargestSquares(rowBytes)
    }

    private func findLargestSquares(_ rowBytes: Int) throws {
        let rowsAtOnce = max(1, (1 << 20) / rowBytes)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: rowsAtOnce * rowBytes, alignment: 64)
        defer { buffer.deallocate() }
        for first in stride(from: 0, to: ids.count, by: rowsAtOnce) {
            let rows = min(rowsAtOnce, ids.count - first)
            try file.read(
                into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<(rows * rowBytes)]),
                at: VectorFile.headerSize + first * rowBytes)
            largestSquares = max(
                largestSquares,
                cfaiss_largest_squares(buffer.baseAddress, element == .f16 ? 1 : 0, Int32(dim), Int64(rows)))
        }
    }

    /// Appends one vector. Ids must ascend.
    package func append(id: Int64, _ vector: UnsafeBufferPointer<Float>) throws {
        precondition(vector.count == dim && ids.last.map { $0 < id } ?? true)
        guard let base = vector.baseAddress else { return }
        ids.append(id)
        largestSquares = max(largestSquares, cfaiss_largest_squares(base, 0, Int32(dim), 1))
        switch element {
        case .f32: try file.append(UnsafeRawBufferPointer(vector))
        case .f16:
            try withUnsafeTemporaryAllocation(byteCount: dim * 2, alignment: 2) { halves in
                guard let to = halves.baseAddress else { return }
                cfaiss_f32_to_f16(base, to, Int64(dim))
                try file.append(UnsafeRawBufferPointer(halves))
            }
        }
    }

    /// Writes ids and header, and syncs.
    package func finish() throws {
        try file.align(to: 64)
        let idsOffset = file.count
        try file.append(ids)
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
        header += [UInt8](repeating: 0, count: VectorFile.headerSize - header.count)
        try file.finish(header: header)
    }
}
