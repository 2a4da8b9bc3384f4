/// The answer to one question: what was found, and what answered.
public struct QueryAnswer: Codable, Sendable, Hashable {
    public var domain: String
    public var revision: Int
    public var results: [QueryResult]
    /// Why there are fewer results than asked; nil when there are not.
    public var shortfall: Shortfall?
    /// Rendered when asked for; nil when there is no result to render.
    public var prompt: String?

    public init(domain: String, revision: Int, results: [QueryResult], shortfall: Shortfall?, prompt: String?) {
        self.domain = domain
        self.revision = revision
        self.results = results
        self.shortfall = shortfall
        self.prompt = prompt
    }

    /// Writes `shortfall` and `prompt` as null when nil: the form never changes.
    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(domain, forKey: .domain)
        try container.encode(revision, forKey: .revision)
        try container.encode(results, forKey: .results)
        try container.encode(shortfall, forKey: .shortfall)
        try container.encode(prompt, forKey: .prompt)
    }
}

/// One entry found.
public struct QueryResult: Codable, Sendable, Hashable {
    public var id: Int64
    public var externalID: String?
    public var text: String
    /// Higher is nearer. Exact: computed from the original vectors.
    public var score: Float
    public var imageID: String?
    public var origin: Origin?
    public var lang: String?
    public var source: String?
    public var payload: JSONValue?
    public var datastore: String
    public var version: Int

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
        case id, text, score, origin, lang, source, payload, datastore, version
        case externalID = "external_id"
        case imageID = "image_id"
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
    public var error: Problem?

    public init(_ answer: QueryAnswer) {
        results = answer.results
        shortfall = answer.shortfall
        prompt = answer.prompt
    }

    public init(error: Problem) {
        self.error = error
    }
}
