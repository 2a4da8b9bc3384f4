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
    /// Why pending changes do not count although they were asked for.
    let pendingNote: String?
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
    /// - Parameters:
    ///   - rows: the rows that count; nil when all do.
    ///   - exact: whether all rows are looked at, whatever the question says.
    /// - Returns: also whether these are all that can be results.
    func search(
        _ probe: TargetProbe, limit: Int, among rows: RowSet?, exact: Bool = false
    ) throws -> (candidates: [Candidate], isComplete: Bool) {
        let count = rows?.count ?? version.count
        switch probe {
        case .dense(let query):
            guard let dense else { return ([], true) }
            let hits = try dense.search(
                query, limit: limit, among: rows, effort: exact ? SearchEffort(exact: true) : effort)
            return (hits.map { candidate(row: $0.row, score: $0.score) }, hits.count >= count)
        case .lexical(let query):
            guard let sparse else { return ([], true) }
            let hits = sparse.search(query, limit: limit, among: rows)
            return (hits.map { candidate(row: $0.row, score: $0.score) }, hits.count < limit || hits.count >= count)
        case .sum(let query, let lexical, let fusion):
            return try sum(query, lexical, fusion, limit: limit, among: rows)
        }
    }

    /// The best `limit` rows of the version for each of several vectors, with one look at all rows where the search is exact.
    func search(
        _ queries: [KeyQuery], limit: Int, among rows: RowSet?
    ) throws -> [(candidates: [Candidate], isComplete: Bool)] {
        guard let dense else { return queries.map { _ in ([], true) } }
        let count = rows?.count ?? version.count
        return try dense.search(queries, limit: limit, among: rows, effort: effort).map { hits in
            (hits.map { candidate(row: $0.row, score: $0.score) }, hits.count >= count)
        }
    }

    /// The largest weighted sums of two scores, exact: both rankings are read until no entry that is in neither can
    /// belong to the answer (the threshold algorithm, Fagin et al., PODS 2001).
    private func sum(
        _ query: KeyQuery, _ lexical: SparseVector, _ fusion: Fusion, limit: Int, among rows: RowSet?
    ) throws -> (candidates: [Candidate], isComplete: Bool) {
        guard let dense, let sparse else { return ([], true) }
        let count = rows?.count ?? dense.count
        var depth = max(64, limit)
        while true {
            let near = try dense.search(query, limit: depth, among: rows, effort: SearchEffort(exact: true))
            let matching = sparse.search(lexical, limit: depth, among: rows)
            var scores: [Int: Float] = [:]
            for hit in near { scores[hit.row] = hit.score }
            for hit in matching where scores[hit.row] == nil { scores[hit.row] = dense.score(query, row: hit.row) }
            var candidates = scores.map { row, score in
                let terms = sparse.score(lexical, row: row)
                return candidate(row: row, score: fusion.sum(score, terms), parts: (score, terms))
            }
            candidates.sort { $0.score != $1.score ? $0.score > $1.score : $0.id < $1.id }
            if near.count >= count { return (Array(candidates.prefix(limit)), limit >= candidates.count) }
            // An entry in neither ranking scores no more by either.
            let rest = matching.count < depth ? 0 : max(0, matching.last?.score ?? 0)
            let bound = fusion.sum(near.last?.score ?? 0, rest)
            let certain = candidates.prefix { $0.score > bound }.count
            if certain >= limit { return (Array(candidates.prefix(limit)), false) }
            depth = depth * 4 < count / 8 ? depth * 4 : count
        }
    }

    /// The best `limit` pending entries, best first.
    ///
    /// - Parameter slots: the entries that count; nil when all do.
    /// - Returns: also whether these are all that can be results.
    func searchPending(
        _ probe: TargetProbe, limit: Int, among slots: RowSet?
    ) -> (candidates: [Candidate], isComplete: Bool) {
        guard limit > 0 else { return ([], true) }
        var top = TopHits(limit: limit)
        // Ties are in the order of ids.
        pending.forEachBlock { block, start in
            let isWanted = { pending.isCounted(start + $0) && slots?.contains(start + $0) ?? true }
            let id = { Int(block.changes[$0].entry.id) }
            if case .dense(let query) = probe {
                position(denseSpec).flatMap(block.vectors)?.search(query, where: isWanted, into: &top, as: id)
                return
            }
            for place in 0..<block.count where isWanted(place) {
                if let score = score(probe, block, place) { top.offer(row: id(place), score: score) }
            }
        }
        let hits = top.sorted()
        let candidates = hits.compactMap { hit -> Candidate? in
            guard let slot = pending.slot(ofID: Int64(hit.row)) else { return nil }
            var parts: (dense: Float?, lexical: Float?)?
            if case .sum(let query, let lexical, _) = probe {
                let weights = position(sparseSpec).flatMap { pending.weights(slot, key: $0) } ?? .empty
                parts = (query.score(of: vector(of: .pending(slot: slot))), lexical.dot(weights))
            }
            return Candidate(
                binding: binding, id: Int64(hit.row), place: .pending(slot: slot), score: hit.score,
                rank: Double(hit.score) * Double(weight), parts: parts, entry: pending.entry(slot))
        }
        return (candidates, candidates.count < limit)
    }

    private func score(_ probe: TargetProbe, _ block: PendingBlock, _ place: Int) -> Float? {
        let weights = position(sparseSpec).map(block.weights) ?? []
        switch probe {
        case .dense(let query):
            return position(denseSpec).flatMap(block.vectors).map { $0.score(query, of: place) }
        case .lexical(let query):
            guard place < weights.count, query.sharesPositiveTerm(with: weights[place]) else { return nil }
            return query.dot(weights[place])
        case .sum(let query, let lexical, let fusion):
            guard place < weights.count, let vectors = position(denseSpec).flatMap(block.vectors) else { return nil }
            return fusion.sum(vectors.score(query, of: place), lexical.dot(weights[place]))
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
        case .pending(let slot): position(denseSpec).map { pending.vector(slot, key: $0) } ?? []
        }
    }

    /// What each term that the question and an entry share adds to the score, the most first.
    func matches(_ query: SparseVector, _ place: Candidate.Place) -> [(term: UInt32, weight: Float)] {
        switch place {
        case .version(let row): return sparse?.matches(query, row: row) ?? []
        case .pending(let slot):
            return position(sparseSpec).flatMap { pending.weights(slot, key: $0) }.map(query.matches) ?? []
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
