import DatastoreCore
import Foundation
import TestSupport

@testable import RetrievalEngine

/// An encoder's server that reacts to each request as it was told to.
enum FakeEncoder {
    /// Runs `body` with a client of a server that reacts so, in order; a request too many is met with silence.
    ///
    /// - Parameter path: of the endpoint's URL.
    @discardableResult
    static func with<Result>(
        _ reactions: ScriptedServer.Reaction..., dialect: EncoderEndpoint.Dialect = .openai, path: String = "/v1",
        apiKey: String? = nil, policy: RetryPolicy = .quick,
        body: (EncoderClient, ScriptedServer) async throws -> Result
    ) async throws -> Result {
        try await ScriptedServer.with(reactions) { url, server in
            let endpoint = try EncoderEndpoint(argument: "clip=\(dialect.rawValue)+\(url)\(path)", apiKey: apiKey)
            let client = EncoderClient(endpoint, policy: policy)
            do {
                let result = try await body(client, server)
                await client.shutdown()
                return result
            } catch {
                await client.shutdown()
                throw error
            }
        }
    }
}

extension ScriptedServer.Reaction {
    static func ok(_ text: String) -> ScriptedServer.Reaction { .answer(200, text) }

    /// OpenAI's list of embeddings.
    static func vectors(
        _ vectors: [[Float]], indexes: [Int]? = nil, base64: Bool = false, revision: String? = nil
    ) -> ScriptedServer.Reaction {
        let items = zip(indexes ?? Array(vectors.indices), vectors).map { index, vector in
            let numbers = base64 ? "\"\(QueryVectors.base64(vector))\"" : "\(vector)"
            return "{\"object\":\"embedding\",\"index\":\(index),\"embedding\":\(numbers)}"
        }
        let revision = revision.map { ",\"revision\":\"\($0)\"" } ?? ""
        return .ok(
            "{\"object\":\"list\",\"data\":[\(items.joined(separator: ","))],\"model\":\"served\"\(revision),"
                + "\"usage\":{\"prompt_tokens\":2,\"total_tokens\":2}}")
    }
}

extension RetryPolicy {
    /// Waits for nothing that a test does not wait for.
    static let quick = Self(attempts: 4, firstPause: .milliseconds(1), longestPause: .milliseconds(2))
}
