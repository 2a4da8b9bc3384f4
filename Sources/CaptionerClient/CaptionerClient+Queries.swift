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
        guard options.needJSON else {
            return try await answer(to: rawQuery(vector, of: domain, options: options))
        }
        return try await query(
            QueryRequest(query: .vectorBase64(QueryVectors.base64(vector)), options: options), of: domain)
    }

    /// The answers to several vectors, in order, all from one revision of `domain`.
    ///
    /// - Parameters:
    ///   - vectors: Row-major: `count` vectors end to end. They go as raw bytes.
    ///   - options: Hold for each vector.
    public func query(
        vectors: [Float], count: Int, of domain: String, options: QueryOptions = QueryOptions()
    ) async throws -> QueryBatchAnswer {
        guard options.merge == nil else {
            throw CaptionerError(
                unsendable: .field(.invalidValue, "merge", "makes one answer of all vectors; expected none here"))
        }
        try Self.checkShape(vectors, count: count)
        guard options.needJSON else {
            return try await answers(to: rawQuery(vectors, count: count, of: domain, options: options), count: count)
        }
        let dim = vectors.count / count
        let requests = (0..<count).map { row in
            QueryRequest(
                query: .vectorBase64(QueryVectors.base64(Array(vectors[row * dim..<(row + 1) * dim]))), options: options
            )
        }
        return try await queryBatch(requests, of: domain)
    }

    /// The one answer to several vectors together, as EVCap asks with the 32 query tokens of an image.
    ///
    /// ```swift
    /// let answer = try await client.query(merging: tokens, count: 32, of: "objects", options: QueryOptions(k: 10))
    /// decoder.generate(prompt: answer.joined ?? "")
    /// ```
    ///
    /// - Parameters:
    ///   - vectors: Row-major: `count` vectors end to end.
    ///   - options: Without `merge`, EVCap's own numbers hold.
    public func query(
        merging vectors: [Float], count: Int, of domain: String, options: QueryOptions = QueryOptions()
    ) async throws -> QueryAnswer {
        var options = options
        options.merge = options.merge ?? VectorMerge()
        try Self.checkShape(vectors, count: count)
        guard options.needJSON else {
            return try await answer(to: rawQuery(vectors, count: count, of: domain, options: options))
        }
        return try await query(QueryRequest(query: .vectors(vectors, count: count), options: options), of: domain)
    }

    /// The answer to `request`, which goes as JSON and asks with one vector, or with several to merge.
    ///
    /// For the answers to several apart, ``query(vectors:count:of:options:)`` is the way.
    public func query(_ request: QueryRequest, of domain: String) async throws -> QueryAnswer {
        if case .vectors = request.query, request.options.merge == nil {
            throw CaptionerError(
                unsendable: .field(
                    .invalidValue, "query",
                    "got vectors without merge, whose answers are several; expected one question"))
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

    private static func checkShape(_ vectors: [Float], count: Int) throws {
        guard count > 0, vectors.count % count == 0 else {
            throw CaptionerError(
                unsendable: .field(
                    .vectorsRagged, "vectors", "got \(vectors.count) numbers for \(count) vectors of equal length"))
        }
    }

    /// - Parameter count: of several vectors; nil for one.
    private func rawQuery(
        _ values: [Float], count: Int? = nil, of domain: String, options: QueryOptions
    ) throws -> Call {
        let items = options.queryItems + (count.map { [("count", String($0))] } ?? [])
        return try Call.ask("v1", "domains", Self.checked(domain, field: "domain"), "query", query: items)
            .bytes(QueryVectors.littleEndian(values), type: "application/octet-stream")
    }
}

extension QueryOptions {
    private static let longestTemplateInURL = 2048
    private static let longestFilterInURL = 1024

    /// Whether an option has no place in the query string of a raw question.
    fileprivate var needJSON: Bool {
        fusion != nil || rerank != nil || ignoreUnknownTerms || template?.utf8.count ?? 0 > Self.longestTemplateInURL
            || (filter?.arguments.reduce(0) { $0 + $1.utf8.count } ?? 0) > Self.longestFilterInURL
    }

    /// The options as a raw question carries them.
    fileprivate var queryItems: [(name: String, value: String)] {
        var items: [(name: String, value: String)] = []
        if let k { items.append(("k", String(k))) }
        if let using { items.append(("using", using)) }
        items += excludeImageIDs.map { ("exclude_image_id", $0) }
        if let filter { items += filter.arguments.map { ("filter", $0) } }
        if let dedupe { items.append(("dedupe", dedupe.rawValue)) }
        if let minScore { items.append(("min_score", "\(minScore)")) }
        if let includePending { items.append(("include_pending", String(includePending))) }
        if prompt || template != nil { items.append(("prompt", "true")) }
        if let template { items.append(("template", template)) }
        if let merge {
            items += [("merge", "true"), ("per_vector", String(merge.perVector)), ("limit", String(merge.limit))]
            items.append(("separator", merge.separator))
        }
        if effort.exact { items.append(("exact", "true")) }
        if let efSearch = effort.efSearch { items.append(("ef_search", String(efSearch))) }
        if let nprobe = effort.nprobe { items.append(("nprobe", String(nprobe))) }
        if let mmr {
            items.append(("mmr", "\(mmr.lambda)"))
            if let fetch = mmr.fetch { items.append(("mmr_fetch", String(fetch))) }
        }
        if let select {
            items.append(("select", select.method.rawValue))
            if let from = select.from { items.append(("select_from", String(from))) }
            items += [("order", select.order.rawValue), ("seed", String(select.seed))]
        }
        return items
    }
}
