/// Which answers count, in which order, and how they are given.
public struct QueryOptions: Codable, Sendable, Hashable {
    /// Results wanted; nil takes the domain's default.
    public var k: Int?
    /// Name of the key that is searched; nil is the first dense one, and for weights of terms the first sparse one.
    public var using: String?
    /// Entries of these images are never answered: a captioner in training must not see its own image's captions.
    public var excludeImageIDs: [String]
    /// Which entries are asked for; nil takes the domain's default.
    public var filter: QueryFilter?
    /// Nil takes the domain's default.
    public var dedupe: Dedupe?
    /// Results whose score is below are left out; nil takes the domain's default.
    public var minScore: Float?
    /// Whether pending changes count; nil takes the domain's default.
    public var includePending: Bool?
    /// How several vectors become one answer (EVCap); nil answers them apart.
    public var merge: VectorMerge?
    /// How a dense and a lexical ranking become one; nil is `Fusion()` where there are both.
    public var fusion: Fusion?
    /// A second stage by a reranker that the operator has configured.
    public var rerank: Rerank?
    /// Results that differ from one another.
    public var mmr: MMR?
    /// Which of the nearest are taken, and in which order (RobustCap); nil takes the nearest, nearest first.
    public var select: Selection?
    /// Whether the answer carries the rendered prompt.
    public var prompt: Bool
    /// The prompt's template, in which `||` stands for the captions; nil takes the domain's, else SmallCap's.
    public var template: String?
    /// How far indexes look: `exact`, `ef_search` and `nprobe` of a request.
    public var effort: SearchEffort
    /// Whether terms of a `lexical` question that the vocabulary has not are left out; otherwise they are errors.
    public var ignoreUnknownTerms: Bool

    public init(
        k: Int? = nil, using: String? = nil, excludeImageIDs: [String] = [], filter: QueryFilter? = nil,
        dedupe: Dedupe? = nil,
        minScore: Float? = nil, includePending: Bool? = nil, merge: VectorMerge? = nil, fusion: Fusion? = nil,
        rerank: Rerank? = nil, mmr: MMR? = nil, select: Selection? = nil, prompt: Bool = false,
        template: String? = nil, effort: SearchEffort = SearchEffort(), ignoreUnknownTerms: Bool = false
    ) {
        self.effort = effort
        self.k = k
        self.using = using
        self.excludeImageIDs = excludeImageIDs
        self.filter = filter
        self.dedupe = dedupe
        self.minScore = minScore
        self.includePending = includePending
        self.merge = merge
        self.fusion = fusion
        self.rerank = rerank
        self.mmr = mmr
        self.select = select
        self.prompt = prompt
        self.template = template
        self.ignoreUnknownTerms = ignoreUnknownTerms
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case k, using, exclude, filter, dedupe, merge, fusion, rerank, mmr, select, prompt, exact, nprobe
        case efSearch = "ef_search"
        case minScore = "min_score"
        case includePending = "include_pending"
        case ignoreUnknownTerms = "ignore_unknown_terms"
    }

    /// Reads the fields beside `query`; who calls refuses others.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let prompt = try container.decodeIfPresent(PromptOption.self, forKey: .prompt)
        self.init(
            k: try container.decodeWholeIfPresent(forKey: .k),
            using: try container.decodeIfPresent(String.self, forKey: .using),
            excludeImageIDs: try container.decodeIfPresent(Exclusion.self, forKey: .exclude)?.imageIDs ?? [],
            filter: try container.decodeIfPresent(QueryFilter.self, forKey: .filter),
            dedupe: try container.decodeIfPresent(Dedupe.self, forKey: .dedupe),
            minScore: try container.decodeIfPresent(Float.self, forKey: .minScore),
            includePending: try container.decodeIfPresent(Bool.self, forKey: .includePending),
            merge: try container.decodeIfPresent(VectorMerge.self, forKey: .merge),
            fusion: try container.decodeIfPresent(Fusion.self, forKey: .fusion),
            rerank: try container.decodeIfPresent(Rerank.self, forKey: .rerank),
            mmr: try container.decodeIfPresent(MMR.self, forKey: .mmr),
            select: try container.decodeIfPresent(Selection.self, forKey: .select),
            prompt: prompt?.isWanted ?? false, template: prompt?.template,
            effort: SearchEffort(
                exact: try container.decodeIfPresent(Bool.self, forKey: .exact) ?? false,
                efSearch: try container.decodeWholeIfPresent(forKey: .efSearch),
                nprobe: try container.decodeWholeIfPresent(forKey: .nprobe)),
            ignoreUnknownTerms: try container.decodeIfPresent(Bool.self, forKey: .ignoreUnknownTerms) ?? false)
    }

    /// Writes what is not the default.
    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(k, forKey: .k)
        try container.encodeIfPresent(using, forKey: .using)
        if !excludeImageIDs.isEmpty { try container.encode(Exclusion(imageIDs: excludeImageIDs), forKey: .exclude) }
        try container.encodeIfPresent(filter, forKey: .filter)
        try container.encodeIfPresent(dedupe, forKey: .dedupe)
        try container.encodeIfPresent(minScore, forKey: .minScore)
        try container.encodeIfPresent(includePending, forKey: .includePending)
        try container.encodeIfPresent(merge, forKey: .merge)
        try container.encodeIfPresent(fusion, forKey: .fusion)
        try container.encodeIfPresent(rerank, forKey: .rerank)
        try container.encodeIfPresent(mmr, forKey: .mmr)
        try container.encodeIfPresent(select, forKey: .select)
        if prompt || template != nil {
            try container.encode(PromptOption(isWanted: prompt, template: template), forKey: .prompt)
        }
        if effort.exact { try container.encode(true, forKey: .exact) }
        try container.encodeIfPresent(effort.efSearch, forKey: .efSearch)
        try container.encodeIfPresent(effort.nprobe, forKey: .nprobe)
        if ignoreUnknownTerms { try container.encode(true, forKey: .ignoreUnknownTerms) }
    }

    private struct Exclusion: Codable {
        var imageIDs: [String]

        init(imageIDs: [String]) {
            self.imageIDs = imageIDs
        }

        enum CodingKeys: String, CodingKey, CaseIterable {
            case imageIDs = "image_ids"
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
            imageIDs = try container.decodeIfPresent([String].self, forKey: .imageIDs) ?? []
        }
    }

    /// `true`, `false`, or `{"template": "…||…"}`.
    private struct PromptOption: Codable {
        var isWanted: Bool
        var template: String?

        init(isWanted: Bool, template: String?) {
            self.isWanted = isWanted
            self.template = template
        }

        enum CodingKeys: String, CodingKey, CaseIterable {
            case template
        }

        init(from decoder: any Decoder) throws {
            if let flag = try? decoder.singleValueContainer().decode(Bool.self) {
                self.init(isWanted: flag, template: nil)
            } else {
                let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
                self.init(isWanted: true, template: try container.decode(String.self, forKey: .template))
            }
        }

        func encode(to encoder: any Swift.Encoder) throws {
            guard let template else {
                var container = encoder.singleValueContainer()
                return try container.encode(isWanted)
            }
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(template, forKey: .template)
        }
    }
}

/// How the hits of several vectors become one list of names, as EVCap does: the best `perVector` of each, all sorted by
/// score, the first `limit` kept, names normalised, the first of equal names.
public struct VectorMerge: Codable, Sendable, Hashable {
    /// Hits that each vector brings.
    public var perVector: Int
    /// Hits that are kept of all.
    public var limit: Int
    /// Between the names where they are joined.
    public var separator: String

    public init(perVector: Int = 5, limit: Int = 32, separator: String = " [SEP] ") {
        self.perVector = perVector
        self.limit = limit
        self.separator = separator
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case limit, separator
        case perVector = "per_vector"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        let standard = VectorMerge()
        perVector = try container.decodeWholeIfPresent(forKey: .perVector) ?? standard.perVector
        limit = try container.decodeWholeIfPresent(forKey: .limit) ?? standard.limit
        separator = try container.decodeIfPresent(String.self, forKey: .separator) ?? standard.separator
    }
}

/// How a dense and a lexical ranking become one.
public struct Fusion: Codable, Sendable, Hashable {
    public enum Method: String, WireChoice {
        /// Reciprocal rank fusion (Cormack et al., SIGIR 2009): the sum of weight / (constant + rank), ranks from 1, over
        /// the rankings whose first `depth` have the entry.
        case rrf
        /// The weighted sum of the scores, exact over all entries; an entry that shares no term has the lexical score 0.
        case sum
    }

    public var method: Method
    /// Weight of the dense ranking or score; 0 or more.
    public var denseWeight: Float
    /// Weight of the lexical ranking or score; 0 or more.
    public var lexicalWeight: Float
    /// RRF's constant.
    public var constant: Int
    /// RRF: how many of each ranking count; k at least.
    public var depth: Int

    public init(
        method: Method = .rrf, denseWeight: Float = 1, lexicalWeight: Float = 1, constant: Int = 60, depth: Int = 100
    ) {
        self.method = method
        self.denseWeight = denseWeight
        self.lexicalWeight = lexicalWeight
        self.constant = constant
        self.depth = depth
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case method, constant, depth
        case denseWeight = "dense_weight"
        case lexicalWeight = "lexical_weight"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        self.init(
            method: try container.decodeIfPresent(Method.self, forKey: .method) ?? .rrf,
            denseWeight: try container.decodeWeightIfPresent(forKey: .denseWeight) ?? 1,
            lexicalWeight: try container.decodeWeightIfPresent(forKey: .lexicalWeight) ?? 1,
            constant: try container.decodeWholeIfPresent(forKey: .constant) ?? 60,
            depth: try container.decodeWholeIfPresent(forKey: .depth) ?? 100)
    }
}

/// A second stage: the first `fetch` results are ordered by an HTTP reranker's relevance.
public struct Rerank: Codable, Sendable, Hashable {
    /// The reranker by the name that the operator gave it.
    public var reranker: String
    /// What the reranker compares texts with; nil takes the question's text.
    public var query: String?
    /// Results of the first stage that are reranked.
    public var fetch: Int

    public static let defaultFetch = 256

    public init(reranker: String, query: String? = nil, fetch: Int = Rerank.defaultFetch) {
        self.reranker = reranker
        self.query = query
        self.fetch = fetch
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case reranker, query, fetch
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        reranker = try container.decode(String.self, forKey: .reranker)
        query = try container.decodeIfPresent(String.self, forKey: .query)
        fetch = try container.decodeWholeIfPresent(forKey: .fetch) ?? Self.defaultFetch
    }
}

/// Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): of the first `fetch` results, one after the other
/// is taken that maximises lambda × score − (1 − lambda) × its largest similarity to those taken.
public struct MMR: Codable, Sendable, Hashable {
    /// 1 is the plain order, 0 variety alone.
    public var lambda: Float
    /// Results that are chosen from; nil is four times k.
    public var fetch: Int?

    public init(lambda: Float, fetch: Int? = nil) {
        self.lambda = lambda
        self.fetch = fetch
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case lambda, fetch
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        lambda = try container.decode(Float.self, forKey: .lambda)
        fetch = try container.decodeWholeIfPresent(forKey: .fetch)
    }
}

/// Which of the nearest `from` results are taken, and in which order: the settings under which RobustCap trains a
/// captioner that does not lean on the first caption alone.
public struct Selection: Codable, Sendable, Hashable {
    public enum Method: String, WireChoice {
        /// The k nearest.
        case top
        /// k of the `from` nearest, drawn at random.
        case sample
        /// The nearest one, and k − 1 of the others drawn at random.
        case topAndSample = "top_and_sample"
    }

    public enum Order: String, WireChoice {
        /// Nearest first.
        case score
        /// Nearest last.
        case reverse
        /// Shuffled.
        case permute
    }

    public var method: Method
    /// How many of the nearest are drawn from; nil is four times k.
    public var from: Int?
    public var order: Order
    /// The same question with the same seed has the same answer.
    public var seed: UInt64

    public init(method: Method = .top, from: Int? = nil, order: Order = .score, seed: UInt64 = 0) {
        self.method = method
        self.from = from
        self.order = order
        self.seed = seed
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case method, from, order, seed
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        method = try container.decodeIfPresent(Method.self, forKey: .method) ?? .top
        from = try container.decodeWholeIfPresent(forKey: .from)
        order = try container.decodeIfPresent(Order.self, forKey: .order) ?? .score
        seed = try container.decodeIfPresent(UInt64.self, forKey: .seed) ?? 0
    }
}

/// Which results count as the same; the best-scored of them stays.
public struct Dedupe: Codable, Sendable, Hashable {
    /// Equal texts, case and punctuation folded.
    public var text: Bool
    /// The same image; entries without one are all different.
    public var image: Bool
    /// Vectors of the searched key with a similarity of at least this to one that was taken. An answer leaves out at most
    /// 20 times k of them, 1,000 at least, and is short then.
    public var similarity: Float?

    public init(text: Bool = false, image: Bool = false, similarity: Float? = nil) {
        self.text = text
        self.image = image
        self.similarity = similarity
    }

    public static let none = Dedupe()
    public static let text = Dedupe(text: true)
    public static let image = Dedupe(image: true)

    /// Reads `none`, or what counts joined by commas: `text`, `image`, `similarity=0.95`.
    public init?(rawValue: String) {
        self.init()
        guard rawValue != "none" else { return }
        for part in rawValue.split(separator: ",", omittingEmptySubsequences: false) {
            if part == "text" {
                text = true
            } else if part == "image" {
                image = true
            } else if part.hasPrefix("similarity="), let value = Float(part.dropFirst("similarity=".count)),
                value.isFinite
            {
                similarity = value
            } else {
                return nil
            }
        }
    }

    public static let forms = "none, text, image, similarity=0.95, or several joined by commas"

    public var rawValue: String {
        let parts = [text ? "text" : nil, image ? "image" : nil, similarity.map { "similarity=\($0)" }]
        let joined = parts.compactMap(\.self).joined(separator: ",")
        return joined.isEmpty ? "none" : joined
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case text, image, similarity
    }

    /// A word, or an object.
    public init(from decoder: any Decoder) throws {
        if let word = try? decoder.singleValueContainer().decode(String.self) {
            guard let dedupe = Dedupe(rawValue: word) else {
                throw DatastoreError.field(
                    .invalidValue, decoder.codingPath.fieldPath, "got \"\(word)\", expected \(Self.forms)")
            }
            self = dedupe
            return
        }
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        text = try container.decodeIfPresent(Bool.self, forKey: .text) ?? false
        image = try container.decodeIfPresent(Bool.self, forKey: .image) ?? false
        similarity = try container.decodeIfPresent(Float.self, forKey: .similarity)
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        if similarity == nil, !(text && image) {
            var container = encoder.singleValueContainer()
            return try container.encode(rawValue)
        }
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(text, forKey: .text)
        try container.encode(image, forKey: .image)
        try container.encodeIfPresent(similarity, forKey: .similarity)
    }
}
