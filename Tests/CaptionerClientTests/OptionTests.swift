import CaptionerClient
import DatastoreCore
import Foundation
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

/// How the options of questions go: in the URL of a raw question, or as fields of JSON.
struct OptionTests {
    private static let answer = CallTests.answer
    private static let answers = QueryBatchAnswer(
        domain: "street", revision: 12, answers: [QueryBatchItem(answer), QueryBatchItem(answer)])

    private static let options = QueryOptions(
        k: 4, using: "text", dedupe: Dedupe(text: true, similarity: 0.95), includePending: false,
        mmr: MMR(lambda: 0.5, fetch: 20),
        select: Selection(method: .topAndSample, from: 9, order: .permute, seed: .max), template: "a & b\r\n||")

    @Test func optionsOfARawQuestionGoInTheURL() async throws {
        try await FakeDaemon.with(.answer(json: Self.answer)) { client, daemon in
            _ = try await client.query([1], of: "street", options: Self.options)
            #expect(
                daemon.requests.first?.head.uri
                    == "/v1/domains/street/query?k=4&using=text&dedupe=text%2Csimilarity%3D0.95&include_pending=false"
                    + "&prompt=true&template=a%20%26%20b%0D%0A%7C%7C&mmr=0.5&mmr_fetch=20&select=top_and_sample"
                    + "&select_from=9&order=permute&seed=18446744073709551615")
        }
    }

    @Test func aFilterGoesInTheURLAndALongOneAsJSON() async throws {
        let short = QueryFilter(
            origin: [.human], lang: ["en", "de"],
            payload: ["split": .string("a & b"), "n": .integer(2), "yes": .string("true"), "on": .bool(true)])
        let long = QueryFilter(imageIDs: (0..<300).map { "image-\($0)" })
        try await FakeDaemon.with(
            .answer(json: Self.answer), .answer(json: Self.answer), .answer(json: Self.answer)
        ) { client, daemon in
            for filter in [short, QueryFilter(), long] {
                _ = try await client.query([1], of: "street", options: QueryOptions(filter: filter))
            }
            #expect(
                daemon.requests.map(\.head.uri) == [
                    "/v1/domains/street/query?filter=origin%3Dhuman&filter=lang%3Den&filter=lang%3Dde"
                        + "&filter=payload.n%3D2&filter=payload.on%3Dtrue&filter=payload.split%3D%22a%20%26%20b%22"
                        + "&filter=payload.yes%3D%22true%22",
                    "/v1/domains/street/query?filter=none", "/v1/domains/street/query",
                ])
            let sent = try WireJSON.decode(QueryRequest.self, from: Data(daemon.requests[2].body.readableBytesView))
            #expect(sent.options.filter == long)
            #expect(try QueryFilter(arguments: short.arguments) == short)
        }
    }

    @Test func mergedVectorsHaveOneAnswer() async throws {
        let answer = QueryAnswer(
            domain: "objects", revision: 1, results: [], shortfall: nil, prompt: nil, names: ["cat", "dog"],
            joined: "cat [SEP] dog")
        try await FakeDaemon.with(.answer(json: answer), .answer(json: answer)) { client, daemon in
            let merged = try await client.query(merging: [1, 2, 3, 4], count: 2, of: "objects")
            #expect(merged == answer)
            let options = QueryOptions(merge: VectorMerge(perVector: 3, limit: 7, separator: " & "))
            _ = try await client.query(merging: [1, 2], count: 2, of: "objects", options: options)
            #expect(
                daemon.requests.map(\.head.uri) == [
                    "/v1/domains/objects/query?merge=true&per_vector=5&limit=32&separator=%20%5BSEP%5D%20&count=2",
                    "/v1/domains/objects/query?merge=true&per_vector=3&limit=7&separator=%20%26%20&count=2",
                ])
            #expect(daemon.requests[0].body.readableBytes == 16)
        }
    }

    @Test func mergeIsNotForAnswersApartNorRaggedVectors() async throws {
        try await FakeDaemon.with { client, daemon in
            let apart = await #expect(throws: CaptionerError.self) {
                try await client.query(
                    vectors: [1, 2], count: 2, of: "objects", options: QueryOptions(merge: VectorMerge()))
            }
            #expect(apart?.code == .invalidValue)
            for count in [0, 3, -1] {
                let ragged = await #expect(throws: CaptionerError.self) {
                    try await client.query(merging: [1, 2, 3, 4], count: count, of: "objects")
                }
                #expect(ragged?.code == .vectorsRagged)
            }
            let several = await #expect(throws: CaptionerError.self) {
                try await client.query(QueryRequest(query: .vectors([1, 2], count: 2)), of: "objects")
            }
            #expect(several?.code == .invalidValue)
            #expect(daemon.requests.isEmpty)
        }
    }

    @Test func whatHasNoPlaceInTheURLGoesAsJSON() async throws {
        let rerank = QueryOptions(k: 2, rerank: Rerank(reranker: "bge", query: "a dog", fetch: 9))
        let long = QueryOptions(template: String(repeating: "x", count: 5000) + "||")
        try await FakeDaemon.with(
            .answer(json: Self.answer), .answer(json: Self.answers), .answer(json: Self.answer),
            .answer(json: Self.answer)
        ) { client, daemon in
            _ = try await client.query([1, -2.5], of: "street", options: rerank)
            _ = try await client.query(vectors: [1, 2, 3, 4], count: 2, of: "street", options: rerank)
            _ = try await client.query(merging: [1, 2], count: 2, of: "street", options: rerank)
            _ = try await client.query([1], of: "street", options: long)
            let path = "/v1/domains/street/query"
            #expect(daemon.requests.map(\.head.uri) == [path, path + "/batch", path, path])
            #expect(daemon.requests.allSatisfy { $0.head.headers["Content-Type"] == ["application/json"] })
            let fields = #""k":2,"query":"#
            let ending = #","rerank":{"fetch":9,"query":"a dog","reranker":"bge"}}"#
            #expect(
                daemon.requests.prefix(3).map(\.text) == [
                    "{" + fields + #"{"vector_base64":"AACAPwAAIMA="}"# + ending,
                    #"{"queries":[{"# + fields + #"{"vector_base64":"AACAPwAAAEA="}"# + ending + ",{" + fields
                        + #"{"vector_base64":"AABAQAAAgEA="}"# + ending + "]}",
                    #"{"k":2,"merge":{"limit":32,"per_vector":5,"separator":" [SEP] "},"query":{"vectors":[[1],[2]]}"#
                        + ending,
                ])
        }
    }

    @Test func fusedAndMergedQuestionsGoAsTheyAreGiven() async throws {
        let fused = QueryRequest(
            query: .fused(.vector([1]), .words(["dog": 2])), options: QueryOptions(fusion: Fusion(method: .sum)))
        let merged = QueryRequest(
            query: .vectors([1, 2], count: 2), options: QueryOptions(merge: VectorMerge()))
        try await FakeDaemon.with(.answer(json: Self.answer), .answer(json: Self.answer)) { client, daemon in
            for request in [fused, merged] {
                _ = try await client.query(request, of: "street")
                let sent = try #require(daemon.requests.last)
                #expect(try WireJSON.decode(QueryRequest.self, from: Data(sent.text.utf8)) == request)
            }
        }
    }
}
