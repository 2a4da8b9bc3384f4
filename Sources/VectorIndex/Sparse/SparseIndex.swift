package import DatastoreCore
internal import Synchronization

/// One sparse key of one version, open for search.
///
/// Thread-safe: everything in it is read-only.
package final class SparseIndex: Sendable {
    package typealias Hit = KeyIndex.Hit

    package let vectors: SparseVectorFile
    package let vocabulary: Vocabulary?
    private let postings: PostingsFile
    private let windowSize: Int
    /// As many as searches that ran at once.
    private let scratches = Mutex<[SparseScratch]>([])

    /// - Parameter windowSize: rows that a search has sums of at once, 9 bytes each and 4 more.
    /// - Throws: `version_damaged` when the files are not of the same rows and vocabulary.
    package init(
        vectors: SparseVectorFile, postings: PostingsFile, vocabulary: Vocabulary? = nil, windowSize: Int = 1 << 16
    ) throws {
        precondition(windowSize > 0)
        guard postings.count == vectors.count, postings.terms == vectors.terms else {
            throw DatastoreError(
                .versionDamaged,
                "the postings are of \(postings.count) rows and \(postings.terms) terms, "
                    + "the sparse vectors are \(vectors.count) of \(vectors.terms)")
        }
        if let vocabulary, vocabulary.count != vectors.terms {
            throw DatastoreError(
                .versionDamaged,
                "the vocabulary has \(vocabulary.count) terms, the sparse vectors are of \(vectors.terms)")
        }
        self.vectors = vectors
        self.postings = postings
        self.vocabulary = vocabulary
        self.windowSize = windowSize
    }

    package var count: Int { vectors.count }

    /// The `limit` rows with the largest dot products, best first, ties by row; only rows that have a term which weighs
    /// more than zero in the query.
    ///
    /// Exactly what `scan` gives, and blocks the caller less long. Terms that the vocabulary does not have are left out.
    ///
    /// - Parameter rows: the rows that count; nil when all do.
    package func search(_ query: SparseVector, limit: Int, among rows: RowSet? = nil) -> [Hit] {
        let limit = min(limit, rows?.count ?? count)
        guard limit > 0 else { return [] }
        return withScratch(query) { scratch in
            guard
                var search = SparseSearch(
                    query, limit: limit, among: rows, vectors: vectors, postings: postings, scratch: scratch)
            else { return [] }
            // Postings are only a way to the rows: without them every row is looked at.
            return search.run() ?? scan(scratch, limit: limit, among: rows)
        }
    }

    /// What `search` gives, by a look at every row.
    package func scan(_ query: SparseVector, limit: Int, among rows: RowSet? = nil) -> [Hit] {
        let limit = min(limit, rows?.count ?? count)
        guard limit > 0 else { return [] }
        return withScratch(query) { scan($0, limit: limit, among: rows) }
    }

    private func scan(_ scratch: SparseScratch, limit: Int, among wanted: RowSet?) -> [Hit] {
        let rows = vectors.rows
        let terms = UInt32(vectors.terms)
        let weights = scratch.weights
        var top = TopHits(limit: limit)
        var least = -Double.infinity
        for number in 0..<count where wanted?.contains(number) ?? true {
            let row = rows[number]
            let sum = SparseSearch.dot(weights, row, terms: terms)
            // A sum that is less than the float below the least score does not round to that score.
            guard sum >= least || sum.isNaN,
                (0..<row.count).contains(where: { weights[Int(min(row.index($0), terms))] > 0 })
            else { continue }
            top.offer(row: number, score: Self.rounded(sum))
            if let score = top.leastScore { least = Double(score.nextDown) }
        }
        return top.sorted()
    }

    /// The dot product of the query and a row.
    package func score(_ query: SparseVector, row: Int) -> Float {
        var sum = 0.0
        forEachMatch(query, row: row) { sum += $1 }
        return Self.rounded(sum)
    }

    /// What each term that the query and a row share adds to the score, the most first, ties by term.
    package func matches(_ query: SparseVector, row: Int) -> [(term: UInt32, weight: Float)] {
        query.matches(vectors.vector(row: row))
    }

    private func forEachMatch(_ query: SparseVector, row number: Int, _ body: (UInt32, Double) -> Void) {
        precondition((0..<count).contains(number))
        let row = vectors.rows[number]
        var position = 0
        for (index, value) in zip(query.indices, query.values) where index < vectors.terms {
            while position < row.count, row.index(position) < index { position += 1 }
            guard position < row.count else { return }
            if row.index(position) == index { body(index, Double(value) * Double(row.weight(position))) }
        }
    }

    /// A sum as a score: the nearest 32-bit float, the largest for what is over it. Of a damaged weight it may be NaN;
    /// its row comes last.
    @inline(__always)
    static func rounded(_ sum: Double) -> Float {
        let limit = Double(Float.greatestFiniteMagnitude)
        return sum >= -limit ? Float(min(limit, sum)) : -Float.greatestFiniteMagnitude
    }

    // MARK: Room to work in

    /// Calls `body` with room in which the query's weights lie at their terms.
    private func withScratch(_ query: SparseVector, _ body: (SparseScratch) -> [Hit]) -> [Hit] {
        let scratch =
            scratches.withLock { $0.popLast() } ?? SparseScratch(terms: vectors.terms, window: min(windowSize, count))
        let weights = scratch.weights
        for (index, value) in zip(query.indices, query.values) where index < vectors.terms {
            weights[Int(index)] = value
        }
        defer {
            for index in query.indices where index < vectors.terms { weights[Int(index)] = 0 }
            scratches.withLock { $0.append(scratch) }
        }
        return body(scratch)
    }
}
