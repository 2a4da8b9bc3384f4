import DatastoreCore
import Foundation
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

@testable import RetrievalEngine

/// What a reranker is asked, what its answers become, and that its key is shown nowhere.
struct RerankerClientTests {
    static let key = "sk-secret-0123456789"

    /// Runs `body` with a client of a server that reacts so, in order.
    private func with(
        _ reactions: ScriptedServer.Reaction..., path: String = "/v1", model: String? = nil, apiKey: String? = nil,
        policy: RetryPolicy = .quick, body: (RerankerClient, ScriptedServer) async throws -> Void
    ) async throws {
        try await ScriptedServer.with(reactions) { url, server in
            let endpoint = try RerankerEndpoint(argument: "bge=\(url)\(path)", model: model, apiKey: apiKey)
            let client = RerankerClient(endpoint, policy: policy)
            do {
                try await body(client, server)
                await client.shutdown()
            } catch {
                await client.shutdown()
                throw error
            }
        }
    }

    private func refusal(_ client: RerankerClient) async -> DatastoreError? {
        await #expect(throws: DatastoreError.self) {
            try await client.relevance(query: "q", documents: ["a", "b", "c"])
        }
    }

    // MARK: Questions and answers

    @Test func documentsAreAskedForInOneRequest() async throws {
        let answer = ScriptedServer.Reaction.ok(#"{"results":[{"index":0,"relevance_score":1}]}"#)
        try await with(answer, answer) { client, server in
            let relevance = try await client.relevance(query: "a \"dog\"", documents: ["é/ü"])
            #expect(relevance == [1])
            let request = try #require(server.requests.first)
            #expect(request.head.method == .POST)
            #expect(request.head.uri == "/v1/rerank")
            #expect(request.head.headers["Content-Type"] == ["application/json"])
            #expect(request.head.headers["Authorization"] == [])
            #expect(request.text == #"{"documents":["é/ü"],"query":"a \"dog\"","top_n":1}"#)
            let none = try await client.relevance(query: "a", documents: [])
            #expect(none == [])
            #expect(server.requests.count == 1)
        }
        try await with(answer, path: "", model: "bge-m3", apiKey: Self.key) { client, server in
            _ = try await client.relevance(query: "q", documents: ["a"])
            #expect(server.requests.map(\.head.uri) == ["/rerank"])
            #expect(server.requests.map(\.text) == [#"{"documents":["a"],"model":"bge-m3","query":"q","top_n":1}"#])
            #expect(server.requests.first?.head.headers["Authorization"] == ["Bearer \(Self.key)"])
        }
    }

    @Test(arguments: [
        #"{"model":"m","results":[{"index":2,"relevance_score":0.5,"document":{"text":"c"}},{"index":0,"relevance_score":-7}]}"#,
        #"{"results":[{"index":0,"score":-7},{"index":2,"score":0.5}]}"#,
        #"[{"index":2,"score":0.5},{"index":0,"score":-7}]"#,
        #"[{"index":2,"score":9,"relevance_score":0.5},{"index":0,"relevance_score":-7.0}]"#,
    ])
    func relevancesComeInTheOrderOfTheDocuments(text: String) async throws {
        try await with(.ok(text)) { client, _ in
            let relevance = try await client.relevance(query: "q", documents: ["a", "b", "c"])
            #expect(relevance == [-7, nil, 0.5])
        }
    }

    @Test(arguments: ["[]", #"{"results":[]}"#])
    func aServerMayLeaveAllOut(text: String) async throws {
        try await with(.ok(text)) { client, _ in
            let relevance = try await client.relevance(query: "q", documents: ["a", "b"])
            #expect(relevance == [nil, nil])
        }
    }

    @Test(arguments: [
        (#"[{"index":0,"score":1},{"index":0,"score":1}]"#, "index 0 twice"), (#"[{"index":3,"score":1}]"#, "index 3"),
        (#"[{"index":-1,"score":1}]"#, "index -1"), (#"[{"index":0}]"#, "no list of relevances"),
        (#"[{"index":0,"score":NaN}]"#, "no list"), (#"[{"index":0,"score":null}]"#, "no list"),
        (#"[{"index":0,"score":1e999}]"#, "no list"), (#"[{"index":0,"score":"1"}]"#, "no list"),
        (#"[{"index":0.5,"score":1}]"#, "no list"), (#"[{"score":1}]"#, "no list"), (#"{"results":null}"#, "no list"),
        ("{}", "results"), ("", "no list"), ("<html>", "no list"), ("7", "no list"),
        (String(repeating: " ", count: 4 << 20), "more than"),
    ])
    func whatAreNoRelevancesIsRefusedAtOnce(text: String, part: String) async throws {
        try await with(.ok(text)) { client, server in
            let error = await refusal(client)
            #expect(error?.code == .rerankerFailed)
            #expect(error?.detail.contains(part) == true, "\(error?.detail ?? "")")
            #expect(error?.detail.hasPrefix("reranker \"bge\" at http://127.0.0.1:") == true)
            #expect(server.requests.count == 1)
        }
    }

    // MARK: Failures

    @Test func whatMayPassIsTriedAgain() async throws {
        let answer = ScriptedServer.Reaction.ok(#"[{"index":1,"score":2}]"#)
        try await with(.answer(503, "busy"), .close, answer) { client, server in
            let relevance = try await client.relevance(query: "q", documents: ["a", "b", "c"])
            #expect(relevance == [nil, 2, nil])
            #expect(server.requests.count == 3)
        }
        let busy = ScriptedServer.Reaction.answer(503, "busy")
        try await with(busy, busy, answer, policy: .question) { client, server in
            #expect(await refusal(client)?.code == .rerankerFailed)
            #expect(server.requests.count == 2)
        }
    }

    @Test(arguments: [400, 401, 404, 422])
    func otherRefusalsAreFinal(status: Int) async throws {
        try await with(.answer(status, #"{"error":{"message":"no such model"}}"#)) { client, server in
            let error = await refusal(client)
            #expect(error?.code == .rerankerFailed)
            #expect(error?.detail.contains("got status \(status): no such model") == true)
            #expect(error?.detail.contains("/rerank was asked for") == (status == 404))
            #expect(server.requests.count == 1)
        }
    }

    @Test func redirectsAreNotFollowed() async throws {
        try await with(.answer(307, "", headers: ["Location": "/elsewhere"]), apiKey: Self.key) { client, server in
            #expect(await refusal(client)?.detail.contains("redirects are not followed") == true)
            #expect(server.requests.count == 1)
        }
    }

    @Test func aServerThatIsAwayIsUnreachable() async throws {
        let url = try await ScriptedServer.with([]) { url, _ in url }
        let client = RerankerClient(try RerankerEndpoint(argument: "bge=\(url)", apiKey: nil), policy: .quick)
        #expect(await refusal(client)?.code == .rerankerUnreachable)
        await client.shutdown()
        #expect(await refusal(client)?.code == .interrupted)
    }

    @Test func silenceEndsInTime() async throws {
        let policy = RetryPolicy(attempts: 1, timeout: .milliseconds(50))
        try await with(.silence, policy: policy) { client, _ in
            let error = await refusal(client)
            #expect(error?.code == .rerankerFailed)
            #expect(error?.detail.contains("no answer within") == true)
        }
    }

    // MARK: The endpoint

    @Test func theKeyIsShownNowhere() async throws {
        let echo = ScriptedServer.Reaction.answer(401, "wrong key \(Self.key)")
        try await with(echo, apiKey: Self.key) { client, _ in
            #expect(await refusal(client).map { "\($0)".contains("sk-s") } == false)
        }
        let endpoint = try RerankerEndpoint(argument: "bge=http://host/v1?token=sk-3", model: "m", apiKey: "sk-4")
        var dumped = ""
        dump([endpoint], to: &dumped)
        for text in ["\(endpoint)", String(reflecting: endpoint), "\([endpoint])", dumped, endpoint.title] {
            #expect(!text.contains("sk-"), "\(text)")
            #expect(text.contains("bge"))
        }
        #expect(endpoint.rerankURL.absoluteString == "http://host/v1/rerank?token=sk-3")
    }

    @Test(arguments: [
        "", "bge", "=http://host", "a b=http://host", "bge=", "bge=host:80", "bge=ftp://host", "bge=http://",
        "bge=infinity+http://host", "bge=http://host/#part", "bge=http://us:sk-1@host", "bge=file:///etc/passwd",
    ])
    func whatIsNoEndpointIsRefusedWithoutRepeatingSecrets(argument: String) {
        let error = #expect(throws: DatastoreError.self) { try RerankerEndpoint(argument: argument, apiKey: "sk-2") }
        #expect(error?.code == .invalidValue)
        #expect(error?.errors.map(\.field) == ["reranker"])
        #expect(error.map { "\($0)".contains("sk-") } == false)
    }
}
