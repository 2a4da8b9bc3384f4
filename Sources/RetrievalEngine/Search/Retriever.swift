package import DatastoreCore
import DatastoreStorage
import VectorIndex

/// Answers a captioner's question from one revision of a domain.
///
/// Synchronous and blocking: it runs on the search pool. Everything it reads is immutable, so that the same question
/// to the same revision gives the same answer.
package struct Retriever: Sendable {
    private let domain: DomainSnapshot
    private let versions: [OpenVersion]
    package let k: Int
    private let dedupe: Dedupe
    private let minScore: Float
    private let excludedImages: [String]
    private let template: PromptTemplate?

    /// Results when neither the question nor the domain says how many; SmallCap's k.
    package static let defaultK = 4

    /// Images that one question may exclude.
    package static let maximumExclusions = 10_000

    /// - Throws: `k_out_of_range`, `invalid_value`, `version_damaged`.
    package init(_ domain: DomainSnapshot, options: QueryOptions, maximumK: Int) throws {
        let defaults = domain.info.defaults
        self.domain = domain
        versions = try domain.openVersions()
        k = options.k ?? defaults.k ?? Self.defaultK
        guard (1...maximumK).contains(k) else {
            throw DatastoreError.field(.kOutOfRange, "k", "got \(k), expected 1 to \(maximumK)")
        }
        dedupe = options.dedupe ?? defaults.dedupe ?? .none
        minScore = options.minScore ?? defaults.minScore ?? -.infinity
        excludedImages = options.excludeImageIDs
        guard excludedImages.count <= Self.maximumExclusions else {
            throw DatastoreError.field(
                .invalidValue, "exclude.image_ids",
                "got \(excludedImages.count) images, expected at most \(Self.maximumExclusions)")
        }
        template = options.prompt ? .smallCap : nil
    }

    /// - Throws: `vector_dim_mismatch`, `vector_not_finite`, `vector_zero`.
    package func validate(_ vectors: QueryVectors) throws {
        for version in versions {
            try vectors.validate(dim: version.spec.dim, metric: version.spec.metric)
        }
    }

    /// An entry on its way into the answer. Its text is read when it is needed first.
    private struct Candidate {
        let binding: Int
        let id: Int64
        let score: Float
        var entry: Entry?
    }

    /// The entries of the excluded images, per version. Looked up once for all vectors of a request; blocks.
    package func exclusions() throws -> [Set<Int64>] {
        try versions.map { try $0.entries.ids(ofImages: excludedImages) }
    }

    /// The answer to one vector, which must have passed `validate`. Blocks.
    ///
    /// - Parameter excluded: what `exclusions` gave.
    package func answer(_ vector: ArraySlice<Float>, excluding excluded: [Set<Int64>]) throws -> QueryAnswer {
        var reasons: Set<ShortfallReason> = []
        var merged: [Candidate] = []
        for binding in versions.indices {
            merged += try nearest(vector, binding: binding, excluding: excluded[binding], reasons: &reasons)
        }
        if versions.count > 1 {
            merged.sort {
                if $0.score != $1.score { return $0.score > $1.score }
                return $0.id != $1.id ? $0.id < $1.id : $0.binding < $1.binding
            }
            if dedupe.text { merged = Self.firstOfEachText(merged, reasons: &reasons) }
        }
        let results = try read(Array(merged.prefix(k))).compactMap { candidate in
            candidate.entry.map { entry in
                let id = versions[candidate.binding].id
                return QueryResult(entry: entry, score: candidate.score, datastore: id.datastore, version: id.number)
            }
        }
        if versions.reduce(0, { $0 + $1.key.count }) < k { reasons.insert(.tooFewEntries) }
        return QueryAnswer(
            domain: domain.info.domain, revision: domain.info.revision, results: results,
            shortfall: results.count < k
                ? Shortfall(
                    requested: k, returned: results.count,
                    reasons: ShortfallReason.allCases.filter(reasons.contains)) : nil,
            prompt: template?.render(results.map(\.text)))
    }

    /// The `k` nearest entries of one version that may be answered; fewer only where it has no more.
    ///
    /// The index knows neither images nor texts, so it is asked for more until enough are left.
    private func nearest(
        _ vector: ArraySlice<Float>, binding: Int, excluding excluded: Set<Int64>,
        reasons: inout Set<ShortfallReason>
    ) throws -> [Candidate] {
        let version = versions[binding]
        let query = KeyQuery(vector, metric: version.spec.metric)
        var limit = min(version.key.count, k + excluded.count)
        var known: [Int64: Entry] = [:]
        while true {
            var found: Set<ShortfallReason> = []
            let hits = try version.key.search(query, limit: limit)
            var candidates: [Candidate] = []
            candidates.reserveCapacity(hits.count)
            var isBelow = false
            for hit in hits {
                if hit.score < minScore {
                    isBelow = true
                    found.insert(.minScore)
                    break
                }
                let id = version.key.vectors.ids[hit.row]
                if excluded.contains(id) {
                    found.insert(.excluded)
                } else {
                    candidates.append(Candidate(binding: binding, id: id, score: hit.score, entry: known[id]))
                }
            }
            if dedupe.text {
                candidates = try read(candidates)
                for candidate in candidates { known[candidate.id] = candidate.entry }
                candidates = Self.firstOfEachText(candidates, reasons: &found)
            }
            if candidates.count >= k || isBelow || limit == version.key.count {
                reasons.formUnion(found)
                return Array(candidates.prefix(k))
            }
            // Rather once over all than ever nearer to it.
            limit = limit * 4 < version.key.count / 8 ? limit * 4 : version.key.count
        }
    }

    /// Reads the texts that are not there yet, in one read per version.
    private func read(_ candidates: [Candidate]) throws -> [Candidate] {
        var candidates = candidates
        for (binding, version) in versions.enumerated() {
            let missing = candidates.indices.filter {
                candidates[$0].binding == binding && candidates[$0].entry == nil
            }
            guard !missing.isEmpty else { continue }
            let entries = try version.entries.entries(missing.map { candidates[$0].id })
            for (index, entry) in zip(missing, entries) { candidates[index].entry = entry }
        }
        return candidates
    }

    /// Keeps the best-scored of equal texts.
    private static func firstOfEachText(
        _ candidates: [Candidate], reasons: inout Set<ShortfallReason>
    ) -> [Candidate] {
        var seen: Set<String> = []
        let kept = candidates.filter { $0.entry.map { seen.insert($0.fields.text).inserted } ?? true }
        if kept.count < candidates.count { reasons.insert(.deduplicated) }
        return kept
    }
}
