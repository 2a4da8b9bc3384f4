package import DatastoreCore

/// One sparse key of one version, open for search.
///
/// Thread-safe: everything in it is read-only.
package final class SparseIndex: Sendable {
    package typealias Hit = KeyIndex.Hit

    package let vectors: SparseVectorFile
    package let vocabulary: Vocabulary?
    private let postings: PostingsFile

    /// - Throws: `version_damaged` when the files are not of the same rows and vocabulary.
    package init(vectors: SparseVectorFile, postings: PostingsFile, vocabulary: Vocabulary? = nil) throws {
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
    }

    package var count: Int { vectors.count }

    /// The `limit` rows with the largest dot products, best first, ties by row; only rows that have a term which weighs
    /// more than zero in the query.
    package func search(_ query: SparseVector, limit: Int) -> [Hit] { scan(query, limit: limit) }

    /// What `search` gives, by a look at every row.
    package func scan(_ query: SparseVector, limit: Int) -> [Hit] {
        let positive = Set(zip(query.indices, query.values).lazy.filter { $0.1 > 0 }.map(\.0))
        let hits = (0..<count).compactMap { row -> Hit? in
            vectors.vector(row: row).indices.contains(where: positive.contains)
                ? Hit(row: row, score: score(query, row: row)) : nil
        }
        return Array(hits.sorted { $0.score != $1.score ? $0.score > $1.score : $0.row < $1.row }.prefix(max(0, limit)))
    }

    /// The dot product of the query and a row.
    package func score(_ query: SparseVector, row: Int) -> Float {
        var sum = 0.0
        forEachMatch(query, row: row) { sum += $1 }
        return Self.rounded(sum)
    }

    /// What each term that the query and a row share adds to the score, the most first, ties by term.
    package func matches(_ query: SparseVector, row: Int) -> [(term: UInt32, weight: Float)] {
        var matches: [(term: UInt32, weight: Float)] = []
        forEachMatch(query, row: row) { matches.append((term: $0, weight: Self.rounded($1))) }
        matches.sort { $0.weight != $1.weight ? $0.weight > $1.weight : $0.term < $1.term }
        return matches
    }

    private func forEachMatch(_ query: SparseVector, row: Int, _ body: (UInt32, Double) -> Void) {
        let vector = vectors.vector(row: row)
        var position = 0
        for (index, value) in zip(query.indices, query.values) {
            while position < vector.count, vector.indices[position] < index { position += 1 }
            guard position < vector.count else { return }
            if vector.indices[position] == index { body(index, Double(value) * Double(vector.values[position])) }
        }
    }

    private static func rounded(_ sum: Double) -> Float {
        let limit = Double(Float.greatestFiniteMagnitude)
        return Float(max(-limit, min(limit, sum)))
    }
}
