package import DatastoreCore

extension CapstanEngine {
    /// Answers one vector.
    ///
    /// - Throws: `unknown_domain`, `k_out_of_range`, `vector_dim_mismatch`, `vector_not_finite`, `vector_zero`,
    ///   `version_damaged`, `overloaded`.
    package func answer(_ vector: QueryVectors, of domain: String, options: QueryOptions) async throws -> QueryAnswer {
        try await answer(vector, retriever(try currentSnapshot.domain(domain), options))
    }

    /// Answers one question; a text or a picture is encoded first.
    ///
    /// - Throws: as for a vector, and `missing_field`, `invalid_value`, `invalid_base64`, `encoder_not_configured`,
    ///   `encoder_unreachable`, `encoder_failed`, `encoder_mismatch`.
    package func answer(_ question: QueryRequest, of domain: String) async throws -> QueryAnswer {
        let domain = try currentSnapshot.domain(domain)
        let retriever = try retriever(domain, question.options)
        return try await answer(vector(of: question.query, domain), retriever)
    }

    private func answer(_ vector: QueryVectors, _ retriever: Retriever) async throws -> QueryAnswer {
        try retriever.validate(vector)
        return try await search { try retriever.answer(vector.values[...], excluding: retriever.exclusions()) }
    }

    /// Answers several vectors apart, in order, all from one revision.
    ///
    /// - Throws: as for one vector, and `too_many_queries`.
    package func answers(
        _ vectors: QueryVectors, of domain: String, options: QueryOptions
    ) async throws -> QueryBatchAnswer {
        try checkCount(vectors.count, field: "query.vectors")
        let domain = try currentSnapshot.domain(domain)
        let retriever = try retriever(domain, options)
        try retriever.validate(vectors)
        try checkSize(Array(repeating: retriever.k, count: vectors.count))
        let dim = vectors.dim
        let excluded = try await search { try retriever.exclusions() }
        return try await batch(domain, count: vectors.count) { index in
            QueryBatchItem(
                try retriever.answer(vectors.values[index * dim..<(index + 1) * dim], excluding: excluded))
        }
    }

    /// Answers several questions, in order, all from one revision, each with its own result or error.
    ///
    /// - Parameter problem: how an error is shown.
    /// - Throws: `unknown_domain`, `too_many_queries`, `overloaded`.
    package func answers(
        _ questions: [QueryRequest], of domain: String, problem: @escaping @Sendable (any Error) -> Problem
    ) async throws -> QueryBatchAnswer {
        try checkCount(questions.count, field: "queries")
        let domain = try currentSnapshot.domain(domain)
        try checkSize(questions.map { max(0, $0.options.k ?? domain.info.defaults.k ?? Retriever.defaultK) })
        let encoded = await encode(questions.map(\.query), domain)
        return try await batch(domain, count: questions.count) { [self] index in
            do {
                let question = questions[index]
                let vector = try encoded[index]?.get() ?? question.query.single()
                let retriever = try retriever(domain, question.options)
                try retriever.validate(vector)
                return QueryBatchItem(
                    try retriever.answer(vector.values[...], excluding: retriever.exclusions()))
            } catch {
                return QueryBatchItem(error: problem(error))
            }
        }
    }

    // MARK: Encoders

    /// The vector of a question.
    private func vector(of input: QueryInput, _ domain: DomainSnapshot) async throws -> QueryVectors {
        switch input {
        case .text(let text):
            let encoder = try QueryEncoder(domain, questionEncoder)
            return try await encoding { try await encoder.vector(of: text) }
        case .image(let text):
            let encoder = try QueryEncoder(domain, questionEncoder)
            let image = try QueryImage(text: text)
            return try await encoding { try await encoder.vector(of: image) }
        case .vector, .vectorBase64, .vectors, .terms, .entry, .lexical, .fused: return try input.single()
        }
    }

    /// The vectors of the texts and pictures among questions, a few at a time.
    private func encode(
        _ inputs: [QueryInput], _ domain: DomainSnapshot
    ) async -> [Int: Result<QueryVectors, any Error>] {
        let waiting = inputs.indices.filter { inputs[$0].needsEncoder }
        return await withTaskGroup(of: (Int, Result<QueryVectors, any Error>).self) { group in
            var encoded: [Int: Result<QueryVectors, any Error>] = [:]
            for (count, index) in waiting.enumerated() {
                if count >= Self.encoderLanes, let (done, result) = await group.next() { encoded[done] = result }
                group.addTask { [self] in
                    do {
                        return (index, .success(try await vector(of: inputs[index], domain)))
                    } catch {
                        return (index, .failure(error))
                    }
                }
            }
            for await (done, result) in group { encoded[done] = result }
            return encoded
        }
    }

    /// Questions of one request that an encoder works on at a time.
    private static let encoderLanes = 4

    private func retriever(_ domain: DomainSnapshot, _ options: QueryOptions) throws -> Retriever {
        try Retriever(domain, options: options, maximumK: configuration.maximumK)
    }

    private func checkCount(_ count: Int, field: String) throws {
        guard (1...configuration.maximumBatch).contains(count) else {
            throw DatastoreError.field(
                count == 0 ? .missingField : .tooManyQueries, field,
                "got \(count), expected 1 to \(configuration.maximumBatch)")
        }
    }

    /// The results that one answer may carry, so that it fits into memory.
    private static let maximumResults = 131_072

    private func checkSize(_ results: [Int]) throws {
        let total = results.reduce(0) { $0 + min($1, configuration.maximumK) }
        guard total <= Self.maximumResults else {
            throw DatastoreError(
                .tooManyQueries,
                "got \(total) results asked for in one request, expected at most \(Self.maximumResults); split it")
        }
    }

    /// Asks the questions of one request a few at a time, as many as there are search threads, each as a call of its own:
    /// one large request neither fills the queue nor keeps others waiting, and ends soon after its client has gone.
    private func batch(
        _ domain: DomainSnapshot, count: Int, _ answer: @escaping @Sendable (Int) throws -> QueryBatchItem
    ) async throws -> QueryBatchAnswer {
        let lanes = min(configuration.searchThreads, count)
        var items = [QueryBatchItem?](repeating: nil, count: count)
        try await withThrowingTaskGroup(of: [(Int, QueryBatchItem)].self) { group in
            for lane in 0..<lanes {
                group.addTask { [self] in
                    var answered: [(Int, QueryBatchItem)] = []
                    for index in stride(from: lane, to: count, by: lanes) {
                        try Task.checkCancellation()
                        answered.append((index, try await search { try answer(index) }))
                    }
                    return answered
                }
            }
            for try await answered in group {
                for (index, item) in answered { items[index] = item }
            }
        }
        return QueryBatchAnswer(
            domain: domain.info.domain, revision: domain.info.revision, answers: items.compactMap { $0 })
    }
}

extension QueryInput {
    /// The vectors of a question, flat.
    ///
    /// - Throws: `missing_field`, `invalid_base64`.
    package func flat() throws -> QueryVectors {
        switch self {
        case .vector(let values): try QueryVectors(values: values, count: 1)
        case .vectorBase64(let text):
            try QueryVectors(
                values: QueryVectors.floats(base64: text, field: "query.vector_base64"), count: 1,
                field: "query.vector_base64")
        case .vectors(let values, let count): try QueryVectors(values: values, count: count, field: "query.vectors")
        case .text, .image, .terms, .entry, .lexical, .fused:
            throw DatastoreError.field(.invalidValue, "query", "got a text or a picture, expected a vector")
        }
    }

    /// Whether an encoder has to make its vector.
    var needsEncoder: Bool {
        switch self {
        case .text, .image: true
        case .vector, .vectorBase64, .vectors, .terms, .entry, .lexical, .fused: false
        }
    }

    /// The one vector of a question in a batch.
    ///
    /// - Throws: `invalid_value` when there are several.
    func single() throws -> QueryVectors {
        if case .vectors = self {
            throw DatastoreError.field(
                .invalidValue, "query.vectors", "a question in a batch has one vector; ask several questions instead")
        }
        return try flat()
    }
}
