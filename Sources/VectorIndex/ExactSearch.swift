internal import CFaiss
import DatastoreCore

/// Scores the vectors of one key: the answer is what scores in double say, certainly.
///
/// With compact codes it reads these, and on the original vectors only what can belong to the answer
/// (`cfaiss_codes_nearest`); without, the vectors of an older release, all of them in 32 bits (`cfaiss_matrix_nearest`).
/// Where only the vectors of some lists are looked at, the answer is that of all of these (`cfaiss_lists_nearest`),
/// and so it is of what a graph's search finds (`cfaiss_graph_nearest`).
///
/// Thread-safe: everything in it is read-only.
struct ExactSearch: Sendable {
    private let vectors: VectorFile
    private let metric: Metric
    private let codes: CompactCodes?
    /// Fewer rows are scanned as they are: they are in a cache, and their codes would only add to the work.
    private let leastCodedRows: Int
    /// For cosine 1/norm of each row, where no codes have them.
    private let ownScales: [Float]

    /// Blocks while the norms of all vectors are computed, where no codes have them.
    ///
    /// - Throws: `version_damaged` when the codes are not of these vectors.
    init(_ vectors: VectorFile, metric: Metric, codes: CompactCodes?, leastCodedRows: Int) throws {
        if let codes, codes.count != vectors.count || codes.dim != vectors.dim || codes.metric != metric {
            throw DatastoreError(
                .versionDamaged,
                "the codes are of \(codes.count) vectors of \(codes.dim) for \(codes.metric.rawValue), "
                    + "the original vectors are \(vectors.count) of \(vectors.dim) for \(metric.rawValue)")
        }
        self.vectors = vectors
        self.metric = metric
        self.codes = codes
        self.leastCodedRows = leastCodedRows
        ownScales = metric == .cosine && codes == nil ? vectors.scales() : []
    }

    /// Has mapped what every search reads.
    func warm() { codes?.warm() }

    /// The nearest rows of each query, best first, ties by row.
    ///
    /// - Parameters:
    ///   - wanted: above 0, and no more than there are.
    ///   - rows: those that may be found; nil for all.
    func nearest(_ queries: [KeyQuery], _ wanted: Int, among rows: RowSet?) throws(FaissError) -> [[KeyIndex.Hit]] {
        try hits(queries, wanted, rows) {
            (matrix, queries, words, found, scores, counts) throws(FaissError) in
            guard vectors.count >= leastCodedRows, var codes = codes?.kernel else {
                return try FaissError.check {
                    cfaiss_matrix_nearest(
                        matrix, queries, Int64(queries.count), words, Int64(wanted), &found, &scores, &counts, $0)
                }
            }
            try FaissError.check {
                cfaiss_codes_nearest(
                    matrix, &codes, queries, Int64(queries.count), words, Int64(wanted), &found, &scores, &counts, $0)
            }
        }
    }

    /// The nearest of the rows in the lists that are nearest to the query; less than wanted where these have no more.
    func nearest(
        _ query: KeyQuery, _ wanted: Int, among rows: RowSet?, in lists: CodeLists, nprobe: Int
    ) throws(FaissError) -> [KeyIndex.Hit] {
        try hits([query], wanted, rows) { (matrix, queries, words, found, scores, counts) throws(FaissError) in
            var kernel = lists.kernel
            try FaissError.check {
                cfaiss_lists_nearest(
                    matrix, &kernel, queries, Int64(min(max(1, nprobe), lists.lists)), words, Int64(wanted), &found,
                    &scores, &counts, $0)
            }
        }.first ?? []
    }

    /// The nearest of the rows that a graph's search finds.
    ///
    /// - Parameters:
    ///   - effort: rows that are kept while searching.
    ///   - candidates: of these the best that are scored in double; `wanted` at least.
    func nearest(
        _ query: KeyQuery, _ wanted: Int, among rows: RowSet?, in graph: GraphIndex, effort: Int, candidates: Int
    ) throws(FaissError) -> [KeyIndex.Hit] {
        try hits([query], wanted, rows) { (matrix, queries, words, found, scores, counts) throws(FaissError) in
            var kernel = graph.kernel
            try FaissError.check {
                cfaiss_graph_nearest(
                    matrix, &kernel, queries, Int32(clamping: effort), Int64(candidates), words, Int64(wanted), &found,
                    &scores, &counts, $0)
            }
        }.first ?? []
    }

    private typealias Kernel = (
        _ matrix: UnsafePointer<cfaiss_matrix>, _ queries: [cfaiss_query], _ words: [UInt64]?, _ found: inout [Int64],
        _ scores: inout [Float], _ counts: inout [Int64]
    ) throws(FaissError) -> Void

    private func hits(
        _ queries: [KeyQuery], _ wanted: Int, _ rows: RowSet?, _ kernel: Kernel
    ) throws(FaissError) -> [[KeyIndex.Hit]] {
        guard queries.allSatisfy({ $0.original.count == vectors.dim }),
            rows.map({ $0.capacity == vectors.count }) ?? true
        else {
            throw FaissError(
                kind: .refused,
                message: "got a query of other than \(vectors.dim) numbers, or a set of rows of another version")
        }
        // Two vectors of each query, one query behind the other.
        let dim = vectors.dim
        let numbers = [Float](unsafeUninitializedCapacity: 2 * dim * queries.count) { numbers, filled in
            for query in queries {
                for vector in [query.original, query.forIndex] {
                    _ = numbers[filled...].update(fromContentsOf: vector)
                    filled += dim
                }
            }
        }
        var found = [Int64](repeating: 0, count: wanted * queries.count)
        var scores = [Float](repeating: 0, count: wanted * queries.count)
        var counts = [Int64](repeating: 0, count: queries.count)
        var result: Result<Void, FaissError> = .success(())
        numbers.withUnsafeBufferPointer { numbers in
            guard let base = numbers.baseAddress else { return }
            let prepared = queries.enumerated().map { position, query in
                cfaiss_query(
                    values: base + 2 * dim * position, scanned: base + 2 * dim * position + dim, norm: query.norm,
                    slack: slack(query))
            }
            do throws(FaissError) {
                try withScales { scales throws(FaissError) in
                    try vectors.withMatrix(scales: scales) { matrix throws(FaissError) in
                        try kernel(matrix, prepared, rows?.words, &found, &scores, &counts)
                    }
                }
            } catch {
                result = .failure(error)
            }
        }
        try result.get()
        return counts.enumerated().map { position, count in
            (position * wanted..<position * wanted + Int(count)).map {
                KeyIndex.Hit(row: Int(found[$0]), score: scores[$0])
            }
        }
    }

    /// Whether the codes are those of the vectors: nothing that belongs to an answer is left out by them. Reads all of both.
    ///
    /// - Parameter checkpoint: called now and then; throws to stop.
    /// - Throws: `version_damaged` with the first row whose code is not.
    func checkCodes(checkpoint: () throws -> Void) throws {
        guard let codes else { return }
        try check(codes.kernel, nil, 0..<vectors.count, checkpoint)
    }

    /// The same for the codes of lists.
    func check(_ lists: CodeLists, checkpoint: () throws -> Void) throws {
        let kernel = lists.kernel
        for list in 0..<lists.lists {
            let places = Int(kernel.first_blocks[list]) * CompactCodes.rowsOfBlock
            let end = Int(kernel.first_blocks[list + 1]) * CompactCodes.rowsOfBlock
            let codes = cfaiss_codes(
                mean: kernel.centroids + list * lists.dim, spread: kernel.spread, blocks: kernel.blocks)
            try check(codes, kernel.rows, places..<end, checkpoint)
        }
    }

    private func check(
        _ codes: cfaiss_codes, _ rows: UnsafePointer<Int32>?, _ places: Range<Int>, _ checkpoint: () throws -> Void
    ) throws {
        var codes = codes
        for first in stride(from: places.lowerBound, to: places.upperBound, by: Self.checkedAtOnce) {
            try checkpoint()
            var wrong: Int64 = -1
            try withScales { scales throws(FaissError) in
                try vectors.withMatrix(scales: scales) { matrix throws(FaissError) in
                    let count = min(Self.checkedAtOnce, places.upperBound - first)
                    try FaissError.check {
                        cfaiss_codes_check(
                            matrix, &codes, vectors.largestNorm, rows, Int64(first), Int64(count), &wrong, $0)
                    }
                }
            }
            guard wrong < 0 else {
                throw DatastoreError(
                    .versionDamaged,
                    "the compact code of row \(wrong), entry \(vectors.ids[Int(wrong)]), is not that of its vector")
            }
        }
    }

    private static let checkedAtOnce = 16_384

    /// How far a product in 32 bits can be from the exact score.
    private func slack(_ query: KeyQuery) -> Double {
        // No partial sum is larger than the product of the norms.
        let largest = metric == .cosine ? 1 : query.norm * vectors.largestNorm
        let isInRange = largest < Double(Float.greatestFiniteMagnitude) / 2
        return isInRange ? query.tolerance(ofLargest: largest) : .infinity
    }

    private func withScales(_ body: (UnsafePointer<Float>?) throws(FaissError) -> Void) throws(FaissError) {
        guard metric == .cosine else { return try body(nil) }
        if let codes { return try body(codes.scales.baseAddress) }
        var result: Result<Void, FaissError> = .success(())
        ownScales.withUnsafeBufferPointer { scales in
            do throws(FaissError) {
                try body(scales.baseAddress)
            } catch {
                result = .failure(error)
            }
        }
        try result.get()
    }
}
