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
        try file.finish(header: header)
    }
}
