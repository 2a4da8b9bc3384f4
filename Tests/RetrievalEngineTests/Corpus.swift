import DatastoreCore
import RetrievalEngine
import TestSupport
import Testing

/// The entries of one or more datastores, and what an answer about them must be: exact search over all of them by
/// brute force, then the rules of the API, one after the other.
struct Corpus: Sendable {
    struct Stored: Sendable {
        let binding: Int
        let datastore: String
        let id: Int64
        let row: TestRow
    }

    struct Expected: Sendable {
        let hits: [(entry: Stored, score: Float)]
        let reasons: [ShortfallReason]?
    }

    let dim: Int
    var metric = Metric.cosine
    private(set) var entries: [Stored] = []

    init(dim: Int, metric: Metric = .cosine) {
        self.dim = dim
        self.metric = metric
    }

    /// Adds a datastore whose ids are those of one import without rejects: 1, 2, 3 and on.
    mutating func add(_ datastore: String, _ rows: [TestRow]) {
        let binding = (entries.last?.binding ?? -1) + 1
        for (index, row) in rows.enumerated() {
            entries.append(Stored(binding: binding, datastore: datastore, id: Int64(index + 1), row: row))
        }
    }

    func ranked(_ query: [Float]) -> [(entry: Stored, score: Float)] {
        let all = Vectors(values: entries.flatMap(\.row.vector), dim: dim)
        let neighbours = bruteForce(
            all, Vectors(values: query, dim: dim), k: entries.count, cosine: metric == .cosine)[0]
        return neighbours.map { (entries[$0.row], $0.score) }.sorted { left, right in
            if left.1 != right.1 { return left.1 > right.1 }
            return (left.0.id, left.0.binding) < (right.0.id, right.0.binding)
        }
    }

    func answer(_ query: [Float], _ options: QueryOptions) -> Expected {
        let k = options.k ?? Retriever.defaultK
        let all = ranked(query)
        let near = all.filter { $0.score >= options.minScore ?? -.infinity }
        let allowed = near.filter { hit in !options.excludeImageIDs.contains { $0 == hit.entry.row.imageID } }
        var seen: Set<String> = []
        let distinct = options.dedupe == .text ? allowed.filter { seen.insert($0.entry.row.text).inserted } : allowed
        guard distinct.count < k else { return Expected(hits: Array(distinct.prefix(k)), reasons: nil) }
        var reasons: [ShortfallReason] = []
        if all.count < k { reasons.append(.tooFewEntries) }
        if near.count < all.count { reasons.append(.minScore) }
        if allowed.count < near.count { reasons.append(.excluded) }
        if distinct.count < allowed.count { reasons.append(.deduplicated) }
        return Expected(hits: distinct, reasons: reasons)
    }

    /// Expects that an answer is the one that must be.
    func check(
        _ answer: QueryAnswer, _ query: [Float], _ options: QueryOptions,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let expected = self.answer(query, options)
        #expect(
            answer.results.map { "\($0.datastore) \($0.id) \($0.text)" }
                == expected.hits.map { "\($0.entry.datastore) \($0.entry.id) \($0.entry.row.text)" },
            "\(options)", sourceLocation: sourceLocation)
        for (result, hit) in zip(answer.results, expected.hits) {
            #expect(
                abs(result.score - hit.score) <= 1e-6 * max(1, abs(hit.score)), "\(result.id)",
                sourceLocation: sourceLocation)
            #expect(result.imageID == hit.entry.row.imageID, sourceLocation: sourceLocation)
            #expect(result.externalID == hit.entry.row.id, sourceLocation: sourceLocation)
        }
        #expect(answer.shortfall?.reasons == expected.reasons, "\(options)", sourceLocation: sourceLocation)
        if expected.reasons != nil {
            #expect(answer.shortfall?.requested == options.k ?? Retriever.defaultK, sourceLocation: sourceLocation)
            #expect(answer.shortfall?.returned == expected.hits.count, sourceLocation: sourceLocation)
        }
    }
}
