package import DatastoreCore
import DatastoreStorage
import VectorIndex

/// Answers a captioner's question from one revision of a domain.
///
/// Synchronous and blocking: it runs on the search pool. Everything it reads is immutable, so that the same question
/// to the same revision gives the same answer.
package struct Retriever: Sendable {
    /// What kind of key a question is asked of.
    package enum Form: Sendable {
        case dense
        case lexical
        case fused
    }

    private let domain: DomainSnapshot
    private let targets: [SearchTarget]
    private let options: QueryOptions
    package let k: Int
    private let maximumK: Int
    private let dedupe: Dedupe
    private let minScore: Float
    private let template: PromptTemplate?
    private let filter: QueryFilter?

    /// Results when neither the question nor the domain says how many; SmallCap's k.
    package static let defaultK = 4

    /// Names of a merged answer when neither the question nor the domain says how many; EVCap's.
    package static let defaultNames = 10

    /// Images that one question may exclude.
    package static let maximumExclusions = 10_000

    /// Terms that a lexical question may have: more than any vocabulary that is read has words.
    private static let maximumTerms = 65_536

    /// - Parameter pending: for each binding what is pending; empty when it does not count.
    /// - Throws: `k_out_of_range`, `invalid_value`, `unknown_key`, `version_damaged`.
    package init(
        _ domain: DomainSnapshot, form: Form, options: QueryOptions, maximumK: Int, pending: [PendingView] = []
    ) throws {
        let defaults = domain.info.defaults
        self.domain = domain
        self.options = options
        self.maximumK = maximumK
        k = options.k ?? defaults.k ?? (options.merge == nil ? Self.defaultK : Self.defaultNames)
        dedupe = options.dedupe ?? defaults.dedupe ?? .none
        minScore = options.minScore ?? defaults.minScore ?? -.infinity
        filter = try (options.filter ?? defaults.filter).flatMap { filter in
            try filter.validate(field: "filter")
            return filter.isEmpty ? nil : filter
        }
        template = options.prompt ? (options.template ?? defaults.template).map(PromptTemplate.init) ?? .smallCap : nil
        try options.validate(k: k, form: form, maximumK: maximumK)
        targets = try domain.openVersions().enumerated().map { index, version in
            try SearchTarget(
                binding: index, version: version, form: form, using: options.using,
                bound: domain.info.datastores[index], pending: index < pending.count ? pending[index] : nil,
                effort: options.effort)
        }
    }

    /// The specification of the dense key that is searched.
    ///
    /// - Throws: `unknown_key` when the question is of weights of terms alone.
    package func denseSpecs() throws -> [KeySpec] {
        try targets.map { target in
            guard let spec = target.denseSpec else {
                throw DatastoreError.field(
                    .unknownKey, "using", "the question is of a sparse key, expected a dense one")
            }
            return spec
        }
    }

    /// The dense keys that are searched, by datastore.
    var denseKeys: [(datastore: String, key: String)] {
        targets.compactMap { target in target.denseSpec.map { (target.version.id.datastore, $0.name) } }
    }

    /// - Throws: `vector_dim_mismatch`, `vector_not_finite`, `vector_zero`.
    package func validate(_ vectors: QueryVectors) throws {
        for spec in try denseSpecs() { try vectors.validate(dim: spec.dim, metric: spec.metric) }
    }

    /// The terms of a question, found in the vocabulary of each binding.
    ///
    /// - Throws: `unknown_term`.
    package func terms(_ weights: LexicalWeights) throws -> [SparseVector] {
        let count =
            switch weights {
            case .numbers(let vector): vector.count
            case .words(let words): words.count
            }
        guard count <= Self.maximumTerms else {
            throw DatastoreError.field(
                .invalidValue, "query.lexical", "got \(count) terms, expected at most \(Self.maximumTerms)")
        }
        var unknown: Set<String> = []
        var known: Set<String> = []
        let vectors = try targets.map { target in
            guard let sparse = target.sparse else { return SparseVector.empty }
            switch weights {
            case .numbers(let vector):
                guard let last = vector.indices.last, last >= UInt32(clamping: sparse.vectors.terms) else {
                    return vector
                }
                guard options.ignoreUnknownTerms else {
                    throw DatastoreError.field(
                        .unknownTerm, "query.lexical.indices",
                        "got \(last), expected 0 to \(sparse.vectors.terms - 1), the terms of \(target.version.id.datastore)"
                    )
                }
                let inside = vector.indices.prefix { $0 < UInt32(clamping: sparse.vectors.terms) }.count
                return SparseVector(
                    ascending: Array(vector.indices.prefix(inside)), values: Array(vector.values.prefix(inside)))
            case .words(let words):
                guard let vocabulary = sparse.vocabulary else {
                    throw DatastoreError.field(
                        .unknownTerm, "query.lexical",
                        "datastore \"\(target.version.id.datastore)\" has no vocabulary of words; expected indices and values"
                    )
                }
                var indices: [UInt32] = []
                var values: [Float] = []
                for (word, weight) in words {
                    if let index = vocabulary.index(of: word) {
                        indices.append(index)
                        values.append(weight)
                        known.insert(word)
                    } else {
                        unknown.insert(word)
                    }
                }
                return try SparseVector(indices: indices, values: values, field: "query.lexical")
            }
        }
        let nowhere = unknown.subtracting(known)
        guard nowhere.isEmpty || options.ignoreUnknownTerms else {
            let shown = nowhere.sorted().prefix(5).map { "\"\($0.prefix(80))\"" }.joined(separator: ", ")
            throw DatastoreError.field(
                .unknownTerm, "query.lexical",
                "\(nowhere.count) terms are not in the vocabulary: \(shown); ignore_unknown_terms leaves them out")
        }
        return vectors
    }

    /// Which entries a question may be answered with, for each binding.
    package struct Scope: Sendable {
        /// Entries that are no results.
        package var excluded: [Set<Int64>]
        /// What the filter lets through; nil where there is none.
        fileprivate let passing: [Passing?]
    }

    /// What a filter lets through of a version and of what is pending beside it.
    fileprivate struct Passing: Sendable {
        let rows: RowSet
        let slots: RowSet
    }

    /// The excluded images and the filter, looked up once for all vectors of a request. Blocks.
    package func scope() throws -> Scope {
        Scope(
            excluded: try targets.map { target in
                var ids = try target.version.entries.ids(ofImages: options.excludeImageIDs)
                ids.formUnion(target.pending.ids(ofImages: options.excludeImageIDs))
                return ids
            },
            passing: try targets.map { target in
                guard let filter else { return nil }
                let test = FieldTest(filter)
                return Passing(
                    rows: try target.version.filters.rows(filter, of: target.version),
                    slots: target.pending.slots(where: test.passes))
            })
    }

    /// Whether a filter leaves out entries.
    private func leavesOut(_ scope: Scope) -> Bool {
        zip(targets, scope.passing).contains { target, passing in
            guard let passing else { return false }
            return passing.rows.count < target.version.count || passing.slots.count < target.pending.count
        }
    }

    // MARK: Answering

    /// The answer to one question. Blocks.
    ///
    /// - Parameters:
    ///   - probe: validated.
    ///   - scope: what `scope` gave, and entries that are no results for another reason.
    func answer(_ probe: Probe, in scope: Scope) throws -> QueryAnswer {
        try finish(ranked(probe, count: pool, in: scope, isAnswer: true), probe)
    }

    /// The answers to several vectors, in their order: versions are searched for all of them at once. Blocks.
    func answers(_ vectors: QueryVectors, _ range: Range<Int>, in scope: Scope) throws -> [QueryAnswer] {
        var answers: [QueryAnswer] = []
        try forEachSearched(vectors, range, count: pool, in: scope) { _, probe, first in
            answers.append(try finish(ranked(probe, count: pool, in: scope, isAnswer: true, first: first), probe))
        }
        return answers
    }

    /// Gives vectors with what versions find first for each, in their order: searched together, but never so many that what
    /// they find takes much memory.
    private func forEachSearched(
        _ vectors: QueryVectors, _ range: Range<Int>, count: Int, in scope: Scope,
        _ body: (_ index: Int, Probe, [CandidateStream.First]) throws -> Void
    ) throws {
        let expected = targets.map { count + scope.excluded[$0.binding].count }.max() ?? count
        let atOnce = max(1, min(Self.vectorsAtOnce, Self.candidatesAtOnce / max(1, expected)))
        for start in stride(from: range.lowerBound, to: range.upperBound, by: atOnce) {
            let part = start..<min(start + atOnce, range.upperBound)
            let probes = part.map { Probe.dense(vectors[$0]) }
            let first = try firstSearches(probes, count: count, in: scope)
            for (index, place) in zip(part, probes.indices) { try body(index, probes[place], first[place]) }
        }
    }

    /// Vectors that versions are searched for at once.
    static let vectorsAtOnce = 32
    /// Candidates that these searches find, all together.
    private static let candidatesAtOnce = 131_072

    /// What each target's version finds first for each of several vectors.
    private func firstSearches(
        _ probes: [Probe], count: Int, in scope: Scope
    ) throws -> [[CandidateStream.First]] {
        var found = [[CandidateStream.First]](repeating: [], count: probes.count)
        for target in targets {
            let rows = scope.passing[target.binding]?.rows
            let limit = CandidateStream.limit(
                target, among: rows, expecting: count + scope.excluded[target.binding].count)
            let queries = probes.compactMap { probe -> KeyQuery? in
                guard case .dense(let query)? = targetProbe(probe, target) else { return nil }
                return query
            }
            for (place, first) in try target.search(queries, limit: limit, among: rows).enumerated() {
                found[place].append(first)
            }
        }
        return found
    }

    /// The first stage alone, with texts: what a reranker is given. Blocks.
    func firstStage(_ probe: Probe, in scope: Scope) throws -> Ranking {
        var ranking = try ranked(probe, count: pool, in: scope, isAnswer: true)
        ranking.candidates = try read(ranking.candidates)
        return ranking
    }

    /// Results that later stages choose from.
    private var pool: Int {
        var pool = options.select?.pool(k: k) ?? k
        if let mmr = options.mmr { pool = max(pool, fetch(mmr)) }
        if let rerank = options.rerank { pool = max(pool, rerank.fetch) }
        return pool
    }

    private func fetch(_ mmr: MMR) -> Int { mmr.fetch ?? max(k, min(4 * k, maximumK)) }

    /// Candidates in order, and why there are no more.
    struct Ranking: Sendable {
        var candidates: [Candidate]
        var reasons: Set<ShortfallReason>
    }

    /// Variety, selection and texts. Blocks.
    func finish(_ ranking: Ranking, _ probe: Probe, notes: [String]? = nil) throws -> QueryAnswer {
        var candidates = ranking.candidates
        if let mmr = options.mmr {
            candidates = various(Array(candidates.prefix(fetch(mmr))), lambda: mmr.lambda)
        }
        if let select = options.select {
            candidates = select.apply(to: candidates, k: k)
        } else {
            candidates = Array(candidates.prefix(k))
        }
        let results = try results(candidates, probe)
        var reasons = ranking.reasons
        if entryCount < k { reasons.insert(.tooFewEntries) }
        return QueryAnswer(
            domain: domain.info.domain, revision: domain.info.revision, results: results,
            shortfall: shortfall(results.count, reasons), prompt: template?.render(results.map(\.text)),
            notes: self.notes(and: notes))
    }

    /// Entries that there are, pending ones that count among them.
    private var entryCount: Int {
        targets.reduce(0) { $0 + $1.version.count + $1.pending.count - $1.pending.hidden.count }
    }

    /// What did not go as asked; nil when all did.
    private func notes(and others: [String]?) -> [String]? {
        let notes = targets.compactMap(\.pendingNote) + (others ?? [])
        return notes.isEmpty ? nil : notes
    }

    private func shortfall(_ count: Int, _ reasons: Set<ShortfallReason>) -> Shortfall? {
        guard count < k else { return nil }
        return Shortfall(requested: k, returned: count, reasons: ShortfallReason.allCases.filter(reasons.contains))
    }

    // MARK: Ranking

    /// The first `count` candidates of the domain.
    ///
    /// - Parameters:
    ///   - isAnswer: whether what limits answers counts; a ranking that is fused with another is whole.
    ///   - first: for each target what its version finds first, where that is known already.
    private func ranked(
        _ probe: Probe, count: Int, in scope: Scope, isAnswer: Bool, first: [CandidateStream.First]? = nil
    ) throws -> Ranking {
        let readsEntries = isAnswer && (dedupe.text || dedupe.image)
        var streams: [CandidateStream] = []
        var reasons: Set<ShortfallReason> = []
        if case .fused(let vector, let terms) = probe, fusion.method == .rrf {
            let (candidates, why) = try fusedByRank(vector, terms, in: scope)
            reasons = why
            for target in targets {
                let own = candidates.filter { $0.binding == target.binding }
                streams.append(CandidateStream(target, own, readsEntries: readsEntries))
            }
        } else {
            for target in targets {
                guard let wanted = targetProbe(probe, target) else { continue }
                let expected = count + scope.excluded[target.binding].count
                let passing = scope.passing[target.binding]
                streams.append(
                    CandidateStream(
                        versionOf: target, wanted, among: passing?.rows, expecting: expected,
                        readsEntries: readsEntries, first: first?[target.binding]))
                if target.pending.count > 0 {
                    streams.append(
                        CandidateStream(pendingOf: target, wanted, among: passing?.slots, expecting: expected))
                }
            }
        }
        var ranking = try choose(count, from: streams, in: scope, reasons, isAnswer: isAnswer)
        if case .lexical = probe, streams.contains(where: \.leavesOut) { ranking.reasons.insert(.noSharedTerm) }
        return ranking
    }

    /// Takes the best candidate of all streams again and again, and keeps those that may be results.
    private func choose(
        _ count: Int, from streams: [CandidateStream], in scope: Scope,
        _ known: Set<ShortfallReason>, isAnswer: Bool
    ) throws -> Ranking {
        var chosen: [Candidate] = []
        chosen.reserveCapacity(min(count, 1024))
        var reasons = known
        if leavesOut(scope) { reasons.insert(.filter) }
        var taken = [Int](repeating: 0, count: targets.count)
        var same = SameResults(isAnswer ? dedupe : .none)
        // What is compared vector by vector is not compared for ever.
        var patience = dedupe.similarity == nil ? Int.max : max(1000, 20 * count)
        while chosen.count < count, patience > 0 {
            var best: (stream: CandidateStream, candidate: Candidate)?
            for stream in streams {
                guard let candidate = try stream.peek() else { continue }
                if best.map({ Candidate.precedes(candidate, $0.candidate) }) ?? true { best = (stream, candidate) }
            }
            guard let (stream, candidate) = best else { break }
            let target = targets[candidate.binding]
            if isAnswer, candidate.score < minScore {
                reasons.insert(.minScore)
                stream.close()
            } else if isAnswer, taken[candidate.binding] >= target.limit {
                reasons.insert(.limited)
                stream.close()
            } else if scope.excluded[candidate.binding].contains(candidate.id) {
                reasons.insert(.excluded)
                stream.pop()
            } else if same.contains(candidate, vector: { targets[$0.binding].vector(of: $0.place) }, target.denseSpec) {
                reasons.insert(.deduplicated)
                patience -= 1
                stream.pop()
            } else {
                chosen.append(candidate)
                taken[candidate.binding] += 1
                stream.pop()
            }
        }
        return Ranking(candidates: chosen, reasons: reasons)
    }

    private var fusion: Fusion {
        var fusion = options.fusion ?? Fusion()
        fusion.depth = max(fusion.depth, k)
        return fusion
    }

    /// Reciprocal rank fusion of a dense and a lexical ranking of the whole domain.
    private func fusedByRank(
        _ vector: [Float], _ terms: [SparseVector], in scope: Scope
    ) throws -> ([Candidate], Set<ShortfallReason>) {
        let dense = try ranked(.dense(vector), count: fusion.depth, in: scope, isAnswer: false)
        let lexical = try ranked(.lexical(terms), count: fusion.depth, in: scope, isAnswer: false)
        var found: [Candidate.Identity: Candidate] = [:]
        for var candidate in lexical.candidates {
            candidate.parts = (nil, candidate.score)
            found[candidate.identity] = candidate
        }
        for var candidate in dense.candidates {
            candidate.parts = (candidate.score, found[candidate.identity]?.parts?.lexical)
            found[candidate.identity] = candidate
        }
        let fused = ReciprocalRankFusion.fuse(
            [dense.candidates.map(\.identity), lexical.candidates.map(\.identity)],
            weights: [fusion.denseWeight, fusion.lexicalWeight], constant: fusion.constant, depth: fusion.depth
        ) { $0.id != $1.id ? $0.id < $1.id : $0.binding < $1.binding }
        let candidates = fused.compactMap { identity, score -> Candidate? in
            guard var candidate = found[identity] else { return nil }
            candidate.score = Float(clamping: score)
            candidate.rank = Double(candidate.score) * Double(targets[candidate.binding].weight)
            return candidate
        }
        return (candidates.sorted(by: Candidate.precedes), dense.reasons.union(lexical.reasons))
    }

    private func targetProbe(_ probe: Probe, _ target: SearchTarget) -> TargetProbe? {
        func query(_ vector: [Float]) -> KeyQuery? {
            target.denseSpec.map { KeyQuery(vector[...], metric: $0.metric) }
        }
        switch probe {
        case .dense(let vector): return query(vector).map { .dense($0) }
        case .lexical(let terms): return .lexical(terms[target.binding])
        case .fused(let vector, let terms): return query(vector).map { .sum($0, terms[target.binding], fusion) }
        }
    }

    // MARK: Variety

    /// Orders the first `k` by maximal marginal relevance.
    private func various(_ candidates: [Candidate], lambda: Float) -> [Candidate] {
        let queries = candidates.map { candidate in
            let target = targets[candidate.binding]
            return KeyQuery(target.vector(of: candidate.place)[...], metric: target.denseSpec?.metric ?? .cosine)
        }
        let order = MaximalMarginalRelevance.select(
            relevance: candidates.map { $0.relevance ?? $0.rank }, lambda: lambda, k: k
        ) { Double(queries[$0].score(of: queries[$1])) }
        return order.map { candidates[$0] }
    }

    // MARK: Merging (EVCap)

    /// One list of names from the hits of many vectors, as EVCap makes it. Blocks.
    ///
    /// - Parameter vectors: validated.
    package func merged(_ vectors: QueryVectors, _ merge: VectorMerge, in scope: Scope) throws
        -> QueryAnswer
    {
        var reasons: Set<ShortfallReason> = []
        var hits: [(vector: Int, candidate: Candidate)] = []
        try forEachSearched(vectors, 0..<vectors.count, count: merge.perVector, in: scope) { index, probe, first in
            let found = try ranked(probe, count: merge.perVector, in: scope, isAnswer: false, first: first)
            reasons.formUnion(found.reasons)
            for candidate in found.candidates {
                if candidate.score >= minScore { hits.append((index, candidate)) } else { reasons.insert(.minScore) }
            }
        }
        if hits.count > merge.limit { reasons.insert(.limited) }
        hits.sort { one, other in
            if one.candidate.rank != other.candidate.rank { return one.candidate.rank > other.candidate.rank }
            if one.candidate.identity != other.candidate.identity {
                return Candidate.precedes(one.candidate, other.candidate)
            }
            return one.vector < other.vector
        }
        let kept = Array(hits.prefix(merge.limit))
        let candidates = try read(kept.map(\.candidate))
        var seen: Set<String> = []
        var same = SameResults(dedupe)
        var taken = [Int](repeating: 0, count: targets.count)
        var results: [QueryResult] = []
        for (hit, candidate) in zip(kept, candidates) where results.count < k {
            guard let text = candidate.entry?.fields.text else { continue }
            let target = targets[candidate.binding]
            guard taken[candidate.binding] < target.limit else {
                reasons.insert(.limited)
                continue
            }
            let name = VisualName.normalised(text)
            guard !seen.contains(name),
                !same.contains(candidate, vector: { targets[$0.binding].vector(of: $0.place) }, target.denseSpec)
            else {
                reasons.insert(.deduplicated)
                continue
            }
            seen.insert(name)
            taken[candidate.binding] += 1
            guard var result = result(candidate, nil) else { continue }
            result.name = name
            result.vector = hit.vector
            results.append(result)
        }
        if entryCount < k { reasons.insert(.tooFewEntries) }
        // Fewer hits were asked for than names.
        if results.count < k, reasons.isEmpty { reasons.insert(.limited) }
        let names = results.compactMap(\.name)
        return QueryAnswer(
            domain: domain.info.domain, revision: domain.info.revision, results: results,
            shortfall: shortfall(results.count, reasons), prompt: template?.render(names), names: names,
            joined: names.joined(separator: merge.separator), notes: notes(and: nil))
    }

    // MARK: Results

    private func results(_ candidates: [Candidate], _ probe: Probe) throws -> [QueryResult] {
        try read(candidates).compactMap { result($0, probe) }
    }

    private func result(_ candidate: Candidate, _ probe: Probe?) -> QueryResult? {
        guard let entry = candidate.entry else { return nil }
        let target = targets[candidate.binding]
        var result = QueryResult(
            entry: entry, score: candidate.score, datastore: target.version.id.datastore,
            version: target.version.id.number)
        if case .pending = candidate.place { result.pending = true }
        if let relevance = candidate.relevance {
            result.rankScore = Float(clamping: relevance)
        } else if target.weight != 1 {
            result.rankScore = Float(clamping: candidate.rank)
        }
        if let parts = candidate.parts {
            var scores: [String: Float] = [:]
            if let spec = target.denseSpec, let score = parts.dense { scores[spec.name] = score }
            if let spec = target.sparseSpec, let score = parts.lexical { scores[spec.name] = score }
            result.scores = scores
        }
        switch probe {
        case .lexical(let terms), .fused(_, let terms):
            result.terms = shares(of: terms[candidate.binding], candidate, target)
        case .dense, nil: break
        }
        return result
    }

    /// The terms that matched, each with its part of the score.
    private func shares(of query: SparseVector, _ candidate: Candidate, _ target: SearchTarget) -> [TermShare] {
        let matches = target.matches(query, candidate.place)
        let total = matches.reduce(0.0) { $0 + Double($1.weight) }
        return matches.map { match in
            TermShare(
                term: target.sparse?.vocabulary?.term(match.term), index: Int(match.term), weight: match.weight,
                share: total == 0 ? 0 : Float(Double(match.weight) / total))
        }
    }

    /// Reads the texts that are not there yet, in one read per version.
    private func read(_ candidates: [Candidate]) throws -> [Candidate] {
        var candidates = candidates
        for target in targets {
            let missing = candidates.indices.filter {
                candidates[$0].binding == target.binding && candidates[$0].entry == nil
            }
            guard !missing.isEmpty else { continue }
            let entries = try target.version.entries.entries(missing.map { candidates[$0].id })
            for (index, entry) in zip(missing, entries) { candidates[index].entry = entry }
        }
        return candidates
    }

    // MARK: Entries as questions

    /// The vector of an entry for the dense key that is searched, and where it is. Blocks.
    ///
    /// - Throws: `unknown_entry`, `invalid_value`.
    package func vector(of reference: EntryReference, field: String) throws -> (
        vector: [Float], binding: Int, id: Int64
    ) {
        let named = targets.filter { reference.datastore == nil || $0.version.id.datastore == reference.datastore }
        guard let target = named.first else {
            throw DatastoreError.field(
                .unknownEntry, field,
                "domain \"\(domain.info.domain)\" is not bound to datastore \"\(reference.datastore ?? "")\"")
        }
        guard named.count == 1 else {
            throw DatastoreError.field(
                .invalidValue, field,
                "domain \"\(domain.info.domain)\" is bound to \(targets.count) datastores; name the entry's \"datastore\""
            )
        }
        func unknown(_ what: String) -> DatastoreError {
            DatastoreError.field(.unknownEntry, field, "\(target.version.id) has no entry \(what)")
        }
        let id: Int64
        if let externalID = reference.externalID {
            if let pending = target.pending.id(ofExternalID: externalID) {
                id = pending
            } else if let entry = try target.version.entries.entries(externalIDs: [externalID])[externalID],
                !target.pending.hidden.contains(entry.id)
            {
                id = entry.id
            } else {
                throw unknown("\"\(externalID.prefix(80))\"")
            }
        } else {
            id = reference.id ?? 0
        }
        if let slot = target.pending.slot(ofID: id) {
            return (target.vector(of: .pending(slot: slot)), target.binding, id)
        }
        guard let row = target.version.row(ofID: id), !target.pending.hidden.contains(id) else {
            throw unknown("\(id)")
        }
        return (target.vector(of: .version(row: row)), target.binding, id)
    }
}
