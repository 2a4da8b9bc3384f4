/// A captioner's question, `POST /v1/domains/{domain}/query`.
public struct QueryRequest: Codable, Sendable, Hashable {
    public var query: QueryInput
    public var options: QueryOptions

    public init(query: QueryInput, options: QueryOptions = QueryOptions()) {
        self.query = query
        self.options = options
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case query, k, exclude, dedupe, prompt
        case minScore = "min_score"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        query = try container.decode(QueryInput.self, forKey: .query)
        options = QueryOptions(
            k: try container.decodeWholeIfPresent(forKey: .k),
            excludeImageIDs: try container.decodeIfPresent(Exclusion.self, forKey: .exclude)?.imageIDs ?? [],
            dedupe: try container.decodeIfPresent(Dedupe.self, forKey: .dedupe),
            minScore: try container.decodeIfPresent(Float.self, forKey: .minScore),
            prompt: try container.decodeIfPresent(Bool.self, forKey: .prompt) ?? false
        )
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(query, forKey: .query)
        try container.encodeIfPresent(options.k, forKey: .k)
        if !options.excludeImageIDs.isEmpty {
            try container.encode(Exclusion(imageIDs: options.excludeImageIDs), forKey: .exclude)
        }
        try container.encodeIfPresent(options.dedupe, forKey: .dedupe)
        try container.encodeIfPresent(options.minScore, forKey: .minScore)
        if options.prompt { try container.encode(true, forKey: .prompt) }
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
}

/// What is looked for: one vector, several that are answered apart, or what an encoder makes a vector of.
public enum QueryInput: Codable, Sendable, Hashable {
    case vector([Float])
    /// Base64 of little-endian 32-bit floats.
    case vectorBase64(String)
    /// Row-major: `count` vectors end to end.
    case vectors([Float], count: Int)
    /// A text, for the encoder that the datastore names.
    case text(String)
    /// A picture as base64 or as a data URI, for the encoder that the datastore names.
    case image(String)

    enum CodingKeys: String, CodingKey, CaseIterable {
        case vector, vectors, text, image
        case vectorBase64 = "vector_base64"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        guard container.allKeys.count == 1, let key = container.allKeys.first else {
            throw DatastoreError.field(
                container.allKeys.isEmpty ? .missingField : .invalidValue, "query",
                "expected exactly one of \(CodingKeys.allCases.map(\.stringValue).joined(separator: ", ")), "
                    + "got \(container.allKeys.count)"
            )
        }
        switch key {
        case .vector: self = .vector(try container.decode([Float].self, forKey: .vector))
        case .vectorBase64: self = .vectorBase64(try container.decode(String.self, forKey: .vectorBase64))
        case .vectors: self = try Self.flatten(container.nestedUnkeyedContainer(forKey: .vectors))
        case .text: self = .text(try container.decode(String.self, forKey: .text))
        case .image: self = .image(try container.decode(String.self, forKey: .image))
        }
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .vector(let values): try container.encode(values, forKey: .vector)
        case .vectorBase64(let text): try container.encode(text, forKey: .vectorBase64)
        case .text(let text): try container.encode(text, forKey: .text)
        case .image(let text): try container.encode(text, forKey: .image)
        case .vectors(let values, let count):
            var rows = container.nestedUnkeyedContainer(forKey: .vectors)
            let dim = count > 0 ? values.count / count : 0
            for index in 0..<count { try rows.encode(Array(values[index * dim..<(index + 1) * dim])) }
        }
    }

    private static func flatten(_ rows: any UnkeyedDecodingContainer) throws -> QueryInput {
        var rows = rows
        var values: [Float] = []
        var count = 0
        var dim = 0
        while !rows.isAtEnd {
            let row = try rows.decode([Float].self)
            if count == 0 { dim = row.count }
            guard row.count == dim else {
                throw DatastoreError.field(
                    .vectorsRagged, "query.vectors[\(count)]",
                    "got \(row.count) numbers, expected \(dim) as in the first")
            }
            values += row
            count += 1
        }
        return .vectors(values, count: count)
    }
}

/// Which answers count, and how they are given.
public struct QueryOptions: Sendable, Hashable {
    /// Results wanted; nil takes the domain's default.
    public var k: Int?
    /// Entries of these images are never answered: a captioner in training must not see its own image's captions.
    public var excludeImageIDs: [String]
    /// Nil takes the domain's default.
    public var dedupe: Dedupe?
    /// Results below are left out; nil takes the domain's default.
    public var minScore: Float?
    /// Whether the answer carries the rendered prompt.
    public var prompt: Bool

    public init(
        k: Int? = nil, excludeImageIDs: [String] = [], dedupe: Dedupe? = nil, minScore: Float? = nil,
        prompt: Bool = false
    ) {
        self.k = k
        self.excludeImageIDs = excludeImageIDs
        self.dedupe = dedupe
        self.minScore = minScore
        self.prompt = prompt
    }
}

/// Which results count as the same.
public enum Dedupe: String, WireChoice {
    case none
    /// Equal texts; the best-scored stays.
    case text
}

/// Many questions in one call, `POST /v1/domains/{domain}/query/batch`.
public struct QueryBatchRequest: Codable, Sendable, Hashable {
    public var queries: [QueryRequest]

    public init(queries: [QueryRequest]) {
        self.queries = queries
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case queries
    }

    public init(from decoder: any Decoder) throws {
        queries = try decoder.strictContainer(keyedBy: CodingKeys.self).decode([QueryRequest].self, forKey: .queries)
    }
}
