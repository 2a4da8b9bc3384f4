internal import CFaiss
package import DatastoreCore

/// Makes the compact codes of a vector file; `CompactCodes` has the format.
package enum CompactCodesWriter {
    /// Rows that say what is usual: how far each number spreads, and around what.
    private static let sample: Int64 = 8192
    /// Bytes of codes that are made between two calls of `progress`.
    private static let chunkBytes = 4 << 20

    /// Reads all vectors twice at most, writes and syncs. Blocks.
    ///
    /// - Parameter progress: called with the rows that are done; throws to stop.
    package static func write(
        _ vectors: VectorFile, metric: Metric, to path: String, progress: (_ rows: Int) throws -> Void = { _ in }
    ) throws {
        let dim = vectors.dim
        let isCosine: Int32 = metric == .cosine ? 1 : 0
        var mean = [Float](repeating: 0, count: dim)
        var spread = [Float](repeating: 0, count: dim)
        try vectors.withSample(Int(sample)) { matrix throws(FaissError) in
            try FaissError.check { cfaiss_codes_learn(matrix, isCosine, sample, &mean, &spread, $0) }
        }
        let file = try BufferedFile(path: path, headerSize: FileHeader.size)
        try file.append(mean)
        try file.append(spread)
        try file.align(to: 64)
        let blockSize = CompactCodes.blockSize(dim: dim)
        let chunk = max(1, chunkBytes / blockSize) * CompactCodes.rowsOfBlock
        var scales = [Float](repeating: 0, count: metric == .cosine ? vectors.count : 0)
        let blocks = UnsafeMutableRawBufferPointer.allocate(
            byteCount: chunk / CompactCodes.rowsOfBlock * blockSize, alignment: 64)
        defer { blocks.deallocate() }
        for first in stride(from: 0, to: vectors.count, by: chunk) {
            try progress(first)
            let count = min(chunk, vectors.count - first)
            try scales.withUnsafeMutableBufferPointer { scales in
                let own = scales.baseAddress.map { scales.isEmpty ? nil : $0 + first } ?? nil
                try vectors.withMatrix { matrix throws(FaissError) in
                    try FaissError.check {
                        cfaiss_codes_encode(
                            matrix, isCosine, mean, spread, nil, Int64(first), Int64(count), blocks.baseAddress, own, $0
                        )
                    }
                }
            }
            vectors.release(rows: first..<first + count)
            try file.append(
                UnsafeRawBufferPointer(rebasing: blocks[..<(CompactCodes.blockCount(count) * blockSize)]))
        }
        try file.append(scales)
        try file.finish(header: CompactCodes.header.bytes([Int(isCosine), dim, vectors.count]))
    }
}
