/// The answer to one question: what was found, and what answered.
public struct QueryAnswer: Codable, Sendable, Hashable {
    public var domain: String
    public var revision: Int
    public var results: [QueryResult]
    /// Why there are fewer results than asked; nil when there are not.
    public var shortfall: Shortfall?
    /// Rendered when asked for; nil when there is no result to render.
    public var prompt: String?
    /// The names of a merged answer, in order.
    public var names: [String]?
    /// The names of a merged answer, joined as asked.
    public var joined: String?
    /// What did not go as asked although there is an answer, such as a reranker that failed; nil when all did.
    public var notes: [String]?

    public init(
        domain: String, revision: Int, results: [QueryResult], shortfall: Shortfall?, prompt: String?,
        names: [String]? = nil, joined: String? = nil, notes: [String]? = nil
    ) {
        self.domain = domain
        self.revision = revision
        self.results = results
        self.shortfall = shortfall
        self.prompt = prompt
        self.names = names
        self.joined = joined
        self.notes = notes
    }

    /// Writes `shortfall` and `prompt` as null when nil: the form never changes.
    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(domain, forKey: .domain)
        try container.encode(revision, forKey: .revision)
        try container.encode(results, forKey: .results)
        try container.encode(shortfall, forKey: .shortfall)
        try container.encode(prompt, forKey: .prompt)
        try container.encodeIfPresent(names, forKey: .names)
        try container.encodeIfPresent(joined, forKey: .joined)
        try container.encodeIfPresent(notes, forKey: .notes)
    }
}

/// One entry found.
public struct QueryResult: Codable, Sendable, Hashable {
    public var id: Int64
    public var externalID: String?
    public var text: String
    /// Higher is nearer. Exact: computed from the original vectors. Where rankings are fused, the fused score.
    public var score: Float
    /// What the answer is ordered by where it is not `score`: the weighted score of a binding with a weight, or the
    /// relevance that a reranker gave.
    public var rankScore: Float?
    /// Fused rankings: the score by each key that found the entry.
    public var scores: [String: Float]?
    public var imageID: String?
    public var origin: Origin?
    public var lang: String?
    public var source: String?
    public var payload: JSONValue?
    public var datastore: String
    public var version: Int
    /// Whether the entry is a pending change, in no version yet; absent when it is not.
    public var pending: Bool?
    /// The normalised name in a merged answer.
    public var name: String?
    /// Merged answers: number of the vector that found it, from 0.
    public var vector: Int?
    /// Lexical answers: the terms that matched, the largest share first.
    public var terms: [TermShare]?

    public init(entry: Entry, score: Float, datastore: String, version: Int) {
        self.id = entry.id
        self.externalID = entry.fields.externalID
        self.text = entry.fields.text
        self.score = score
        self.imageID = entry.fields.imageID
        self.origin = entry.fields.origin
        self.lang = entry.fields.lang
        self.source = entry.fields.source
        self.payload = entry.fields.payload
        self.datastore = datastore
        self.version = version
    }

    enum CodingKeys: String, CodingKey {
        case id, text, score, scores, origin, lang, source, payload, datastore, version, pending, name, vector, terms
        case rankScore = "rank_score"
        case externalID = "external_id"
        case imageID = "image_id"
    }
}

/// A term that a lexical question and an entry share.
public struct TermShare: Codable, Sendable, Hashable {
    /// The word; nil where the vocabulary was given without words.
    public var term: String?
    /// Number of the term in the vocabulary.
    public var index: Int
    /// What it adds to the score.
    public var weight: Float
    /// Its part of the score: the shares of a result sum to 1.
    public var share: Float

    public init(term: String?, index: Int, weight: Float, share: Float) {
        self.term = term
        self.index = index
        self.weight = weight
        self.share = share
    }
}

/// Why an answer has fewer results than asked.
public struct Shortfall: Codable, Sendable, Hashable {
    public var requested: Int
    public var returned: Int
    public var reasons: [ShortfallReason]

    public init(requested: Int, returned: Int, reasons: [ShortfallReason]) {
        self.requested = requested
        self.returned = returned
        self.reasons = reasons
    }
}

public enum ShortfallReason: String, Codable, Sendable, CaseIterable {
    case tooFewEntries = "too_few_entries"
    case minScore = "min_score"
    case filter
    case excluded
    case deduplicated
    /// Limits of the domain's bindings.
    case limited
    /// Lexical questions: entries that share no term with it are never results.
    case noSharedTerm = "no_shared_term"
}

/// The answers to several vectors or questions, in order, all from one revision.
public struct QueryBatchAnswer: Codable, Sendable, Hashable {
    public var domain: String
    public var revision: Int
    public var answers: [QueryBatchItem]

    public init(domain: String, revision: Int, answers: [QueryBatchItem]) {
        self.domain = domain
        self.revision = revision
        self.answers = answers
    }
}

/// One of several answers: results, or the error of that question alone.
public struct QueryBatchItem: Codable, Sendable, Hashable {
    public var results: [QueryResult]?
    public var shortfall: Shortfall?
    public var prompt: String?
    public var names: [String]?
    public var joined: String?
    public var notes: [String]?
    public var error: Problem?

    public init(_ answer: QueryAnswer) {
        results = answer.results
        shortfall = answer.shortfall
        prompt = answer.prompt
        names = answer.names
        joined = answer.joined
        notes = answer.notes
    }

    public init(error: Problem) {
        self.error = error
    }
}
