internal import CFaiss
package import DatastoreCore

/// One key of one version, open for search: the FAISS index finds candidates, the original vectors decide.
///
/// FAISS adds 32-bit floats in an order of its own, so its scores are off by a little and equal vectors in a batch may
/// score apart. Here every candidate is scored again in double on the original vectors, and a search is repeated with
/// more candidates until no row left out can belong to the answer. The answer is thus the exact one, always the same,
/// with ties in the order of the ids.
///
/// Thread-safe: everything in it is read-only.
package final class KeyIndex: Sendable {
    package let metric: Metric
    package let vectors: VectorFile
    private let index: VectorIndex

    /// - Throws: `version_damaged` when index and vectors are not of the same rows.
    package init(index: VectorIndex, vectors: VectorFile, metric: Metric) throws {
        guard index.count == vectors.count, index.dim == vectors.dim else {
            throw DatastoreError(
                .versionDamaged,
                "the index has \(index.count) vectors of \(index.dim), "
                    + "the original vectors are \(vectors.count) of \(vectors.dim)"
            )
        }
        self.index = index
        self.vectors = vectors
        self.metric = metric
    }

    package var count: Int { vectors.count }

    /// A row and how near it is.
    package struct Hit: Sendable, Equatable {
        package let row: Int
        package let score: Float
    }

    /// The `limit` nearest rows of one query, best first, ties by row; all rows when there are fewer.
    ///
    /// Blocks the caller. The query must have been validated against the key.
    package func search(_ query: KeyQuery, limit: Int) throws(FaissError) -> [Hit] {
        let wanted = min(limit, count)
        guard wanted > 0 else { return [] }
        // No partial sum of FAISS is larger than the product of the norms.
        let largest = metric == .cosine ? 1 : query.norm * vectors.largestNorm
        let isInRange = largest < Double(Float.greatestFiniteMagnitude) / 2
        let tolerance = query.tolerance(ofLargest: largest)
        var fetch = isInRange ? wanted + Self.spareCandidates : count
        while fetch < count {
            let (rows, lowest) = try candidates(query, fetch: fetch)
            let hits = scored(query, rows)
            if Double(lowest) + tolerance < Double(hits[wanted - 1].score) { return Array(hits.prefix(wanted)) }
            // Rather once over all than ever nearer to it.
            fetch = fetch * 4 < count / 8 ? fetch * 4 : count
        }
        return Array(scored(query, (0..<count).map { Int64($0) }).prefix(wanted))
    }

    /// Candidates beyond those wanted, so that one pass is nearly always enough.
    private static let spareCandidates = 12

    /// FAISS's best rows, and the lowest score that it gave one of them.
    private func candidates(_ query: KeyQuery, fetch: Int) throws(FaissError) -> (rows: [Int64], lowest: Float) {
        var rows = [Int64](repeating: -1, count: fetch)
        var scores = [Float](repeating: 0, count: fetch)
        var failure: FaissError?
        rows.withUnsafeMutableBufferPointer { rows in
            scores.withUnsafeMutableBufferPointer { scores in
                query.forIndex.withUnsafeBufferPointer { query in
                    do throws(FaissError) {
                        try index.search(query, scores: scores, rows: rows)
                    } catch {
                        failure = error
                    }
                }
            }
        }
        if let failure { throw failure }
        guard rows.allSatisfy({ $0 >= 0 }) else {
            throw FaissError(kind: .unexpected, message: "got fewer than \(fetch) candidates")
        }
        return (rows, scores[fetch - 1])
    }

    /// The exact score of one row.
    package func score(_ query: KeyQuery, row: Int) -> Float {
        query.original.withUnsafeBufferPointer { values in
            guard let base = values.baseAddress else { return 0 }
            let (dot, squares) = vectors.dot(base, row: row)
            return query.score(dot: dot, squares: squares)
        }
    }

    /// Rows with their exact scores, best first.
    private func scored(_ query: KeyQuery, _ rows: [Int64]) -> [Hit] {
        var hits: [Hit] = []
        hits.reserveCapacity(rows.count)
        query.original.withUnsafeBufferPointer { values in
            guard let base = values.baseAddress else { return }
            for row in rows {
                let (dot, squares) = vectors.dot(base, row: Int(row))
                hits.append(Hit(row: Int(row), score: query.score(dot: dot, squares: squares)))
            }
        }
        hits.sort { $0.score != $1.score ? $0.score > $1.score : $0.row < $1.row }
        return hits
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
    private let metric: Metric

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
