internal import CFaiss
package import DatastoreCore

/// One key of one version, open for search.
///
/// The original vectors decide: every score is computed in double on them. An exact search looks at all of them by their
/// compact codes (`ExactSearch`); where the plan of the version has an index, that finds candidates, which are scored again.
/// So an answer of an approximate plan may miss an entry, but shows no wrong score. Ties are in the order of the ids.
///
/// Thread-safe: everything in it is read-only.
package final class KeyIndex: Sendable {
    package let metric: Metric
    package let vectors: VectorFile
    /// What finds candidates; nil when every search is exact.
    private let index: CandidateIndex?
    /// How it was planned.
    package let plan: IndexPlan
    private let exact: ExactSearch

    /// Blocks while the norms of all vectors are computed, where the metric is cosine and there are no codes.
    ///
    /// - Parameters:
    ///   - codes: nil for versions of older releases, which have none.
    ///   - leastCodedRows: rows that a search by codes pays for.
    /// - Throws: `version_damaged` when codes, index and vectors are not of the same rows.
    package init(
        vectors: VectorFile, metric: Metric, codes: CompactCodes? = nil, plan: IndexPlan = .exact,
        index: CandidateIndex? = nil, leastCodedRows: Int = 4096
    ) throws {
        if let index, index.count != vectors.count || index.dim != vectors.dim {
            throw DatastoreError(
                .versionDamaged,
                "the index has \(index.count) vectors of \(index.dim), "
                    + "the original vectors are \(vectors.count) of \(vectors.dim)"
            )
        }
        if case .lists(let lists) = index, lists.metric != metric {
            throw DatastoreError(
                .versionDamaged, "the lists are for \(lists.metric.rawValue), the key is for \(metric.rawValue)")
        }
        self.index = index
        self.plan = plan
        self.vectors = vectors
        self.metric = metric
        exact = try ExactSearch(vectors, metric: metric, codes: codes, leastCodedRows: leastCodedRows)
    }

    package var count: Int { vectors.count }

    /// Has mapped what every exact search reads, as far as it is in the file cache; blocks meanwhile.
    package func warm() { exact.warm() }

    /// Whether searches look at all rows, unless they ask for less.
    package var isExact: Bool { index == nil }

    /// A row and how near it is.
    package struct Hit: Sendable, Equatable {
        package let row: Int
        package let score: Float
    }

    /// The `limit` nearest rows of one query, best first, ties by row; all rows when there are fewer.
    ///
    /// Blocks the caller. The query must have been validated against the key.
    ///
    /// - Parameters:
    ///   - rows: the rows that may be found; nil for all.
    ///   - effort: how far an index looks; without an index every search is exact.
    package func search(
        _ query: KeyQuery, limit: Int, among rows: RowSet? = nil, effort: SearchEffort = SearchEffort()
    ) throws(FaissError) -> [Hit] {
        let wanted = min(limit, rows?.count ?? count)
        guard wanted > 0 else { return [] }
        if let index, !effort.exact, isWorthwhile(wanted, rows) {
            let hits =
                switch index {
                case .faiss(let index): try approximate(index, query, wanted, rows, effort)
                case .lists(let lists):
                    try exact.nearest(
                        query, wanted, among: rows, in: lists, nprobe: effort.nprobe ?? plan.nprobe ?? 1)
                case .graph(let graph):
                    try nearest(query, wanted, among: rows, in: graph, efSearch: effort.efSearch ?? plan.efSearch ?? 1)
                }
            if hits.count == wanted { return hits }
        }
        return try exact.nearest([query], wanted, among: rows).first ?? []
    }

    /// The same for several queries, in their order: exact searches read what they need once for all of them.
    package func search(
        _ queries: [KeyQuery], limit: Int, among rows: RowSet? = nil, effort: SearchEffort = SearchEffort()
    ) throws(FaissError) -> [[Hit]] {
        let wanted = min(limit, rows?.count ?? count)
        guard wanted > 0, !queries.isEmpty else { return queries.map { _ in [] } }
        guard index == nil || effort.exact || !isWorthwhile(wanted, rows) else {
            var hits: [[Hit]] = []
            for query in queries { hits.append(try search(query, limit: limit, among: rows, effort: effort)) }
            return hits
        }
        return try exact.nearest(queries, wanted, among: rows)
    }

    /// Whether an index is likely to find as many: not where most rows are wanted, or few may be found.
    private func isWorthwhile(_ wanted: Int, _ rows: RowSet?) -> Bool {
        let room = rows?.count ?? count
        return wanted * 8 <= room && room * 16 >= count
    }

    private func approximate(
        _ index: VectorIndex, _ query: KeyQuery, _ wanted: Int, _ rows: RowSet?, _ effort: SearchEffort
    ) throws(FaissError) -> [Hit] {
        let effort = SearchEffort(efSearch: effort.efSearch ?? plan.efSearch, nprobe: effort.nprobe ?? plan.nprobe)
        let fetch = min(count, wanted * plan.method.candidatesPerResult + Self.spareCandidates)
        var found = [Int64](repeating: -1, count: fetch)
        var scores = [Float](repeating: 0, count: fetch)
        try Self.withBuffers(query.forIndex, &scores, &found) { (query, scores, found) throws(FaissError) in
            try index.search(query, effort: effort, among: rows, scores: scores, rows: found)
        }
        return scored(query, found.lazy.filter { $0 >= 0 }, wanted)
    }

    private func nearest(
        _ query: KeyQuery, _ wanted: Int, among rows: RowSet?, in graph: GraphIndex, efSearch: Int
    ) throws(FaissError) -> [Hit] {
        // A graph cannot leave rows out while it searches: it finds more, and they are left out then.
        let share = rows.map { count / max(1, $0.count) + 1 } ?? 1
        // Spare ones come with the effort, and are no reason for more of it: scores are rounded little.
        let candidates = max(wanted * share, min(efSearch, (wanted + Self.spareCandidates) * share))
        return try exact.nearest(
            query, wanted, among: rows, in: graph, effort: efSearch, candidates: min(count, candidates))
    }

    /// Candidates beyond those wanted: the first scores are rounded.
    private static let spareCandidates = 12

    private static func withBuffers<T>(
        _ query: [Float], _ scores: inout [Float], _ rows: inout [Int64],
        _ body: (
            UnsafeBufferPointer<Float>, UnsafeMutableBufferPointer<Float>, UnsafeMutableBufferPointer<Int64>
        ) throws(FaissError) -> T
    ) throws(FaissError) -> T {
        var result: Result<T, FaissError>?
        query.withUnsafeBufferPointer { query in
            scores.withUnsafeMutableBufferPointer { scores in
                rows.withUnsafeMutableBufferPointer { rows in
                    do throws(FaissError) {
                        result = .success(try body(query, scores, rows))
                    } catch {
                        result = .failure(error)
                    }
                }
            }
        }
        guard let result else { throw FaissError(kind: .unexpected, message: "the search did not run") }
        return try result.get()
    }

    /// Whether compact codes that came from elsewhere are those of the vectors. Reads all of both. Blocks.
    ///
    /// - Parameter checkpoint: called now and then; throws to stop.
    /// - Throws: `version_damaged` with the first row whose code is not.
    package func checkCodes(checkpoint: () throws -> Void = {}) throws {
        try exact.checkCodes(checkpoint: checkpoint)
        if case .lists(let lists) = index { try exact.check(lists, checkpoint: checkpoint) }
    }

    /// The exact score of one row.
    package func score(_ query: KeyQuery, row: Int) -> Float {
        query.original.withUnsafeBufferPointer { values in
            guard let base = values.baseAddress else { return 0 }
            let (dot, squares) = vectors.dot(base, row: row)
            return query.score(dot: dot, squares: squares)
        }
    }

    /// The best of some rows by their exact scores.
    private func scored(_ query: KeyQuery, _ rows: some Sequence<Int64>, _ wanted: Int) -> [Hit] {
        var hits = rows.map { Hit(row: Int($0), score: score(query, row: Int($0))) }
        hits.sort { $0.score != $1.score ? $0.score > $1.score : $0.row < $1.row }
        return Array(hits.prefix(wanted))
    }
}

/// A question's vector, made ready for one key.
package struct KeyQuery: Sendable {
    /// As it came.
    let original: [Float]
    /// As the index wants it: normalised where the metric is cosine.
    let forIndex: [Float]
    /// Euclidean norm of the original.
    let norm: Double
    let metric: Metric

    package init(_ vector: ArraySlice<Float>, metric: Metric) {
        self.metric = metric
        original = Array(vector)
        var dot = 0.0
        var squares = 0.0
        original.withUnsafeBufferPointer { values in
            guard let base = values.baseAddress else { return }
            cfaiss_dot_f32(base, base, Int32(values.count), &dot, &squares)
        }
        norm = squares.squareRoot()
        var normalised = original
        if metric == .cosine { VectorMath.normalise(&normalised) }
        forIndex = normalised
    }

    /// The exact score of a vector, in double; as many numbers as the query has.
    package func exactScore(of vector: ArraySlice<Float>) -> Double {
        var dot = 0.0
        var squares = 0.0
        original.withUnsafeBufferPointer { query in
            vector.withUnsafeBufferPointer { values in
                guard query.count == values.count, let query = query.baseAddress, let values = values.baseAddress else {
                    return
                }
                cfaiss_dot_f32(query, values, Int32(original.count), &dot, &squares)
            }
        }
        return metric == .cosine ? dot / (norm * squares.squareRoot()) : dot
    }

    /// The exact score of another query's vector.
    package func score(of other: KeyQuery) -> Float { score(of: other.original) }

    /// The exact score of a vector that is in no index; as many numbers as the query has.
    package func score(of vector: [Float]) -> Float {
        guard vector.count == original.count else { return -.greatestFiniteMagnitude }
        var dot = 0.0
        var squares = 0.0
        original.withUnsafeBufferPointer { query in
            vector.withUnsafeBufferPointer { values in
                guard let query = query.baseAddress, let values = values.baseAddress else { return }
                cfaiss_dot_f32(query, values, Int32(original.count), &dot, &squares)
            }
        }
        return score(dot: dot, squares: squares)
    }

    /// The score of a vector whose dot product with the query and sum of squares are known.
    func score(dot: Double, squares: Double) -> Float {
        let score = metric == .cosine ? dot / (norm * squares.squareRoot()) : dot
        let limit = Double(Float.greatestFiniteMagnitude)
        return Float(max(-limit, min(limit, score)))
    }

    /// How far a FAISS score can be from the exact one, when the product of the norms is at most `largest`.
    ///
    /// A sum of d rounded products of 32-bit floats is off by at most about d × 2⁻²⁴ × |q||v|, and by half a denormal
    /// for each product that is one; 8 more units cover the rounding of both normalisations and of the exact score to
    /// 32 bits.
    func tolerance(ofLargest largest: Double) -> Double {
        Double(original.count + 8) * (0x1p-24 * largest + 0x1p-149)
    }
}
