import DatastoreCore
import Foundation
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

@testable import RetrievalEngine

/// What an encoder is asked, what its answers become, and what is tried again.
struct EncoderClientTests {
    static let two: [[Float]] = [[1, -0.5, 3], [0.25, 0, 1e-20]]
    static let key = "sk-secret-0123456789"

    /// The refusal of asking `client` for two texts' vectors of three numbers.
    private func refusal(_ client: EncoderClient) async -> DatastoreError? {
        await #expect(throws: DatastoreError.self) {
            try await client.encode(texts: ["a", "b"], model: "clip", dim: 3)
        }
    }

    // MARK: Requests

    @Test(arguments: EncoderEndpoint.Dialect.allCases)
    func textsAreAskedForAlikeInEachDialect(dialect: EncoderEndpoint.Dialect) async throws {
        try await FakeEncoder.with(.vectors(Self.two), dialect: dialect) { client, server in
            _ = try await client.encode(texts: ["a \"dog\"", "é/ü"], model: "clip/b32", dim: 3)
            let request = try #require(server.requests.first)
            #expect(request.head.method == .POST)
            #expect(request.head.uri == "/v1/embeddings")
            #expect(request.head.headers["Content-Type"] == ["application/json"])
            #expect(request.head.headers["Authorization"] == [])
            #expect(
                request.text == #"{"encoding_format":"base64","input":["a \"dog\"","é/ü"],"model":"clip/b32"}"#)
        }
    }

    @Test(arguments: ["", "/", "/v1/"])
    func embeddingsIsAppendedToAnyBase(path: String) async throws {
        try await FakeEncoder.with(.vectors(Self.two), path: path) { client, server in
            _ = try await client.encode(texts: ["a", "b"], model: "clip", dim: 3)
            #expect(server.requests.first?.head.uri == (path == "/v1/" ? "/v1/embeddings" : "/embeddings"))
        }
    }

    @Test func imagesAreAskedForInTheDialectsThatHaveThem() async throws {
        let image = Data([0x89, 0x50, 0xFF, 0])
        for (dialect, body) in [
            (
                EncoderEndpoint.Dialect.infinity,
                #"{"input":["data:image/png;base64,iVD/AA=="],"modality":"image","model":"clip"}"#
            ),
            (
                .vllm,
                #"{"encoding_format":"float","messages":[{"content":[{"image_url":{"url":"data:image/png;base64,iVD/AA=="},"#
                    + #""type":"image_url"}],"role":"user"}],"model":"clip"}"#
            ),
        ] {
            try await FakeEncoder.with(.vectors([[1, 2, 3]]), dialect: dialect) { client, server in
                let answer = try await client.encode(image: image, mediaType: "image/png", model: "clip", dim: 3)
                #expect(answer.values == [1, 2, 3] && answer.count == 1)
                #expect(server.requests.map(\.text) == [body])
            }
        }
        try await FakeEncoder.with { client, server in
            let error = await #expect(throws: DatastoreError.self) {
                try await client.encode(image: image, mediaType: "image/png", model: "clip", dim: 3)
            }
            #expect(error?.code == .invalidValue)
            #expect(error?.detail.contains("openai dialect has no images") == true)
            #expect(server.requests.isEmpty)
        }
    }

    @Test(arguments: ["text/html", "image/", "image/png;x", "image/png\r\nX: y", ""])
    func whatIsNoImageIsNotSent(mediaType: String) async throws {
        try await FakeEncoder.with(dialect: .vllm) { client, server in
            let error = await #expect(throws: DatastoreError.self) {
                try await client.encode(image: Data(), mediaType: mediaType, model: "clip", dim: 3)
            }
            #expect(error?.code == .invalidValue)
            #expect(server.requests.isEmpty)
        }
    }

    @Test func noTextsMakeNoRequest() async throws {
        try await FakeEncoder.with { client, server in
            let answer = try await client.encode(texts: [], model: "clip", dim: 3)
            #expect(answer == EncodedVectors(values: [], count: 0, dim: 3, model: "clip", revision: nil))
            #expect(server.requests.isEmpty)
        }
    }

    @Test func theKeyIsSentAsBearer() async throws {
        try await FakeEncoder.with(.vectors(Self.two), apiKey: Self.key) { client, server in
            _ = try await client.encode(texts: ["a", "b"], model: "clip", dim: 3)
            #expect(server.requests.first?.head.headers["Authorization"] == ["Bearer \(Self.key)"])
        }
    }

    // MARK: Answers

    @Test(arguments: [false, true])
    func vectorsComeInTheOrderOfIndexes(base64: Bool) async throws {
        let reversed = ScriptedServer.Reaction.vectors(
            Self.two.reversed(), indexes: [1, 0], base64: base64, revision: "r7")
        try await FakeEncoder.with(reversed) { client, _ in
            let answer = try await client.encode(texts: ["a", "b"], model: "clip", dim: 3)
            #expect(
                answer
                    == EncodedVectors(
                        values: Self.two.flatMap { $0 }, count: 2, dim: 3, model: "served", revision: "r7"))
        }
    }

    @Test(arguments: [400, 422])
    func aServerWithoutBase64IsAskedForNumbersFromThenOn(status: Int) async throws {
        let refused = ScriptedServer.Reaction.answer(status, #"{"error":"unknown field encoding_format"}"#)
        try await FakeEncoder.with(refused, .vectors(Self.two), .vectors(Self.two)) { client, server in
            for _ in 1...2 {
                let answer = try await client.encode(texts: ["a", "b"], model: "clip", dim: 3)
                #expect(answer.values == Self.two.flatMap { $0 })
            }
            #expect(server.requests.map { $0.text.contains("encoding_format") } == [true, false, false])
        }
    }

    @Test func aServerThatHasAnsweredBase64IsNotAskedTwice() async throws {
        try await FakeEncoder.with(.vectors(Self.two, base64: true), .answer(400, "too long")) { client, server in
            _ = try await client.encode(texts: ["a", "b"], model: "clip", dim: 3)
            #expect(await refusal(client)?.code == .encoderFailed)
            #expect(server.requests.count == 2)
        }
    }

    @Test func vectorsOfAnotherDimAreAMismatch() async throws {
        for base64 in [false, true] {
            try await FakeEncoder.with(.vectors([[1, 2], [3, 4]], base64: base64)) { client, server in
                let error = await refusal(client)
                #expect(error?.code == .encoderMismatch)
                #expect(error?.detail.contains("got vectors of 2 numbers from clip, expected 3") == true)
                #expect(server.requests.count == 1)
            }
        }
    }

    private static let faults: [(ScriptedServer.Reaction, String)] = [
        (.vectors([[1, 2, 3]]), "got 1 vectors, expected 2"),
        (.vectors(two + [[1, 2, 3]]), "got 3 vectors, expected 2"),
        (.vectors(two, indexes: [1, 1]), "index 1 twice"),
        (.vectors(two, indexes: [0, 2]), "index 2"),
        (.vectors(two, indexes: [0, -1]), "index -1"),
        (.vectors([[1, .nan, 3], [1, 2, 3]], base64: true), "got nan at position 1"),
        (.vectors([[1, 2, 3], [1, 2, -.infinity]], base64: true), "vector 1: got -inf at position 2"),
        (.ok(#"{"data":[{"index":0,"embedding":[1,NaN,3]},{"index":1,"embedding":[1,2,3]}]}"#), "no list"),
        (.ok(#"{"data":[{"index":0,"embedding":[1,null,3]},{"index":1,"embedding":[1,2,3]}]}"#), "no list"),
        (.ok(#"{"data":[{"index":0,"embedding":[1,2,1e300]},{"index":1,"embedding":[1,2,3]}]}"#), "no list"),
        (.ok(#"{"data":[{"index":0,"embedding":"AAA"},{"index":1,"embedding":"AAAA"}]}"#), "base64"),
        (.ok("<html>Sign in</html>"), "no list"), (.ok(""), "no list"), (.ok("{}"), "data"),
    ]

    @Test(arguments: faults)
    func whatAreNotTheVectorsIsRefusedAtOnce(reaction: ScriptedServer.Reaction, part: String) async throws {
        try await FakeEncoder.with(reaction) { client, server in
            let error = await refusal(client)
            #expect(error?.code == .encoderFailed)
            #expect(error?.detail.contains(part) == true, "\(error?.detail ?? "")")
            #expect(error?.detail.hasPrefix("encoder \"clip\" at http://127.0.0.1:") == true)
            #expect(server.requests.count == 1)
        }
    }

    @Test func anAnswerThatIsFarTooLargeIsNotReadToItsEnd() async throws {
        let huge = ScriptedServer.Reaction.ok(String(repeating: " ", count: 4 << 20))
        try await FakeEncoder.with(huge) { client, _ in
            let error = await refusal(client)
            #expect(error?.code == .encoderFailed)
            #expect(error?.detail.contains("more than") == true)
        }
    }

    // MARK: Trying again

    @Test(arguments: [408, 425, 429, 500, 502, 503, 504])
    func whatMayPassIsTriedAgain(status: Int) async throws {
        let busy = ScriptedServer.Reaction.answer(status, "busy")
        try await FakeEncoder.with(busy, .close, busy, .vectors(Self.two)) { client, server in
            let answer = try await client.encode(texts: ["a", "b"], model: "clip", dim: 3)
            #expect(answer.count == 2)
            #expect(Set(server.requests.map(\.text)).count == 1)
            #expect(server.requests.count == 4)
        }
    }

    @Test func retryAfterIsHeard() async throws {
        let busy = ScriptedServer.Reaction.answer(503, "busy", headers: ["Retry-After": "0"])
        let policy = RetryPolicy(attempts: 2, firstPause: .seconds(3600), longestPause: .seconds(3600))
        try await FakeEncoder.with(busy, .vectors(Self.two), policy: policy) { client, server in
            _ = try await client.encode(texts: ["a", "b"], model: "clip", dim: 3)
            #expect(server.requests.count == 2)
        }
    }

    @Test func theLastFailureIsThrownWhenTriesAreUsedUp() async throws {
        let busy = ScriptedServer.Reaction.answer(503, #"{"error":{"message":"loading the model"}}"#)
        try await FakeEncoder.with(busy, busy, busy, busy) { client, server in
            let error = await refusal(client)
            #expect(error?.code == .encoderFailed)
            #expect(error?.detail.hasSuffix("got status 503: loading the model") == true)
            #expect(server.requests.count == 4)
        }
    }

    @Test(arguments: [401, 403, 404, 413, 418])
    func otherRefusalsAreFinal(status: Int) async throws {
        try await FakeEncoder.with(.answer(status, "no"), apiKey: Self.key) { client, server in
            let error = await refusal(client)
            #expect(error?.code == .encoderFailed)
            #expect(error?.detail.contains("got status \(status): no") == true)
            #expect(server.requests.count == 1)
        }
    }

    @Test(arguments: [
        (#"{"error":{"message":"no such model","type":"x","code":null}}"#, "no such model"),
        (#"{"error":"no such model"}"#, "no such model"), (#"{"message":"no such model"}"#, "no such model"),
        (#"{"detail":[{"loc":["body"],"msg":"too long"}]}"#, "too long"),
        ("plain\u{1B}[31m\r\n words", "plain [31m words"),
        (String(repeating: "x", count: 1000), String(repeating: "x", count: 300) + "…"),
    ])
    func aRefusalSaysWhatTheServerSaid(body: String, said: String) async throws {
        try await FakeEncoder.with(.answer(403, body)) { client, _ in
            #expect(await refusal(client)?.detail.hasSuffix("got status 403: \(said)") == true)
        }
    }

    @Test func aPermanentRefusalIsFinalForNumbersToo() async throws {
        let refused = ScriptedServer.Reaction.answer(400, "no such model")
        try await FakeEncoder.with(refused, refused) { client, server in
            #expect(await refusal(client)?.detail.hasSuffix("no such model") == true)
            #expect(server.requests.count == 2)
        }
    }

    @Test(arguments: [301, 302, 307, 308])
    func redirectsAreNotFollowed(status: Int) async throws {
        let moved = ScriptedServer.Reaction.answer(status, "", headers: ["Location": "/elsewhere"])
        try await FakeEncoder.with(moved, apiKey: Self.key) { client, server in
            let error = await refusal(client)
            #expect(error?.code == .encoderFailed)
            #expect(error?.detail.contains("redirects are not followed") == true)
            #expect(server.requests.count == 1)
        }
    }

    @Test func silenceTimesOutAndIsTriedAgain() async throws {
        var policy = RetryPolicy.quick
        policy.attempts = 2
        policy.timeout = .milliseconds(200)
        try await FakeEncoder.with(.silence, .silence, policy: policy) { client, server in
            let error = await refusal(client)
            #expect(error?.code == .encoderFailed)
            #expect(error?.detail.contains("no answer within") == true)
            #expect(server.requests.count == 2)
        }
    }

    @Test(arguments: ["127.0.0.1", "localhost"])
    func nothingListeningIsUnreachable(host: String) async throws {
        let port = try #require(Self.freePort())
        let client = EncoderClient(
            try EncoderEndpoint(argument: "clip=http://\(host):\(port)/v1?secret=1", apiKey: Self.key), policy: .quick)
        let error = await refusal(client)
        #expect(error?.code == .encoderUnreachable)
        #expect(error?.detail.hasPrefix("encoder \"clip\" at http://\(host):\(port)/v1: ") == true)
        #expect(error?.detail.contains("secret") == false)
        await client.shutdown()
    }

    @Test func aCancelledCallStopsAtOnce() async throws {
        try await FakeEncoder.with(.silence) { client, server in
            let call = Task { try await client.encode(texts: ["a"], model: "clip", dim: 3) }
            while server.requests.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
            call.cancel()
            await #expect(throws: CancellationError.self) { try await call.value }
        }
        let patient = RetryPolicy(firstPause: .seconds(3600), longestPause: .seconds(3600))
        try await FakeEncoder.with(.answer(503, ""), policy: patient) { client, server in
            let call = Task { try await client.encode(texts: ["a"], model: "clip", dim: 3) }
            while server.requests.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
            call.cancel()
            await #expect(throws: CancellationError.self) { try await call.value }
            #expect(server.requests.count == 1)
        }
    }

    @Test func afterShutdownNothingIsSent() async throws {
        try await FakeEncoder.with(.vectors(Self.two)) { client, server in
            await client.shutdown()
            await client.shutdown()
            #expect(await refusal(client)?.code == .interrupted)
            #expect(server.requests.isEmpty)
        }
    }

    // MARK: The key

    @Test func theKeyIsInNoError() async throws {
        let echo = "wrong key \(Self.key) in Bearer \(Self.key)"
        let reactions: [ScriptedServer.Reaction] = [
            .answer(401, echo), .answer(400, #"{"error":{"message":"\#(echo)"}}"#), .answer(503, echo), .ok(echo),
            .answer(302, echo), .vectors([[1]]), .close,
            .answer(403, String(repeating: "x", count: 290) + Self.key),
        ]
        for reaction in reactions {
            try await FakeEncoder.with(reaction, reaction, reaction, reaction, apiKey: Self.key) { client, _ in
                let error = await refusal(client)
                #expect(error.map { "\($0)".contains("sk-s") } == false)
            }
        }
    }

    /// A port that nothing listens on: the system has just given it away and taken it back.
    private static func freePort() -> Int? {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(server) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(server, address, length) == 0 && getsockname(server, address, &length) == 0
            }
        }
        return isBound ? Int(UInt16(bigEndian: address.sin_port)) : nil
    }
}
