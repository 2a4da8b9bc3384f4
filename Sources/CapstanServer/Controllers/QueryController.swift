import DatastoreCore
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import RetrievalEngine

/// The captioner's questions.
struct QueryController {
    let engine: CapstanEngine
    let bodyLimit: Int
    let durations: QueryDurations

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.post("{domain}/query") { try await measured($0, $1, query) }
        group.post("{domain}/query/batch") { try await measured($0, $1, batch) }
    }

    /// Counts how long what is answered takes.
    private func measured(
        _ request: Request, _ context: CapstanRequestContext,
        _ answer: (Request, CapstanRequestContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let response = try await answer(request, context)
        durations.record(ContinuousClock.now - start, domain: try context.parameters.require("domain"))
        return response
    }

    @Sendable func query(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let domain = try context.parameters.require("domain")
        if request.mediaType == "application/octet-stream" { return try await raw(request, domain) }
        _ = try QueryParameters(request, allowed: [])
        let body = try await request.bytes(upTo: bodyLimit)
        guard body.readableBytes <= Self.largestBodyOnLoop else {
            return try await withTaskExecutorPreference(globalConcurrentExecutor) {
                try await answer(try question(body), of: domain)
            }
        }
        return try await answer(try question(body), of: domain)
    }

    /// Bytes of a JSON body that is read where the request is handled: its connection's event loop.
    private static let largestBodyOnLoop = 64 << 10

    private func question(_ body: ByteBuffer) throws -> QueryRequest {
        let body = body.readableBytes == 0 ? ByteBuffer(string: "{}") : body
        return try body.withUnsafeReadableBytes { try QueryRequest.read($0) }
    }

    private func answer(_ question: QueryRequest, of domain: String) async throws -> Response {
        if case .vectors(let values, let count) = question.query, question.options.merge == nil {
            return try await answers(
                try QueryVectors(values: values, count: count, field: "query.vectors"), of: domain, question.options)
        }
        return try .answer(try await engine.answer(question, of: domain))
    }

    /// Many answers are encoded away from the event loop.
    private func answers(
        _ vectors: QueryVectors, of domain: String, _ options: QueryOptions
    ) async throws -> Response {
        try await withTaskExecutorPreference(globalConcurrentExecutor) {
            try .answer(try await engine.answers(vectors, of: domain, options: options))
        }
    }

    @Sendable func batch(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try await withTaskExecutorPreference(globalConcurrentExecutor) {
            let domain = try context.parameters.require("domain")
            _ = try QueryParameters(request, allowed: [])
            let questions = try await request.json(QueryBatchRequest.self, upTo: bodyLimit)
            let requestID = context.id
            return try .answer(
                try await engine.answers(questions.queries, of: domain) { Problem($0, requestID: requestID) })
        }
    }

    /// Little-endian floats as they lie in memory; options in the query string.
    private func raw(_ request: Request, _ domain: String) async throws -> Response {
        let parameters = try QueryParameters(request, allowed: Self.rawParameters)
        let options = try QueryOptions(parameters)
        let count = try parameters.integer("count")
        let body = try await request.bytes(upTo: bodyLimit)
        let vectors = try body.withUnsafeReadableBytes {
            try QueryVectors(littleEndian: $0, count: count ?? 1, field: "body")
        }
        if let merge = options.merge {
            return try .answer(try await engine.merged(vectors, merge, of: domain, options: options))
        }
        if count != nil { return try await answers(vectors, of: domain, options) }
        return try .answer(try await engine.answer(vectors, of: domain, options: options))
    }

    private static let rawParameters = QueryOptions.parameters.union(["count"])
}

extension QueryOptions {
    /// The options of a raw question, in its query string.
    static let parameters: Set<String> = [
        "k", "using", "exclude_image_id", "filter", "dedupe", "min_score", "include_pending", "merge", "per_vector",
        "limit",
        "separator", "mmr", "mmr_fetch", "select", "select_from", "order", "seed", "prompt", "template",
        "exact", "ef_search", "nprobe",
    ]

    /// - Throws: `invalid_value`.
    init(_ parameters: QueryParameters) throws {
        func finite(_ name: String) throws -> Float? {
            try parameters.value(name, "a finite number") { Float($0).flatMap { $0.isFinite ? $0 : nil } }
        }
        func choice<Choice: WireChoice>(_ name: String) throws -> Choice? {
            try parameters.value(name, Choice.allCases.map(\.rawValue).joined(separator: " or ")) {
                Choice(rawValue: $0)
            }
        }
        func needs(_ option: String, _ names: [String]) throws {
            for name in names where !parameters.strings(name).isEmpty {
                throw DatastoreError.field(.invalidValue, name, "goes with \(option)")
            }
        }
        var merge: VectorMerge?
        if try parameters.flag("merge") ?? false {
            let standard = VectorMerge()
            merge = VectorMerge(
                perVector: try parameters.integer("per_vector") ?? standard.perVector,
                limit: try parameters.integer("limit") ?? standard.limit,
                separator: parameters.strings("separator").last ?? standard.separator)
        } else {
            try needs("merge=true", ["per_vector", "limit", "separator"])
        }
        var mmr: MMR?
        if let lambda = try finite("mmr") {
            mmr = MMR(lambda: lambda, fetch: try parameters.integer("mmr_fetch"))
        } else {
            try needs("mmr", ["mmr_fetch"])
        }
        var select: Selection?
        let method: Selection.Method? = try choice("select")
        let order: Selection.Order? = try choice("order")
        if method != nil || order != nil {
            select = Selection(
                method: method ?? .top, from: try parameters.integer("select_from"), order: order ?? .score,
                seed: try parameters.value("seed", "a whole number of 0 or more") { UInt64($0) } ?? 0)
        } else {
            try needs("select or order", ["select_from", "seed"])
        }
        let template = parameters.strings("template").last
        self.init(
            k: try parameters.integer("k"), using: parameters.strings("using").last,
            excludeImageIDs: parameters.strings("exclude_image_id"), filter: try QueryFilter(parameters),
            dedupe: try parameters.value("dedupe", Dedupe.forms) { Dedupe(rawValue: $0) },
            minScore: try finite("min_score"), includePending: try parameters.flag("include_pending"), merge: merge,
            mmr: mmr, select: select, prompt: try parameters.flag("prompt") ?? (template != nil), template: template,
            effort: SearchEffort(
                exact: try parameters.flag("exact") ?? false, efSearch: try parameters.integer("ef_search"),
                nprobe: try parameters.integer("nprobe")))
    }
}
