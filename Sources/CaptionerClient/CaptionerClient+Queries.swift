public import DatastoreCore

extension CaptionerClient {
    /// The nearest entries of `domain` to `vector`.
    ///
    /// The vector goes as raw bytes: the fastest way to ask.
    ///
    /// ```swift
    /// let answer = try await client.query(imageVector, of: "street", options: QueryOptions(k: 4))
    /// for result in answer.results { print(result.score, result.text) }
    /// ```
    public func query(
        _ vector: [Float], of domain: String, options: QueryOptions = QueryOptions()
    ) async throws -> QueryAnswer {
        try await answer(to: rawQuery(vector, of: domain, query: options.queryItems))
    }

    /// The answers to several vectors, in order, all from one revision of `domain`.
    ///
    /// - Parameters:
    ///   - vectors: Row-major: `count` vectors end to end. They go as raw bytes.
    ///   - options: Hold for each vector.
    public func query(
        vectors: [Float], count: Int, of domain: String, options: QueryOptions = QueryOptions()
    ) async throws -> QueryBatchAnswer {
        guard count > 0, vectors.count % count == 0 else {
            throw CaptionerError(
                unsendable: .field(
                    .vectorsRagged, "vectors", "got \(vectors.count) numbers for \(count) vectors of equal length"))
        }
        let items = options.queryItems + [("count", String(count))]
        return try await answers(to: rawQuery(vectors, of: domain, query: items), count: count)
    }

    /// The answer to `request`, which goes as JSON and asks with one vector.
    ///
    /// For several, ``query(vectors:count:of:options:)`` is the way.
    public func query(_ request: QueryRequest, of domain: String) async throws -> QueryAnswer {
        if case .vectors = request.query {
            throw CaptionerError(
                unsendable: .field(.invalidValue, "query", "got vectors, expected vector, vector_base64, text or image")
            )
        }
        return try await answer(to: .ask("v1", "domains", Self.checked(domain, field: "domain"), "query").json(request))
    }

    /// The answers to several questions, each with its own options, in order, all from one revision of `domain`.
    ///
    /// A question that is refused has its error in its place; the others are answered.
    public func queryBatch(_ requests: [QueryRequest], of domain: String) async throws -> QueryBatchAnswer {
        let call = Call.ask("v1", "domains", try Self.checked(domain, field: "domain"), "query", "batch")
        return try await answers(to: call.json(QueryBatchRequest(queries: requests)), count: requests.count)
    }

    private func answers(to call: Call, count: Int) async throws -> QueryBatchAnswer {
        let batch = try await answer(to: call, as: QueryBatchAnswer.self)
        guard batch.answers.count == count else {
            throw CaptionerError(.invalidAnswer, "got \(batch.answers.count) answers to \(count) questions")
        }
        return batch
    }

    private func rawQuery(_ values: [Float], of domain: String, query: [(name: String, value: String)]) throws -> Call {
        try Call.ask("v1", "domains", Self.checked(domain, field: "domain"), "query", query: query)
            .bytes(QueryVectors.littleEndian(values), type: "application/octet-stream")
    }
}

extension QueryOptions {
    /// The options as a raw question carries them.
    fileprivate var queryItems: [(name: String, value: String)] {
        var items: [(name: String, value: String)] = []
        if let k { items.append(("k", String(k))) }
        items += excludeImageIDs.map { ("exclude_image_id", $0) }
        if let dedupe { items.append(("dedupe", dedupe.rawValue)) }
        if let minScore { items.append(("min_score", "\(minScore)")) }
        if prompt { items.append(("prompt", "true")) }
        return items
    }
}
