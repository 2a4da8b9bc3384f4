package import DatastoreCore
import DatastoreStorage

extension CapstanEngine {
    /// What a question is answered from: one revision, and what is pending where that counts.
    struct Moment: Sendable {
        let domain: DomainSnapshot
        /// For each binding; empty when pending changes do not count.
        let pending: [PendingView]
    }

    /// Answers one vector.
    ///
    /// - Throws: `unknown_domain`, `k_out_of_range`, `vector_dim_mismatch`, `vector_not_finite`, `vector_zero`,
    ///   `version_damaged`, `overloaded`.
    package func answer(_ vector: QueryVectors, of domain: String, options: QueryOptions) async throws -> QueryAnswer {
        let moment = try await moment(of: domain, options.includePending)
        return try await answer(vector, options, moment)
    }

    /// Answers one question; texts and pictures are encoded first.
    ///
    /// - Throws: as for a vector, and `missing_field`, `invalid_value`, `invalid_base64`, `unknown_key`, `unknown_entry`,
    ///   `unknown_term`, `terms_cancel`, `encoder_not_configured`, `encoder_unreachable`, `encoder_failed`,
    ///   `encoder_mismatch`, `reranker_not_configured`.
    package func answer(_ question: QueryRequest, of domain: String) async throws -> QueryAnswer {
        try await answer(question, moment(of: domain, question.options.includePending))
    }

    private func answer(_ question: QueryRequest, _ moment: Moment) async throws -> QueryAnswer {
        let options = question.options
        if options.merge != nil, !question.query.isSeveralVectors { throw Self.mergesSeveral }
        switch question.query {
        case .vectors(let values, let count):
            guard let merge = options.merge else {
                throw DatastoreError.field(
                    .invalidValue, "query.vectors", "a question has one vector, or several and \"merge\"")
            }
            let vectors = try QueryVectors(values: values, count: count, field: "query.vectors")
            return try await merged(vectors, merge, options, moment)
        case .lexical(let weights):
            let retriever = try retriever(moment, .lexical, options)
            return try await answer(.lexical(retriever.terms(weights)), retriever, question)
        case .fused(let dense, let weights):
            let retriever = try retriever(moment, .fused, options)
            let terms = try retriever.terms(weights)
            let found = try await resolve(dense, retriever, moment, field: "query")
            return try await answer(
                .fused(found.vectors.values, terms), retriever, question, leavingOut: found.entry)
        default:
            let retriever = try retriever(moment, .dense, options)
            let found = try await resolve(question.query, retriever, moment, field: "query")
            // An entry that is asked with is no question from outside.
            if found.entry == nil { record(found.vectors, retriever) }
            return try await answer(.dense(found.vectors.values), retriever, question, leavingOut: found.entry)
        }
    }

    private func answer(_ vector: QueryVectors, _ options: QueryOptions, _ moment: Moment) async throws -> QueryAnswer {
        guard options.merge == nil else { throw Self.mergesSeveral }
        let retriever = try retriever(moment, .dense, options)
        try retriever.validate(vector)
        record(vector, retriever)
        return try await search { try retriever.answer(.dense(vector.values), in: retriever.scope()) }
    }

    private static let mergesSeveral = DatastoreError.field(
        .invalidValue, "merge", "goes with vectors, got another question")

    /// - Parameter entry: an entry that is no result, because it is what was asked with.
    private func answer(
        _ probe: Probe, _ retriever: Retriever, _ question: QueryRequest,
        leavingOut entry: (binding: Int, id: Int64)? = nil
    ) async throws -> QueryAnswer {
        let scope: @Sendable () throws -> Retriever.Scope = {
            var scope = try retriever.scope()
            if let entry { scope.excluded[entry.binding].insert(entry.id) }
            return scope
        }
        guard let rerank = question.options.rerank else {
            return try await search { try retriever.answer(probe, in: scope()) }
        }
        let client = try reranker(rerank.reranker)
        guard let text = rerank.query ?? question.query.text else {
            throw DatastoreError.field(
                .missingField, "rerank.query", "expected what the reranker compares texts with; the question is no text"
            )
        }
        let first = try await search { try retriever.firstStage(probe, in: scope()) }
        let (ranking, notes) = await reranked(first, text, client, fetch: rerank.fetch)
        return try await search { try retriever.finish(ranking, probe, notes: notes) }
    }

    /// Orders the first `fetch` candidates by a reranker's relevance; as they were, with a note, when it fails.
    private func reranked(
        _ ranking: Retriever.Ranking, _ query: String, _ reranker: RerankerClient, fetch: Int
    ) async -> (Retriever.Ranking, notes: [String]?) {
        let head = Array(ranking.candidates.prefix(fetch))
        guard !head.isEmpty else { return (ranking, nil) }
        do {
            let relevance = try await encoding {
                try await reranker.relevance(query: query, documents: head.map { $0.entry?.fields.text ?? "" })
            }
            var scored: [Candidate] = []
            var left: [Candidate] = []
            for (var candidate, relevance) in zip(head, relevance) {
                candidate.relevance = relevance
                if relevance == nil { left.append(candidate) } else { scored.append(candidate) }
            }
            // Stable: equally relevant ones stay in the order of the first stage.
            let order = scored.indices.sorted {
                let (one, other) = (scored[$0].relevance ?? 0, scored[$1].relevance ?? 0)
                return one != other ? one > other : $0 < $1
            }
            var reranked = ranking
            reranked.candidates = order.map { scored[$0] } + left + ranking.candidates.dropFirst(fetch)
            let note =
                left.isEmpty ? nil : ["the reranker left out \(left.count) of \(head.count) texts; they come last"]
            return (reranked, note)
        } catch let error as DatastoreError {
            return (
                ranking, ["not reranked, in the order of the first stage: \(error.detail) (\(error.code.rawValue))"]
            )
        } catch {
            return (ranking, ["not reranked, in the order of the first stage: \(error)"])
        }
    }

    // MARK: Several vectors

    /// Answers several vectors, all from one revision: apart and in order, or as one list with `merge`.
    ///
    /// - Throws: as for one vector, and `too_many_queries`.
    package func answers(
        _ vectors: QueryVectors, of domain: String, options: QueryOptions
    ) async throws -> QueryBatchAnswer {
        try checkCount(vectors.count, field: "query.vectors")
        let moment = try await moment(of: domain, options.includePending)
        let retriever = try retriever(moment, .dense, options)
        guard options.rerank == nil else {
            throw DatastoreError.field(.invalidValue, "rerank", "goes with one question at a time, or the batch call")
        }
        try retriever.validate(vectors)
        record(vectors, retriever)
        try checkSize(Array(repeating: retriever.k, count: vectors.count))
        let scope = try await search { try retriever.scope() }
        // A part for each thread, but none so large that other questions wait long for theirs.
        let threads = configuration.searchThreads
        let size = min(Retriever.vectorsAtOnce, (vectors.count + threads - 1) / threads)
        return try await batch(moment.domain, count: (vectors.count + size - 1) / size) { [self] part in
            try await search {
                let range = part * size..<min((part + 1) * size, vectors.count)
                return try retriever.answers(vectors, range, in: scope).map(QueryBatchItem.init)
            }
        }
    }

    /// One list of the names that many vectors find (EVCap).
    ///
    /// - Throws: as for one vector, and `too_many_queries`.
    package func merged(
        _ vectors: QueryVectors, _ merge: VectorMerge, of domain: String, options: QueryOptions
    ) async throws -> QueryAnswer {
        try await merged(vectors, merge, options, moment(of: domain, options.includePending))
    }

    private func merged(
        _ vectors: QueryVectors, _ merge: VectorMerge, _ options: QueryOptions, _ moment: Moment
    ) async throws -> QueryAnswer {
        try checkCount(vectors.count, field: vectors.field)
        var options = options
        options.merge = merge
        let retriever = try retriever(moment, .dense, options)
        try retriever.validate(vectors)
        record(vectors, retriever)
        try checkSize(Array(repeating: merge.perVector, count: vectors.count))
        return try await search { try retriever.merged(vectors, merge, in: retriever.scope()) }
    }

    /// Answers several questions, in order, all from one revision, each with its own result or error.
    ///
    /// - Parameter problem: how an error is shown.
    /// - Throws: `unknown_domain`, `too_many_queries`, `overloaded`.
    package func answers(
        _ questions: [QueryRequest], of domain: String, problem: @escaping @Sendable (any Error) -> Problem
    ) async throws -> QueryBatchAnswer {
        try checkCount(questions.count, field: "queries")
        let wantsPending = questions.contains { $0.options.includePending == true }
        let moment = try await moment(of: domain, wantsPending ? true : nil)
        try checkSize(questions.map { max(0, $0.options.k ?? moment.domain.info.defaults.k ?? Retriever.defaultK) })
        return try await batch(
            moment.domain, count: questions.count, lanes: max(configuration.searchThreads, Self.encoderLanes)
        ) { [self] index in
            do {
                let options = questions[index].options
                let counts = options.includePending ?? moment.domain.info.defaults.includePending ?? false
                let own = Moment(domain: moment.domain, pending: counts ? moment.pending : [])
                return [QueryBatchItem(try await answer(questions[index], own))]
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                return [QueryBatchItem(error: problem(error))]
            }
        }
    }

    /// Questions of one request that an encoder works on at a time.
    private static let encoderLanes = 4

    // MARK: What questions are of

    /// The snapshot of a domain, and what is pending where that counts.
    ///
    /// What is pending is looked at first: a version that is published in between has it in, and then it is left out.
    ///
    /// - Throws: `unknown_domain`, `too_many_pending`.
    func moment(of name: String, _ includePending: Bool?) async throws -> Moment {
        while true {
            let before = try currentSnapshot.domain(name)
            guard includePending ?? before.info.defaults.includePending ?? false else {
                return Moment(domain: before, pending: [])
            }
            let names = before.info.datastores.map(\.name)
            let views = try await search { [self] in try names.map { try pendingView($0) } }
            let now = try currentSnapshot.domain(name)
            let isSame = now.info.defaults.includePending == before.info.defaults.includePending
            if isSame, now.info.datastores.map(\.name) == names { return Moment(domain: now, pending: views) }
        }
    }

    func retriever(_ moment: Moment, _ form: Retriever.Form, _ options: QueryOptions) throws -> Retriever {
        try Retriever(
            moment.domain, form: form, options: options, maximumK: configuration.maximumK, pending: moment.pending)
    }

    /// Keeps a sample of what is asked, for the recall of later versions.
    private func record(_ vectors: QueryVectors, _ retriever: Retriever) {
        for (datastore, key) in retriever.denseKeys {
            for index in 0..<vectors.count {
                let place = index * vectors.dim..<(index + 1) * vectors.dim
                recorded.record(Array(vectors.values[place]), datastore: datastore, key: key)
            }
        }
    }

    /// The vector of a question.
    ///
    /// - Returns: also the entry that was asked with, which is no result.
    func resolve(
        _ input: QueryInput, _ retriever: Retriever, _ moment: Moment, field: String
    ) async throws -> (vectors: QueryVectors, entry: (binding: Int, id: Int64)?) {
        var entry: (binding: Int, id: Int64)?
        let vectors: QueryVectors
        switch input {
        case .vector, .vectorBase64: vectors = try input.single(field: field)
        case .text, .image:
            vectors = try await encoded(
                input, QueryEncoder(retriever.denseSpecs(), moment.domain, questionEncoder), field: field)
        case .entry(let reference):
            let found = try await search { try retriever.vector(of: reference, field: "\(field).entry") }
            entry = (found.binding, found.id)
            vectors = try QueryVectors(values: found.vector, count: 1, field: "\(field).entry")
        case .terms(let sum): vectors = try await self.sum(sum, retriever, moment, field: "\(field).terms")
        case .vectors, .lexical, .fused:
            throw DatastoreError.field(.invalidValue, field, "expected one vector, or what one can be made of")
        }
        try retriever.validate(vectors)
        return (vectors, entry)
    }

    /// The vector of a text or a picture.
    func encoded(_ input: QueryInput, _ encoder: QueryEncoder, field: String) async throws -> QueryVectors {
        switch input {
        case .text(let text): return try await encoding { try await encoder.vector(of: text) }
        case .image(let text):
            let image = try QueryImage(text: text)
            return try await encoding { try await encoder.vector(of: image) }
        default: throw DatastoreError.field(.invalidValue, field, "expected a text or a picture")
        }
    }

    /// A weighted sum, of length 1.
    private func sum(
        _ sum: WeightedSum, _ retriever: Retriever, _ moment: Moment, field: String
    ) async throws -> QueryVectors {
        guard !sum.terms.isEmpty else { throw DatastoreError.field(.noTerms, field, "got no terms") }
        guard sum.terms.count <= Self.maximumTerms else {
            throw DatastoreError.field(
                .tooManyQueries, field, "got \(sum.terms.count) terms, expected at most \(Self.maximumTerms)")
        }
        var arithmetic = VectorSum(normalisesTerms: sum.normaliseTerms)
        for (index, term) in sum.terms.enumerated() {
            let found = try await resolve(term.input, retriever, moment, field: "\(field)[\(index)]")
            try arithmetic.add(found.vectors.values, weight: term.weight, field: "\(field)[\(index)]")
        }
        return try QueryVectors(values: arithmetic.normalised(field: field), count: 1, field: field)
    }

    /// Terms that a weighted sum may have.
    private static let maximumTerms = 1024

    private func checkCount(_ count: Int, field: String) throws {
        guard (1...configuration.maximumBatch).contains(count) else {
            throw DatastoreError.field(
                count > 0 ? .tooManyQueries : field == "queries" ? .missingField : .noVectors, field,
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
        _ domain: DomainSnapshot, count: Int, lanes: Int? = nil,
        _ answer: @escaping @Sendable (Int) async throws -> [QueryBatchItem]
    ) async throws -> QueryBatchAnswer {
        let lanes = min(lanes ?? configuration.searchThreads, count)
        var items = [[QueryBatchItem]](repeating: [], count: count)
        try await withThrowingTaskGroup(of: [(Int, [QueryBatchItem])].self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    var answered: [(Int, [QueryBatchItem])] = []
                    for index in stride(from: lane, to: count, by: lanes) {
                        try Task.checkCancellation()
                        answered.append((index, try await answer(index)))
                    }
                    return answered
                }
            }
            for try await answered in group {
                for (index, own) in answered { items[index] = own }
            }
        }
        return QueryBatchAnswer(
            domain: domain.info.domain, revision: domain.info.revision, answers: items.flatMap { $0 })
    }
}

extension QueryInput {
    /// The one vector of a question that carries its numbers.
    ///
    /// - Throws: `missing_field`, `invalid_base64`, `invalid_value`.
    func single(field: String) throws -> QueryVectors {
        switch self {
        case .vector(let values): return try QueryVectors(values: values, count: 1, field: "\(field).vector")
        case .vectorBase64(let text):
            let field = "\(field).vector_base64"
            return try QueryVectors(values: QueryVectors.floats(base64: text, field: field), count: 1, field: field)
        default: throw DatastoreError.field(.invalidValue, field, "expected a vector")
        }
    }

    var isSeveralVectors: Bool {
        if case .vectors = self { true } else { false }
    }

    /// The text of a question, for a reranker.
    var text: String? {
        switch self {
        case .text(let text): text
        case .fused(let dense, _): dense.text
        default: nil
        }
    }
}
