import DatastoreCore
import Foundation
import Testing

/// A field of the wrong kind, range or name is refused in the API's own words, with what was got and where.
struct RefusedFieldTests {
    private func refused(
        _ path: String, _ body: Body, _ code: ErrorCode, field: String, saying words: [String] = [],
        butNot names: [String] = []
    ) async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let answer =
                path == "/v1/domains/street" ? try await server.put(path, body) : try await server.post(path, body)
            let problem = try answer.expectProblem(400, code, field: field, saying: words)
            for name in names { #expect(!problem.detail.contains(name), "\(problem.detail)") }
        }
    }

    @Test(arguments: [
        (#"{"query": {"vector": [1, 0, 0, 0]}, "k": "four"}"#, "k", ["got", "four"]),
        (#"{"query": {"vector": "x"}}"#, "query.vector", ["got", "array"]),
        (#"{"query": {"vector": [1, "x", 0, 0]}}"#, "query.vector[1]", ["got", "number"]),
        (#"{"query": {"vector": [1, 0, 0, 0]}, "dedupe": "picture"}"#, "dedupe", ["picture", "none", "text", "image"]),
        (#"{"query": [1, 2]}"#, "query", ["object"]),
    ])
    func valuesOfTheWrongKindAreNamedInTheWordsOfTheAPI(_ body: String, _ field: String, _ words: [String]) async throws
    {
        try await refused(
            "/v1/domains/street/query", .json(body), .invalidValue, field: field, saying: words,
            butNot: ["Int", "Array<", "Dictionary<", "Dedupe", "Float", "String"])
    }

    @Test(arguments: [
        (#"{"query": {"vector": [1, 0, 0, 0]}, "k": 1.5}"#, "k"),
        (#"{"query": {"vector": [1, 0, 0, 0]}, "k": 99999999999999999999}"#, "k"),
        (#"{"query": {"vector": [1e39, 0, 0, 0]}}"#, "query.vector[0]"),
    ])
    func numbersThatDoNotFitAreInvalidValues(_ body: String, _ field: String) async throws {
        try await refused("/v1/domains/street/query", .json(body), .invalidValue, field: field)
    }

    @Test(arguments: [
        ("/v1/domains/street", #"{"datastores": [{"name": "tiny", "versions": 1}]}"#, "datastores[0].versions"),
        ("/v1/domains/street/query/batch", #"{"queries": [{"query": {"vektor": [1]}}]}"#, "queries[0].query.vektor"),
    ])
    func unknownFieldsInListsAreNamedWithTheirPosition(_ path: String, _ body: String, _ field: String) async throws {
        try await refused(path, .json(body), .unknownField, field: field)
    }

    @Test(arguments: ["encodr", "type"])
    func unknownFieldsOfAKeyAreRefused(_ name: String) async throws {
        let key = #"{"name": "text", "dim": 4, "metric": "cosine", "\#(name)": "dense"}"#
        try await refused(
            "/v1/datastores", .json(#"{"name": "new", "kind": "captions", "keys": [\#(key)]}"#), .unknownField,
            field: "keys[0].\(name)")
    }

    @Test(arguments: [
        (Body.json(#"{"query": {"vector_base64": "AAAAAAAAAAAAAAAAAAAAAA=="}}"#), "query.vector_base64"),
        (.raw(Data(count: 16)), "body"),
    ])
    func faultsOfAVectorNameTheFieldThatCarriedIt(_ body: Body, _ field: String) async throws {
        try await refused("/v1/domains/street/query", body, .vectorZero, field: field)
    }
}
