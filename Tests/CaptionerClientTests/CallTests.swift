import CaptionerClient
import DatastoreCore
import Foundation
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

/// What goes out, and what comes of the answer.
struct CallTests {
    static let answer = QueryAnswer(domain: "street", revision: 12, results: [], shortfall: nil, prompt: "p")
    static let domain = DomainInfo(
        domain: "street", revision: 13, reason: .set, restoredRevision: nil, createdAt: Date(timeIntervalSince1970: 0),
        datastores: [], defaults: QueryDefaults())

    @Test func vectorGoesAsRawBytesWithOptionsInTheURL() async throws {
        try await FakeDaemon.with(.answer(json: Self.answer)) { client, daemon in
            let options = QueryOptions(
                k: 4, excludeImageIDs: ["a&b", "é"], dedupe: .text, minScore: 0.25, prompt: true)
            let answer = try await client.query([1, -2.5], of: "street", options: options)
            #expect(answer == Self.answer)
            let request = try #require(daemon.requests.first)
            #expect(request.head.method == .POST)
            #expect(
                request.head.uri == "/v1/domains/street/query?k=4&exclude_image_id=a%26b&exclude_image_id=%C3%A9"
                    + "&dedupe=text&min_score=0.25&prompt=true")
            #expect(request.head.headers["Content-Type"] == ["application/octet-stream"])
            #expect(Array(request.body.readableBytesView) == [0, 0, 0x80, 0x3F, 0, 0, 0x20, 0xC0])
        }
    }

    @Test func severalVectorsSayHowManyTheyAre() async throws {
        let answers = QueryBatchAnswer(
            domain: "street", revision: 12,
            answers: [QueryBatchItem(Self.answer), QueryBatchItem(error: .example(400, "vector_zero"))])
        try await FakeDaemon.with(.answer(json: answers)) { client, daemon in
            let answer = try await client.query(vectors: [1, 2, 3, 4], count: 2, of: "street")
            #expect(answer == answers)
            #expect(daemon.requests.first?.head.uri == "/v1/domains/street/query?count=2")
        }
    }

    @Test func fewerAnswersThanQuestionsAreNotTakenForAll() async throws {
        let answers = QueryBatchAnswer(domain: "street", revision: 12, answers: [QueryBatchItem(Self.answer)])
        try await FakeDaemon.with(.answer(json: answers), .answer(json: answers)) { client, _ in
            let request = QueryRequest(query: .vector([1, 2]))
            for call in [
                { try await client.query(vectors: [1, 2, 3, 4], count: 2, of: "street") },
                { try await client.queryBatch([request, request], of: "street") },
            ] {
                let error = await #expect(throws: CaptionerError.self) { try await call() }
                #expect(error?.kind == .invalidAnswer)
            }
        }
    }

    @Test(arguments: [(3, 2), (3, 0), (1, -1)])
    func raggedVectorsAreNotSent(numbers: Int, count: Int) async throws {
        try await FakeDaemon.with { client, daemon in
            let error = await #expect(throws: CaptionerError.self) {
                try await client.query(vectors: Array(repeating: 1, count: numbers), count: count, of: "street")
            }
            #expect(error?.code == .vectorsRagged)
            #expect(daemon.requests.isEmpty)
        }
    }

    @Test(arguments: ["", "..", "a/b", "a b", "a?x=1"])
    func nameThatWouldChangeTheURLIsNotSent(name: String) async throws {
        try await FakeDaemon.with { client, daemon in
            let error = await #expect(throws: CaptionerError.self) { try await client.deleteDatastore(name) }
            #expect(error?.code == .invalidName)
            #expect(daemon.requests.isEmpty)
        }
    }

    @Test func numberThatJSONCannotCarryIsNotSent() async throws {
        try await FakeDaemon.with { client, daemon in
            let error = await #expect(throws: CaptionerError.self) {
                try await client.query(QueryRequest(query: .vector([.nan])), of: "street")
            }
            #expect(error?.code == .invalidValue)
            #expect(daemon.requests.isEmpty)
        }
    }

    @Test func switchCarriesTheRevisionThatItExpects() async throws {
        try await FakeDaemon.with(.answer(json: Self.domain), .answer(json: Self.domain)) { client, daemon in
            let request = SetDomainRequest(datastores: [DatastoreBinding(name: "coco", version: 7)])
            let info = try await client.setDomain("street", to: request, ifRevision: 12)
            #expect(info == Self.domain)
            try await client.rollback("street")
            #expect(daemon.requests.map { $0.head.headers["If-Match"] } == [["\"12\""], []])
            #expect(String(buffer: daemon.requests[1].body) == "{}")
        }
    }

    @Test func listIsReadPageByPage() async throws {
        try await FakeDaemon.with(
            .answer(json: Page(items: [Self.domain], nextCursor: "x/y")),
            .answer(json: Page(items: [Self.domain], nextCursor: nil))
        ) { client, daemon in
            let revisions = try await client.revisions(of: "street")
            #expect(revisions.count == 2)
            #expect(
                daemon.requests.map(\.head.uri)
                    == ["/v1/domains/street/revisions", "/v1/domains/street/revisions?cursor=x%2Fy"])
        }
    }

    @Test func limitedListEndsAtItsLimit() async throws {
        let page = Page(items: Array(repeating: Self.domain, count: 2), nextCursor: "x")
        try await FakeDaemon.with(.answer(json: page)) { client, daemon in
            let revisions = try await client.revisions(of: "street", limit: 2)
            #expect(revisions.count == 2)
            #expect(daemon.requests.map(\.head.uri) == ["/v1/domains/street/revisions?limit=2"])
        }
    }

    @Test func listWhoseCursorStandsStillIsRefused() async throws {
        let page = Page(items: [Self.domain], nextCursor: "x")
        try await FakeDaemon.with(.answer(json: page), .answer(json: page)) { client, _ in
            let error = await #expect(throws: CaptionerError.self) { try await client.domains() }
            #expect(error?.kind == .invalidAnswer)
        }
    }

    @Test func refusalSaysWhy() async throws {
        let problem = Problem.example(409, "datastore_exists")
        try await FakeDaemon.with(.answer(409, json: problem)) { client, _ in
            let error = await #expect(throws: CaptionerError.self) {
                try await client.createDatastore(
                    CreateDatastoreRequest(
                        name: "coco", kind: .captions, keys: [KeySpec(name: "text", dim: 4, metric: .cosine)]))
            }
            #expect(error?.problem == problem)
            #expect(error?.code == .datastoreExists)
        }
    }

    @Test func codeOfANewerDaemonIsKept() async throws {
        try await FakeDaemon.with(.answer(400, json: Problem.example(400, "from_the_future"))) { client, _ in
            let error = await #expect(throws: CaptionerError.self) { try await client.domain("street") }
            #expect(error?.code == nil)
            #expect(error?.problem?.code == "from_the_future")
        }
    }

    @Test(arguments: [200, 404])
    func answerOfSomethingElseSaysWhatCame(status: Int) async throws {
        try await FakeDaemon.with(.answer(status, "<html>hello")) { client, _ in
            let error = await #expect(throws: CaptionerError.self) { try await client.status() }
            #expect(error?.kind == .invalidAnswer)
            #expect(error?.detail.contains("status \(status)") == true)
            #expect(error?.detail.contains("<html>hello") == true)
        }
    }

    @Test func removalIsBelievedOnlyWith204() async throws {
        try await FakeDaemon.with(.answer(200, "<html>hello"), .answer(204)) { client, _ in
            await #expect(throws: CaptionerError.self) { try await client.deleteDomain("street") }
            try await client.deleteDomain("street")
        }
    }

    @Test func daemonThatIsNotReadyIsAnAnswer() async throws {
        let readiness = Readiness(status: .loading, detail: "opening versions")
        try await FakeDaemon.with(.answer(503, json: readiness)) { client, daemon in
            let answer = try await client.readiness()
            #expect(answer == readiness)
            #expect(daemon.requests.count == 1)
        }
    }

    @Test(arguments: ["", "127.0.0.1:7411", "localhost", "ftp://host", "http://", "http://host/?a=b", "http://h/#x"])
    func urlOfNoDaemonIsRefused(url: String) {
        let error = #expect(throws: CaptionerError.self) { try CaptionerClient(url: url) }
        #expect(error?.kind == .invalidURL)
    }
}
