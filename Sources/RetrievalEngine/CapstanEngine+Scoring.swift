package import DatastoreCore
import VectorIndex

extension CapstanEngine {
    /// How near candidates are to one query (ZeroCap).
    ///
    /// - Throws: `no_candidates`, `too_many_candidates`, `temperature_out_of_range`, `vector_dim_mismatch`,
    ///   `vector_not_finite`, `vector_zero`, `missing_field` when texts or entries come without a domain, and what a
    ///   question throws.
    package func score(_ request: ScoreRequest) async throws -> ScoreAnswer {
        try request.validate(limit: configuration.maximumCandidates)
        let context = try await scoringContext(request)
        let query = try await vector(of: request.query, context)
        let candidates = try await vectors(of: request.candidates, context)
        guard candidates.dim == query.dim else {
            throw DatastoreError.field(
                .vectorDimMismatch, candidates.field,
                "got vectors of \(candidates.dim) numbers, expected \(query.dim) as the query has")
        }
        try query.validate(dim: query.dim, metric: .cosine)
        try candidates.validate(dim: query.dim, metric: .cosine)
        return try await search {
            let key = KeyQuery(query.values[...], metric: .cosine)
            let dim = query.dim
            let cosines = (0..<candidates.count).map {
                key.exactScore(of: candidates.values[$0 * dim..<($0 + 1) * dim])
            }
            var texts: [String]?
            if case .texts(let given) = request.candidates { texts = given }
            return try ScoreAnswer(cosines: cosines, texts: texts, temperature: request.temperature)
        }
    }

    /// What entries and texts are looked up in; nil for vectors alone.
    private typealias ScoringContext = (retriever: Retriever, moment: Moment)

    private func scoringContext(_ request: ScoreRequest) async throws -> ScoringContext? {
        guard let domain = request.domain else { return nil }
        let moment = try await moment(of: domain, nil)
        let retriever = try retriever(moment, .dense, QueryOptions(using: request.using))
        return (retriever, moment)
    }

    private func vector(of input: QueryInput, _ context: ScoringContext?) async throws -> QueryVectors {
        if let context {
            return try await resolve(input, context.retriever, context.moment, field: "query").vectors
        }
        switch input {
        case .vector, .vectorBase64: return try input.single(field: "query")
        default: throw Self.needsDomain
        }
    }

    private func vectors(of candidates: ScoreCandidates, _ context: ScoringContext?) async throws -> QueryVectors {
        switch candidates {
        case .vectors(let values, let count): return try QueryVectors(values: values, count: count, field: "vectors")
        case .vectorsBase64(let texts):
            var values: [Float] = []
            for (index, text) in texts.enumerated() {
                let vector = try QueryVectors.floats(base64: text, field: "vectors_base64[\(index)]")
                guard index == 0 || vector.count * index == values.count else {
                    throw DatastoreError.field(
                        .vectorsRagged, "vectors_base64[\(index)]",
                        "got \(vector.count) numbers, expected \(values.count / index) as in the first")
                }
                values += vector
            }
            return try QueryVectors(values: values, count: texts.count, field: "vectors_base64")
        case .texts(let texts):
            guard let context else { throw Self.needsDomain }
            let encoder = try QueryEncoder(context.retriever.denseSpecs(), context.moment.domain, questionEncoder)
            return try await encoding { try await encoder.vectors(of: texts, field: "texts") }
        }
    }

    private static let needsDomain = DatastoreError.field(
        .missingField, "domain", "texts, pictures and entries need the domain whose encoder and datastores they are for"
    )
}
