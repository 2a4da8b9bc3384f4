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

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.post("{domain}/query", use: query)
        group.post("{domain}/query/batch", use: batch)
    }

    @Sendable func query(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let domain = try context.parameters.require("domain")
        if request.mediaType == "application/octet-stream" { return try await raw(request, domain) }
        _ = try QueryParameters(request, allowed: [])
        let question = try await request.json(QueryRequest.self, upTo: bodyLimit)
        if case .vectors = question.query {
            return try .json(
                try await engine.answers(try question.query.flat(), of: domain, options: question.options))
        }
        return try .json(try await engine.answer(question, of: domain))
    }

    @Sendable func batch(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let domain = try context.parameters.require("domain")
        _ = try QueryParameters(request, allowed: [])
        let questions = try await request.json(QueryBatchRequest.self, upTo: bodyLimit)
        let requestID = context.id
        return try .json(
            try await engine.answers(questions.queries, of: domain) { Problem($0, requestID: requestID) })
    }

    /// Little-endian floats as they lie in memory; options in the query string.
    private func raw(_ request: Request, _ domain: String) async throws -> Response {
        let parameters = try QueryParameters(
            request, allowed: ["k", "exclude_image_id", "dedupe", "min_score", "prompt", "count"])
        let options = QueryOptions(
            k: try parameters.integer("k"), excludeImageIDs: parameters.strings("exclude_image_id"),
            dedupe: try parameters.value("dedupe", Dedupe.forms) { Dedupe(rawValue: $0) },
            minScore: try parameters.value("min_score", "a finite number") {
                Float($0).flatMap { $0.isFinite ? $0 : nil }
            },
            prompt: try parameters.flag("prompt") ?? false)
        let count = try parameters.integer("count")
        let body = try await request.bytes(upTo: bodyLimit)
        let vectors = try body.withUnsafeReadableBytes {
            try QueryVectors(littleEndian: $0, count: count ?? 1, field: "body")
        }
        if count != nil { return try .json(try await engine.answers(vectors, of: domain, options: options)) }
        return try .json(try await engine.answer(vectors, of: domain, options: options))
    }
}
