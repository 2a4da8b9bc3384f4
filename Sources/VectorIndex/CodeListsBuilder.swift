internal import CFaiss
package import DatastoreCore

/// Learns the lists of a vector file and writes them; `CodeLists` has the format.
///
/// Spherical k-means (Lloyd's algorithm on vectors of length 1) over a sample that is spread evenly over all rows. The
/// nearest centroid of a vector is taken by the centroids' compact codes. Everything is decided by the vectors and
/// the number of lists. Blocking, on the caller's thread.
package struct CodeListsBuilder {
    private let vectors: VectorFile
    private let isCosine: Int32
    private let lists: Int
    private let sample: [Int64]
    private var centroids: [Float] = []
    private var codes = CentroidCodes()

    /// Vectors that a list is learnt from, at most.
    package static let sampleOfList = 64
    private static let rounds = 8
    /// Rows between two calls of `progress`.
    private static let chunk = 8192

    private struct CentroidCodes {
        var mean: [Float] = []
        var spread: [Float] = []
        var blocks = AlignedBytes(count: 0)
    }

    /// - Parameter progress: called with the rows whose lists are known, between 0 and all; throws to stop.
    package static func write(
        _ vectors: VectorFile, metric: Metric, lists: Int, to path: String,
        progress: (_ rows: Int) throws -> Void = { _ in }
    ) throws {
        var builder = CodeListsBuilder(vectors, metric, lists: lists)
        try builder.learn { try progress(0) }
        try builder.write(metric, to: path, progress: progress)
    }

    private init(_ vectors: VectorFile, _ metric: Metric, lists: Int) {
        self.vectors = vectors
        isCosine = metric == .cosine ? 1 : 0
        self.lists = lists
        let size = min(vectors.count, lists * Self.sampleOfList)
        sample = (0..<size).map { Int64($0 * vectors.count / size) }
    }

    // MARK: Learning

    private mutating func learn(checkpoint: () throws -> Void) throws {
        let dim = vectors.dim
        // Vectors of the sample, as far from each other in it as they can be.
        for list in 0..<lists {
            var vector = vectors.vector(row: Int(sample[list * sample.count / lists]))
            VectorMath.normalise(&vector)
            centroids += vector
        }
        try encodeCentroids()
        for _ in 0..<Self.rounds {
            var assigned: [Int32] = []
            var sums = [Double](repeating: 0, count: lists * dim)
            var counts = [Int64](repeating: 0, count: lists)
            for start in stride(from: 0, to: sample.count, by: Self.chunk) {
                try checkpoint()
                let rows = Array(sample[start..<min(start + Self.chunk, sample.count)])
                let own = try assign(rows)
                try vectors.withMatrix { matrix throws(FaissError) in
                    try FaissError.check {
                        cfaiss_lists_sum(matrix, isCosine, rows, Int64(rows.count), own, &sums, &counts, $0)
                    }
                }
                assigned += own
            }
            fillEmpty(&sums, &counts, assigned)
            for list in 0..<lists {
                let sum = sums[list * dim..<(list + 1) * dim]
                let norm = sum.reduce(0) { $0 + $1 * $1 }.squareRoot()
                guard norm > 0 else { continue }
                for (place, value) in sum.enumerated() { centroids[list * dim + place] = Float(value / norm) }
            }
            try encodeCentroids()
        }
    }

    /// A list that nothing is nearest to gets a vector of the largest list as its centroid.
    private func fillEmpty(_ sums: inout [Double], _ counts: inout [Int64], _ assigned: [Int32]) {
        for list in 0..<lists where counts[list] == 0 {
            guard let largest = counts.indices.max(by: { counts[$0] < counts[$1] }), counts[largest] > 1 else { return }
            let members = assigned.indices.filter { Int(assigned[$0]) == largest }
            guard !members.isEmpty else { return }
            let vector = vectors.vector(row: Int(sample[members[list % members.count]]))
            for (place, value) in vector.enumerated() { sums[list * vectors.dim + place] = Double(value) }
            counts[largest] /= 2
            // Not to be taken from again: its members are not known.
            counts[list] = 1
        }
    }

    private mutating func encodeCentroids() throws {
        let dim = vectors.dim
        var codes = CentroidCodes(
            mean: [Float](repeating: 0, count: dim), spread: [Float](repeating: 0, count: dim),
            blocks: AlignedBytes(count: CompactCodes.blockCount(lists) * CompactCodes.blockSize(dim: dim)))
        let count = Int64(lists)
        try centroids.withUnsafeBufferPointer { centroids throws(FaissError) in
            var matrix = cfaiss_matrix(
                vectors: centroids.baseAddress, is_half: 0, dim: Int32(dim), count: count, scales: nil)
            try FaissError.check { cfaiss_codes_learn(&matrix, 0, count, &codes.mean, &codes.spread, $0) }
            try FaissError.check {
                cfaiss_codes_encode(
                    &matrix, 0, codes.mean, codes.spread, nil, 0, count, codes.blocks.bytes.baseAddress, nil, $0)
            }
        }
        self.codes = codes
    }

    /// The list of each of some rows.
    private func assign(_ rows: [Int64]) throws(FaissError) -> [Int32] {
        var assigned = [Int32](repeating: 0, count: rows.count)
        try centroids.withUnsafeBufferPointer { centroids throws(FaissError) in
            try codes.mean.withUnsafeBufferPointer { mean throws(FaissError) in
                try codes.spread.withUnsafeBufferPointer { spread throws(FaissError) in
                    var lists = cfaiss_lists(
                        count: Int64(lists), centroids: centroids.baseAddress,
                        centroid_codes: cfaiss_codes(
                            mean: mean.baseAddress, spread: spread.baseAddress,
                            blocks: UnsafeRawPointer(codes.blocks.bytes.baseAddress)),
                        spread: nil, first_blocks: nil, rows: nil, blocks: nil)
                    try vectors.withMatrix { matrix throws(FaissError) in
                        try FaissError.check {
                            cfaiss_lists_assign(matrix, isCosine, &lists, rows, 0, Int64(rows.count), &assigned, $0)
                        }
                    }
                }
            }
        }
        return assigned
    }

    // MARK: Writing

    private func write(_ metric: Metric, to path: String, progress: (_ rows: Int) throws -> Void) throws {
        let dim = vectors.dim
        var assigned: [Int32] = []
        assigned.reserveCapacity(vectors.count)
        for start in stride(from: 0, to: vectors.count, by: Self.chunk) {
            try progress(start)
            let rows = (start..<min(start + Self.chunk, vectors.count)).map(Int64.init)
            assigned += try assign(rows)
        }
        var members = [[Int64]](repeating: [], count: lists)
        for (row, list) in assigned.enumerated() { members[Int(list)].append(Int64(row)) }
        var spread = [Float](repeating: 0, count: dim)
        let own = sample.map { assigned[Int($0)] }
        try vectors.withMatrix { matrix throws(FaissError) in
            try FaissError.check {
                cfaiss_lists_spread(matrix, isCosine, centroids, sample, Int64(sample.count), own, &spread, $0)
            }
        }
        let file = try BufferedFile(path: path, headerSize: FileHeader.size)
        func part(_ bytes: UnsafeRawBufferPointer) throws {
            try file.align(to: 64)
            try file.append(bytes)
        }
        try centroids.withUnsafeBytes(part)
        try codes.mean.withUnsafeBytes(part)
        try codes.spread.withUnsafeBytes(part)
        try part(UnsafeRawBufferPointer(codes.blocks.bytes))
        try spread.withUnsafeBytes(part)
        var firstBlocks: [UInt64] = [0]
        var places: [Int32] = []
        for rows in members {
            let blocks = CompactCodes.blockCount(rows.count)
            firstBlocks.append((firstBlocks.last ?? 0) + UInt64(blocks))
            places += rows.map(Int32.init(clamping:))
            places += repeatElement(-1, count: blocks * CompactCodes.rowsOfBlock - rows.count)
        }
        try firstBlocks.withUnsafeBytes(part)
        try places.withUnsafeBytes(part)
        try file.align(to: 64)
        for (list, rows) in members.enumerated() where !rows.isEmpty {
            try progress(vectors.count)
            let blocks = UnsafeMutableRawBufferPointer.allocate(
                byteCount: CompactCodes.blockCount(rows.count) * CompactCodes.blockSize(dim: dim), alignment: 64)
            defer { blocks.deallocate() }
            let centroid = Array(centroids[list * dim..<(list + 1) * dim])
            try vectors.withMatrix { matrix throws(FaissError) in
                try FaissError.check {
                    cfaiss_codes_encode(
                        matrix, isCosine, centroid, spread, rows, 0, Int64(rows.count), blocks.baseAddress, nil, $0)
                }
            }
            try file.append(UnsafeRawBufferPointer(blocks))
        }
        let blocks = Int(firstBlocks.last ?? 0)
        try file.finish(header: CodeLists.header.bytes([Int(isCosine), dim, vectors.count, lists, blocks]))
    }
}
