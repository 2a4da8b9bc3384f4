import DatastoreCore
import DatastoreStorage
import VectorIndex

/// One bound datastore as a question sees it: its version, the keys that are searched, and what is pending.
struct SearchTarget: Sendable {
    let binding: Int
    let version: OpenVersion
    /// The key that is searched with a vector.
    let dense: KeyIndex?
    let denseSpec: KeySpec?
    /// The key that is searched with weights of terms.
    let sparse: SparseIndex?
    let sparseSpec: KeySpec?
    /// Results of it are ordered by weight × score.
    let weight: Float
    /// Results of it that an answer may have.
    let limit: Int
    let pending: PendingRows
    /// How far the index of the dense key looks.
    let effort: SearchEffort

    /// Whether the ranking that `search` gives may miss entries, and another one that is asked for more has them.
    func isApproximate(_ probe: TargetProbe) -> Bool {
        guard case .dense = probe, let dense else { return false }
        return !dense.isExact && !effort.exact
    }

    /// Position of a key among those of the version.
    private func position(_ spec: KeySpec?) -> Int? {
        version.keys.firstIndex { $0.spec.name == spec?.name }
    }

    /// The best `limit` rows of the version, best first.
    ///
    /// - Parameter exact: whether all rows are looked at, whatever the question says.
    /// - Returns: also whether these are all that can be results.
    func search(
        _ probe: TargetProbe, limit: Int, exact: Bool = false
    ) throws -> (candidates: [Candidate], isComplete: Bool) {
        switch probe {
        case .dense(let query):
            guard let dense else { return ([], true) }
            let hits = try dense.search(query, limit: limit, effort: exact ? SearchEffort(exact: true) : effort)
            return (hits.map { candidate(row: $0.row, score: $0.score) }, hits.count >= dense.count)
        case .lexical(let query):
            guard let sparse else { return ([], true) }
            let hits = sparse.search(query, limit: limit)
            return (
                hits.map { candidate(row: $0.row, score: $0.score) }, hits.count < limit || hits.count >= sparse.count
            )
        case .sum(let query, let lexical, let fusion):
            return try sum(query, lexical, fusion, limit: limit)
        }
    }

    /// The largest weighted sums of two scores, exact: both rankings are read until no entry that is in neither can
    /// belong to the answer (the threshold algorithm, Fagin et al., PODS 2001).
    private func sum(
        _ query: KeyQuery, _ lexical: SparseVector, _ fusion: Fusion, limit: Int
    ) throws -> (candidates: [Candidate], isComplete: Bool) {
        guard let dense, let sparse else { return ([], true) }
        var depth = max(64, limit)
        while true {
            let near = try dense.search(query, limit: depth, effort: SearchEffort(exact: true))
            let matching = sparse.search(lexical, limit: depth)
            var scores: [Int: Float] = [:]
            for hit in near { scores[hit.row] = hit.score }
            for hit in matching where scores[hit.row] == nil { scores[hit.row] = dense.score(query, row: hit.row) }
            var candidates = scores.map { row, score in
                let terms = sparse.score(lexical, row: row)
                return candidate(row: row, score: fusion.sum(score, terms), parts: (score, terms))
            }
            candidates.sort { $0.score != $1.score ? $0.score > $1.score : $0.id < $1.id }
            if near.count >= dense.count { return (Array(candidates.prefix(limit)), limit >= candidates.count) }
            // An entry in neither ranking scores no more by either.
            let rest = matching.count < depth ? 0 : max(0, matching.last?.score ?? 0)
            let bound = fusion.sum(near.last?.score ?? 0, rest)
            let certain = candidates.prefix { $0.score > bound }.count
            if certain >= limit { return (Array(candidates.prefix(limit)), false) }
            depth = depth * 4 < dense.count / 8 ? depth * 4 : dense.count
        }
    }

    /// All pending entries that can be results, best first.
    func pendingCandidates(_ probe: TargetProbe) -> [Candidate] {
        var found: [Candidate] = []
        for (index, entry) in pending.entries.enumerated() {
            guard let (score, parts) = score(probe, entry) else { continue }
            found.append(
                Candidate(
                    binding: binding, id: entry.entry.id, place: .pending(index: index), score: score,
                    rank: Double(score) * Double(weight), parts: parts, entry: entry.entry))
        }
        return found.sorted(by: Candidate.precedes)
    }

    private func score(
        _ probe: TargetProbe, _ entry: PendingEntry
    ) -> (score: Float, parts: (dense: Float?, lexical: Float?)?)? {
        func dense(_ query: KeyQuery) -> Float? {
            position(denseSpec).map { query.score(of: entry.vectors[$0].vector.numbers) }
        }
        func weights() -> SparseVector? {
            guard let position = position(sparseSpec), case .sparse(let weights) = entry.vectors[position].vector else {
                return nil
            }
            return weights
        }
        switch probe {
        case .dense(let query): return dense(query).map { ($0, nil) }
        case .lexical(let query):
            guard let weights = weights(), query.sharesPositiveTerm(with: weights) else { return nil }
            return (query.dot(weights), nil)
        case .sum(let query, let lexical, let fusion):
            guard let score = dense(query), let weights = weights() else { return nil }
            let terms = lexical.dot(weights)
            return (fusion.sum(score, terms), (score, terms))
        }
    }

    private func candidate(row: Int, score: Float, parts: (dense: Float?, lexical: Float?)? = nil) -> Candidate {
        Candidate(
            binding: binding, id: version.ids[row], place: .version(row: row), score: score,
            rank: Double(score) * Double(weight), parts: parts)
    }

    /// The vector of a candidate for the dense key that is searched.
    func vector(of place: Candidate.Place) -> [Float] {
        switch place {
        case .version(let row): dense?.vectors.vector(row: row) ?? []
        case .pending(let index): position(denseSpec).map { pending.entries[index].vectors[$0].vector.numbers } ?? []
        }
    }

    /// What each term that the question and an entry share adds to the score, the most first.
    func matches(_ query: SparseVector, _ place: Candidate.Place) -> [(term: UInt32, weight: Float)] {
        switch place {
        case .version(let row): return sparse?.matches(query, row: row) ?? []
        case .pending(let index):
            guard let position = position(sparseSpec),
                case .sparse(let weights) = pending.entries[index].vectors[position].vector
            else { return [] }
            return query.matches(weights)
        }
    }
}

/// What is looked for in one bound datastore.
enum TargetProbe: Sendable {
    case dense(KeyQuery)
    case lexical(SparseVector)
    case sum(KeyQuery, SparseVector, Fusion)
}

extension Float {
    /// The nearest finite number: JSON has no infinity.
    init(clamping value: Double) {
        let limit = Double(Float.greatestFiniteMagnitude)
        self.init(max(-limit, min(limit, value)))
    }
}

extension Fusion {
    /// The weighted sum of a dense and a lexical score.
    func sum(_ dense: Float, _ lexical: Float) -> Float {
        Float(clamping: Double(denseWeight) * Double(dense) + Double(lexicalWeight) * Double(lexical))
    }
}
