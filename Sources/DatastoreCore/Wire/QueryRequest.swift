/// A captioner's question, `POST /v1/domains/{domain}/query`.
public struct QueryRequest: Codable, Sendable, Hashable {
    public var query: QueryInput
    public var options: QueryOptions

    public init(query: QueryInput, options: QueryOptions = QueryOptions()) {
        self.query = query
        self.options = options
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case query
    }

    /// The options are fields beside `query`.
    public init(from decoder: any Decoder) throws {
        try decoder.refuseFields(
            outside: CodingKeys.allCases.map(\.stringValue) + QueryOptions.CodingKeys.allCases.map(\.stringValue))
        query = try decoder.container(keyedBy: CodingKeys.self).decode(QueryInput.self, forKey: .query)
        options = try QueryOptions(from: decoder)
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(query, forKey: .query)
        try options.encode(to: encoder)
    }
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
