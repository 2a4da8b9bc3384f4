import DatastoreCore
import Foundation

/// Asks one reranker how relevant texts are to a query.
///
/// ```swift
/// let reranker = RerankerClient(try RerankerEndpoint(argument: "bge=http://127.0.0.1:7997", apiKey: nil))
/// let relevance = try await reranker.relevance(query: "a dog", documents: ["a cat sleeps", "a dog runs"])
/// await reranker.shutdown()
/// ```
///
/// Make one and keep it: it holds a pool of connections. All its calls may run at once.
package final class RerankerClient: Sendable {
    private let endpoint: RerankerEndpoint
    private let server: ModelServerClient

    package init(_ endpoint: RerankerEndpoint, policy: RetryPolicy = .question) {
        self.endpoint = endpoint
        server = ModelServerClient(endpoint.server, policy: policy)
    }

    /// Ends what is under way and closes all connections; the client cannot be used after.
    package func shutdown() async {
        await server.shutdown()
    }

    /// The relevance of each document, in order; nil for those that the server left out.
    ///
    /// - Parameter documents: go in one request; none make none.
    /// - Throws: `reranker_unreachable` when no connection came about, `reranker_failed` when the server refuses or
    ///   answers anything else, `interrupted` after `shutdown()`, `CancellationError` when the task is cancelled.
    package func relevance(query: String, documents: [String]) async throws -> [Double?] {
        guard !documents.isEmpty else { return [] }
        let request = RerankRequest(
            model: endpoint.model, query: query, documents: documents, topN: documents.count)
        do {
            let body = try await server.post(
                try WireJSON.encode(request), to: endpoint.rerankURL, byteLimit: RerankAnswer.byteLimit(documents))
            return try server.decoded(RerankAnswer.self, from: body, as: "list of relevances").relevance(
                count: documents.count, title: endpoint.title)
        } catch let failure as ModelServerClient.Failure {
            throw failure.error
        }
    }
}

/// What a reranker is asked, in the words of Jina and Cohere.
private struct RerankRequest: Encodable {
    var model: String?
    var query: String
    var documents: [String]
    var topN: Int

    enum CodingKeys: String, CodingKey {
        case model, query, documents
        case topN = "top_n"
    }
}
