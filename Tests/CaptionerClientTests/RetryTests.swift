import DatastoreCore
import Foundation
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

@testable import CaptionerClient

/// What is repeated, how often, and what never is.
struct RetryTests {
    static let page = Page<DomainInfo>(items: [], nextCursor: nil)
    static let answer = QueryAnswer(domain: "street", revision: 1, results: [], shortfall: nil, prompt: nil)

    static func overloaded(retryAfter: String?) throws -> ScriptedServer.Reaction {
        let body = String(decoding: try WireJSON.encode(Problem.example(503, "overloaded")), as: UTF8.self)
        return .answer(503, body, headers: retryAfter.map { ["Retry-After": $0] } ?? [:])
    }

    @Test func pausesDoubleUpToTheirBound() {
        let configuration = CaptionerClient.Configuration(
            retries: 4, retryDelay: .milliseconds(100), maximumRetryDelay: .milliseconds(300))
        let failure = CaptionerError(.unreachable, "gone")
        let delays = (1...5).map { configuration.delay(beforeRetry: $0, after: failure, jitter: 1) }
        #expect(delays == [.milliseconds(100), .milliseconds(200), .milliseconds(300), .milliseconds(300), nil])
        #expect(configuration.delay(beforeRetry: 1, after: failure, jitter: 0) == .milliseconds(50))
    }

    @Test(
        arguments: [(503, 2, 2), (503, 6, nil), (503, nil, nil), (429, 2, nil), (400, nil, nil)] as [(Int, Int?, Int?)])
    func refusalIsRepeatedOnlyWhenTheDaemonSaysSo(status: Int, retryAfter: Int?, expected: Int?) {
        let failure = CaptionerError(
            refused: .example(status, "overloaded"), retryAfter: retryAfter.map { .seconds($0) })
        let delay = CaptionerClient.Configuration().delay(beforeRetry: 1, after: failure, jitter: 0)
        #expect(delay == expected.map { .seconds($0) })
    }

    @Test func nothingElseIsRepeated() {
        for kind in [CaptionerError.Kind.timedOut, .invalidAnswer, .unreadableFile, .invalidURL] {
            let failure = CaptionerError(kind, "no")
            #expect(CaptionerClient.Configuration().delay(beforeRetry: 1, after: failure, jitter: 0) == nil)
        }
    }

    @Test func readIsRepeatedWhenTheConnectionBreaks() async throws {
        try await FakeDaemon.with(.close, .close, .answer(json: Self.page)) { client, daemon in
            let domains = try await client.domains()
            #expect(domains.isEmpty)
            #expect(daemon.requests.count == 3)
        }
    }

    @Test func questionIsRepeatedWithItsBody() async throws {
        try await FakeDaemon.with(.close, .answer(json: Self.answer)) { client, daemon in
            let answer = try await client.query([1, 2], of: "street")
            #expect(answer == Self.answer)
            #expect(daemon.requests.map(\.body.readableBytes) == [8, 8])
        }
    }

    @Test func readIsRepeatedAfter503WithRetryAfter() async throws {
        try await FakeDaemon.with(Self.overloaded(retryAfter: "0"), .answer(json: Self.page)) { client, daemon in
            let domains = try await client.domains()
            #expect(domains.isEmpty)
            #expect(daemon.requests.count == 2)
        }
    }

    @Test func refusalIsThrownWhenRetriesAreUsedUp() async throws {
        let overloaded = try Self.overloaded(retryAfter: "0")
        try await FakeDaemon.with(overloaded, overloaded, overloaded) { client, daemon in
            let error = await #expect(throws: CaptionerError.self) { try await client.domains() }
            #expect(error?.code == .overloaded)
            #expect(error?.retryAfter == .zero)
            #expect(daemon.requests.count == 3)
        }
    }

    @Test func longerRetryAfterThanTheBoundIsNotWaitedFor() async throws {
        try await FakeDaemon.with(Self.overloaded(retryAfter: "60")) { client, daemon in
            let error = await #expect(throws: CaptionerError.self) { try await client.domains() }
            #expect(error?.retryAfter == .seconds(60))
            #expect(daemon.requests.count == 1)
        }
    }

    @Test func changeIsNeverRepeated() async throws {
        let request = SetDomainRequest(datastores: [DatastoreBinding(name: "coco")])
        for reaction in [ScriptedServer.Reaction.close, try Self.overloaded(retryAfter: "0")] {
            try await FakeDaemon.with(reaction) { client, daemon in
                await #expect(throws: CaptionerError.self) { try await client.setDomain("street", to: request) }
                #expect(daemon.requests.count == 1)
            }
        }
    }

    @Test func silenceTimesOut() async throws {
        let configuration = CaptionerClient.Configuration(timeout: .milliseconds(200))
        try await FakeDaemon.with(.silence, configuration: configuration) { client, daemon in
            let error = await #expect(throws: CaptionerError.self) { try await client.domains() }
            #expect(error?.kind == .timedOut)
            #expect(daemon.requests.count == 1)
        }
    }

    @Test func nothingListeningIsUnreachableAndNoTimeout() async throws {
        let port = try await FakeDaemon.with { client, _ in client.url.port ?? 0 }
        let error = await #expect(throws: CaptionerError.self) {
            try await CaptionerClient(url: "http://127.0.0.1:\(port)", configuration: .quick).domains()
        }
        #expect(error?.kind == .unreachable)
    }

    @Test func cancelledCallThrowsCancellationError() async throws {
        try await FakeDaemon.with(.silence) { client, daemon in
            let call = Task { try await client.domains() }
            while daemon.requests.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
            call.cancel()
            await #expect(throws: CancellationError.self) { try await call.value }
        }
    }
}
