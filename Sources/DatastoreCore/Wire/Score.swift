/// `POST /v1/score`: how near candidates are to one query (ZeroCap).
public struct ScoreRequest: Codable, Sendable, Hashable {
    /// A vector, an entry, a text, a picture or a weighted sum.
    public var query: QueryInput
    /// The domain whose datastores have the entries and name the encoder; not needed for vectors alone.
    public var domain: String?
    /// The key of the domain's datastores that entries and encoder are of; nil is the first dense one.
    public var using: String?
    public var candidates: ScoreCandidates
    /// Of the softmax; above 0.
    public var temperature: Float

    /// ZeroCap's (`clip_loss_temperature`).
    public static let defaultTemperature: Float = 0.01

    public init(
        query: QueryInput, domain: String? = nil, using: String? = nil, candidates: ScoreCandidates,
        temperature: Float = ScoreRequest.defaultTemperature
    ) {
        self.query = query
        self.domain = domain
        self.using = using
        self.candidates = candidates
        self.temperature = temperature
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case query, domain, using, texts, vectors, temperature
        case vectorsBase64 = "vectors_base64"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        query = try container.decode(QueryInput.self, forKey: .query)
        domain = try container.decodeIfPresent(String.self, forKey: .domain)
        using = try container.decodeIfPresent(String.self, forKey: .using)
        let forms: [CodingKeys] = [.texts, .vectors, .vectorsBase64].filter { container.contains($0) }
        guard forms.count == 1, let form = forms.first else {
            throw DatastoreError.field(
                forms.isEmpty ? .noCandidates : .invalidValue, "texts",
                "expected one of texts, vectors and vectors_base64, got \(forms.count)")
        }
        switch form {
        case .texts: candidates = .texts(try container.decode([String].self, forKey: .texts))
        case .vectorsBase64:
            candidates = .vectorsBase64(try container.decode([String].self, forKey: .vectorsBase64))
        default:
            let rows = try container.nestedUnkeyedContainer(forKey: .vectors)
            candidates = .vectors([], count: 0)
            if rows.count != 0, case .vectors(let values, let count) = try QueryInput.vectors(rows, field: "vectors") {
                candidates = .vectors(values, count: count)
            }
        }
        temperature = try container.decodeIfPresent(Float.self, forKey: .temperature) ?? Self.defaultTemperature
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(query, forKey: .query)
        try container.encodeIfPresent(domain, forKey: .domain)
        try container.encodeIfPresent(using, forKey: .using)
        switch candidates {
        case .texts(let texts): try container.encode(texts, forKey: .texts)
        case .vectorsBase64(let texts): try container.encode(texts, forKey: .vectorsBase64)
        case .vectors(let values, let count):
            var rows = container.nestedUnkeyedContainer(forKey: .vectors)
            let dim = count > 0 ? values.count / count : 0
            for index in 0..<count { try rows.encode(Array(values[index * dim..<(index + 1) * dim])) }
        }
        try container.encode(temperature, forKey: .temperature)
    }
}

/// What is scored against a query.
public enum ScoreCandidates: Sendable, Hashable {
    case texts([String])
    /// Row-major: `count` vectors end to end.
    case vectors([Float], count: Int)
    /// One vector each: base64 of little-endian 32-bit floats.
    case vectorsBase64([String])

    public var count: Int {
        switch self {
        case .texts(let texts), .vectorsBase64(let texts): texts.count
        case .vectors(_, let count): count
        }
    }
}

/// The scores of candidates.
public struct ScoreAnswer: Codable, Sendable, Hashable {
    /// In the order of the candidates.
    public var scores: [CandidateScore]
    /// Numbers of the candidates, best first, ties in their order.
    public var order: [Int]
    /// The first of `order`.
    public var best: CandidateScore
    public var temperature: Float

    public init(scores: [CandidateScore], order: [Int], best: CandidateScore, temperature: Float) {
        self.scores = scores
        self.order = order
        self.best = best
        self.temperature = temperature
    }
}

/// How near one candidate is.
public struct CandidateScore: Codable, Sendable, Hashable {
    /// Number of the candidate, from 0.
    public var index: Int
    /// The candidate, where it was given as a text.
    public var text: String?
    public var cosine: Float
    /// Softmax over all candidates of cosine / temperature.
    public var probability: Float

    public init(index: Int, text: String? = nil, cosine: Float, probability: Float) {
        self.index = index
        self.text = text
        self.cosine = cosine
        self.probability = probability
    }
}
