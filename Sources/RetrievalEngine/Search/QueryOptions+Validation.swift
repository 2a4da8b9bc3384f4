import DatastoreCore
import DatastoreStorage

extension QueryOptions {
    /// - Throws: `k_out_of_range`, `invalid_value`, `weight_not_finite`.
    func validate(k: Int, form: Retriever.Form, maximumK: Int) throws {
        func refuse(_ field: String, _ message: String) -> DatastoreError { .field(.invalidValue, field, message) }
        func check(_ value: Int?, _ field: String, _ range: ClosedRange<Int>) throws {
            guard let value, !range.contains(value) else { return }
            throw refuse(field, "got \(value), expected \(range.lowerBound) to \(range.upperBound)")
        }
        guard (1...maximumK).contains(k) else {
            throw DatastoreError.field(.kOutOfRange, "k", "got \(k), expected 1 to \(maximumK)")
        }
        guard excludeImageIDs.count <= Retriever.maximumExclusions else {
            throw refuse(
                "exclude.image_ids",
                "got \(excludeImageIDs.count) images, expected at most \(Retriever.maximumExclusions)")
        }
        if let merge {
            try check(merge.perVector, "merge.per_vector", 1...maximumK)
            try check(merge.limit, "merge.limit", 1...maximumK)
            try check(merge.separator.utf8.count, "merge.separator (bytes)", 0...256)
            guard select == nil, mmr == nil, rerank == nil else {
                throw refuse("merge", "does not go with select, mmr or rerank")
            }
        }
        if let fusion {
            guard form == .fused else { throw refuse("fusion", "goes with a question that has a vector and lexical") }
            guard fusion.denseWeight >= 0, fusion.lexicalWeight >= 0, fusion.denseWeight + fusion.lexicalWeight > 0
            else {
                throw refuse(
                    "fusion",
                    "got the weights \(fusion.denseWeight) and \(fusion.lexicalWeight), expected 0 or more, "
                        + "not both 0")
            }
            try check(fusion.constant, "fusion.constant", 0...1_000_000)
            try check(fusion.depth, "fusion.depth", 1...maximumK)
        }
        if let mmr {
            guard (0...1).contains(mmr.lambda) else { throw refuse("mmr.lambda", "got \(mmr.lambda), expected 0 to 1") }
            try check(mmr.fetch, "mmr.fetch", k...max(k, maximumK))
            guard form != .lexical else { throw refuse("mmr", "compares vectors; a lexical question has none") }
            guard select == nil else { throw refuse("mmr", "does not go with select") }
        }
        if let select {
            try check(select.from, "select.from", k...max(k, maximumK))
        }
        if let rerank { try check(rerank.fetch, "rerank.fetch", 1...maximumK) }
        if let similarity = dedupe?.similarity {
            guard similarity.isFinite else {
                throw refuse("dedupe.similarity", "got \(similarity), expected a finite number")
            }
            guard form != .lexical else {
                throw refuse("dedupe.similarity", "compares vectors; a lexical question has none")
            }
        }
        try check(effort.efSearch, "ef_search", 1...100_000)
        try check(effort.nprobe, "nprobe", 1...1_000_000)
        if let template { try PromptTemplate(template).validate(field: "prompt.template") }
    }
}

extension SearchTarget {
    /// A bound datastore with the keys that a question is asked of.
    ///
    /// - Throws: `unknown_key`.
    init(
        binding: Int, version: OpenVersion, form: Retriever.Form, using: String?, bound: BoundDatastore,
        pending: PendingView?, effort: SearchEffort
    ) throws {
        func key(_ kind: KeyKind, named: String?) throws -> OpenKey {
            let keys = version.keys.filter { $0.spec.kind == kind }
            guard let key = named == nil ? keys.first : keys.first(where: { $0.spec.name == named }) else {
                let known = version.keys.map { "\($0.spec.name) (\($0.spec.kind.rawValue))" }.joined(separator: ", ")
                throw DatastoreError.field(
                    .unknownKey, "using",
                    "datastore \"\(version.id.datastore)\" has no \(kind.rawValue) key"
                        + "\(named.map { " \"\($0.prefix(80))\"" } ?? ""), only \(known)")
            }
            return key
        }
        let named = using
        let rows = pending?.rows(after: version)
        let dense = form == .lexical ? nil : try key(.dense, named: named)
        let sparse = form == .dense ? nil : try key(.sparse, named: form == .lexical ? named : nil)
        self.init(
            binding: binding, version: version, dense: dense?.dense, denseSpec: dense?.spec, sparse: sparse?.sparse,
            sparseSpec: sparse?.spec, weight: bound.weight, limit: bound.limit ?? .max, pending: rows ?? .none,
            pendingNote: pending == nil || rows != nil ? nil : Self.pendingNote(version), effort: effort)
    }

    private static func pendingNote(_ version: OpenVersion) -> String {
        "pending changes of \(version.id.datastore) are not counted: some that came after \(version.id), which the domain "
            + "is bound to, are in a later version already"
    }
}
