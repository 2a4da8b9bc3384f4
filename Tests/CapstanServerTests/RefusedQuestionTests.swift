import DatastoreCore
import Foundation
import Testing

/// Every bad request has its own stable code, says what was got and expected and where, and changes nothing.
struct RefusedQuestionTests {
    private static let good = littleEndian([1, 0, 0, 0])

    @Test(arguments: [
        Refusal.question(
            "three numbers where the key has four", #"{"query": {"vector": [1, 2, 3]}}"#, .vectorDimMismatch,
            field: "query.vector", "got 3", "expected 4"),
        .question(
            "no number at all", #"{"query": {"vector": []}}"#, .missingField, field: "query.vector", "got no numbers",
            "expected a vector"),
        .question("NaN is no JSON", #"{"query": {"vector": [NaN, 1, 0, 0]}}"#, .invalidJSON),
        .question("Infinity is no JSON", #"{"query": {"vector": [Infinity, 1, 0, 0]}}"#, .invalidJSON),
        .question(
            "NaN in base64", #"{"query": {"vector_base64": "\#(base64([1, .nan, 0, 0]))"}}"#, .vectorNotFinite,
            "got nan at position 1", "expected finite numbers"),
        .question(
            "infinity in base64", #"{"query": {"vector_base64": "\#(base64([1, 0, .infinity, 0]))"}}"#,
            .vectorNotFinite, "got inf at position 2", "expected finite numbers"),
        .question(
            "zeros under cosine", #"{"query": {"vector": [0, 0, 0, 0]}}"#, .vectorZero, field: "query.vector",
            "got a vector of zeros", "expected a direction"),
        .question(
            "zeros, one of them negative", #"{"query": {"vector": [0, -0.0, 0, 0]}}"#, .vectorZero,
            field: "query.vector"),
        .question(
            "k 0", #"{"query": {"vector": [1, 0, 0, 0]}, "k": 0}"#, .kOutOfRange, field: "k", "got 0",
            "expected 1 to 1000"),
        .question(
            "k -1", #"{"query": {"vector": [1, 0, 0, 0]}, "k": -1}"#, .kOutOfRange, field: "k", "got -1",
            "expected 1 to 1000"),
        .question(
            "k 1001", #"{"query": {"vector": [1, 0, 0, 0]}, "k": 1001}"#, .kOutOfRange, field: "k", "got 1001",
            "expected 1 to 1000"),
        .question(
            "k as text", #"{"query": {"vector": [1, 0, 0, 0]}, "k": "four"}"#, .invalidValue, field: "k", "expected"),
        .question("half a body", #"{"query": {"vector": [1, 0"#, .invalidJSON),
        .question("text", "four captions please", .invalidJSON),
        .question("bytes after the value", #"{"query": {"vector": [1, 0, 0, 0]}} {}"#, .invalidJSON),
        .question("an empty body", "", .missingField, field: "query", "required"),
        .question("an empty object", "{}", .missingField, field: "query", "required"),
        .question("null as the question", #"{"query": null}"#, .invalidValue, field: "query", "got null"),
        .question(
            "a question without a form", #"{"query": {}}"#, .missingField, field: "query", "expected one of"),
        .question(
            "two forms of one question", #"{"query": {"vector": [1, 0, 0, 0], "vectors": [[1, 0, 0, 0]]}}"#,
            .invalidValue, field: "query", "expected one of", "got vector, vectors"),
        .question(
            "an unknown field at the top", #"{"query": {"vector": [1, 0, 0, 0]}, "min_scor": 1}"#, .unknownField,
            field: "min_scor", "expected one of", "min_score"),
        .question(
            "an unknown field in the question", #"{"query": {"vektor": [1, 0, 0, 0]}}"#, .unknownField,
            field: "query.vektor", "expected one of", "vector_base64"),
        .question(
            "an unknown field in the exclusion",
            #"{"query": {"vector": [1, 0, 0, 0]}, "exclude": {"image_id": ["1"]}}"#, .unknownField,
            field: "exclude.image_id", "expected one of image_ids"),
        .question(
            "ragged vectors", #"{"query": {"vectors": [[1, 0, 0, 0], [1, 0, 0]]}}"#, .vectorsRagged,
            field: "query.vectors[1]", "got 3", "expected 4"),
        .question(
            "several vectors of a wrong length", #"{"query": {"vectors": [[1, 0], [0, 1]]}}"#, .vectorDimMismatch,
            field: "query.vectors", "got 2", "expected 4"),
        .question(
            "one zero vector of several", #"{"query": {"vectors": [[1, 0, 0, 0], [0, 0, 0, 0]]}}"#, .vectorZero,
            field: "query.vectors[1]"),
        .question("no vectors", #"{"query": {"vectors": []}}"#, .noVectors, field: "query.vectors"),
        .question("vectors of no numbers", #"{"query": {"vectors": [[], []]}}"#, .missingField, field: "query.vectors"),
        .question(
            "bad base64", #"{"query": {"vector_base64": "not base64!"}}"#, .invalidBase64,
            field: "query.vector_base64", "got 11 characters"),
        .question(
            "base64 of 5 bytes", #"{"query": {"vector_base64": "AAAAAAA="}}"#, .invalidBase64,
            field: "query.vector_base64", "got 5 bytes", "expected a multiple of 4"),
        .question(
            "a dedupe that no one knows", #"{"query": {"vector": [1, 0, 0, 0]}, "dedupe": "picture"}"#, .invalidValue,
            field: "dedupe"),
        .question(
            "1025 vectors",
            #"{"query": {"vectors": [\#([String](repeating: "[1,0,0,0]", count: 1025).joined(separator: ","))]}}"#,
            .tooManyQueries, field: "query.vectors", "got 1025", "expected 1 to 1024"),
        Refusal(
            name: "an option of raw bodies beside JSON", path: "/v1/domains/street/query?k=4",
            body: .json(#"{"query": {"vector": [1, 0, 0, 0]}}"#), status: 400, code: .unknownField, field: "k"),
        Refusal(
            name: "a domain that is not there", path: "/v1/domains/streat/query",
            body: .json(#"{"query": {"vector": [1, 0, 0, 0]}}"#), status: 404, code: .unknownDomain,
            words: [#""streat""#]),
    ])
    func questionsAreRefused(_ refusal: Refusal) async throws { try await refusal.check() }

    @Test(arguments: [
        Refusal.raw("seven bytes", Data(count: 7), .vectorDimMismatch, field: "body", "got 7 bytes", "expected"),
        .raw("no bytes", Data(), .missingField, field: "body", "expected a vector"),
        .raw("three floats", littleEndian([1, 2, 3]), .vectorDimMismatch, "got 3", "expected 4"),
        .raw("NaN", littleEndian([1, 0, .nan, 0]), .vectorNotFinite, "got nan at position 2", "expected finite"),
        .raw("infinity", littleEndian([-.infinity, 0, 0, 0]), .vectorNotFinite, "got -inf at position 0"),
        .raw("zeros", Data(count: 16), .vectorZero, "got a vector of zeros"),
        .raw(
            "a count that does not divide", littleEndian([1, 0, 0, 0, 1]), options: "?count=2", .vectorDimMismatch,
            field: "body", "got 20 bytes", "expected 2 vectors"),
        .raw(
            "a count that divides wrongly", littleEndian([1, 0, 0, 0, 1, 0]), options: "?count=2", .vectorDimMismatch,
            "got 3", "expected 4"),
        .raw("count 0", good, options: "?count=0", .invalidValue, field: "count", "got 0", "expected 1"),
        .raw("count -1", good, options: "?count=-1", .invalidValue, field: "count", "got -1"),
        .raw("count as text", good, options: "?count=two", .invalidValue, field: "count", #"got "two""#, "expected"),
        .raw(
            "1025 vectors", Data(repeating: 0x3E, count: 1025 * 16), options: "?count=1025", .tooManyQueries,
            "got 1025", "expected 1 to 1024"),
        .raw("k 0", good, options: "?k=0", .kOutOfRange, field: "k", "got 0", "expected 1 to 1000"),
        .raw("k 1001", good, options: "?k=1001", .kOutOfRange, field: "k", "got 1001"),
        .raw("k as text", good, options: "?k=x", .invalidValue, field: "k", #"got "x""#, "expected a whole number"),
        .raw("k without a value", good, options: "?k=", .invalidValue, field: "k", #"got """#),
        .raw(
            "a dedupe that no one knows", good, options: "?dedupe=picture", .invalidValue, field: "dedupe",
            #"got "picture""#, "expected none, text"),
        .raw("min_score NaN", good, options: "?min_score=nan", .invalidValue, field: "min_score", "expected a finite"),
        .raw("a prompt that is no flag", good, options: "?prompt=yes", .invalidValue, field: "prompt", #"got "yes""#),
        .raw("an unknown option", good, options: "?kk=4", .unknownField, field: "kk", "expected one of", "min_score"),
    ])
    func rawQuestionsAreRefused(_ refusal: Refusal) async throws { try await refusal.check() }

    private static func batch(
        _ name: String, _ body: String, options: String = "", _ code: ErrorCode, field: String? = nil,
        _ words: String...
    ) -> Refusal {
        Refusal(
            name: name, path: "/v1/domains/street/query/batch\(options)", body: .json(body), status: 400, code: code,
            field: field, words: words)
    }

    private static let question = #"{"query":{"vector":[1,0,0,0]}}"#

    @Test(arguments: [
        batch("no question", #"{"queries": []}"#, .missingField, field: "queries", "got 0", "expected 1 to 1024"),
        batch("no field", "{}", .missingField, field: "queries"),
        batch(
            "1025 questions",
            #"{"queries": [\#([String](repeating: question, count: 1025).joined(separator: ","))]}"#,
            .tooManyQueries, field: "queries", "got 1025", "expected 1 to 1024"),
        batch("an unknown field", #"{"queries": [], "k": 4}"#, .unknownField, field: "k"),
        batch("an option", #"{"queries": [\#(question)]}"#, options: "?k=4", .unknownField, field: "k"),
        batch(
            "ragged vectors", #"{"queries": [{"query": {"vectors": [[1], [1, 2]]}}]}"#, .vectorsRagged,
            field: "query.vectors[1]"),
    ])
    func batchesAreRefused(_ refusal: Refusal) async throws { try await refusal.check() }

    @Test func aBadQuestionOfABatchSpoilsOnlyItsOwnAnswer() async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let answer = try await server.post(
                "/v1/domains/street/query/batch",
                .json(
                    """
                    {"queries": [
                      {"query": {"vector": [1, 0, 0, 0]}, "k": 1},
                      {"query": {"vector": [0, 0, 0, 0]}},
                      {"query": {"vector": [1, 0]}},
                      {"query": {"vector_base64": "?"}},
                      {"query": {"vectors": [[1, 0, 0, 0]]}},
                      {"query": {"vector": [1, 0, 0, 0]}, "k": 0},
                      {"query": {"vector": [0, 0, 0, 1]}, "k": 1, "prompt": true}]}
                    """))
            #expect(answer.status == 200)
            let batch = try answer.decode(QueryBatchAnswer.self)
            #expect(
                batch.answers.map { $0.results?.map(\.text) } == [
                    ["a man rides a horse"], nil, nil, nil, nil, nil, ["a red bus"],
                ])
            #expect(
                batch.answers.map { $0.error?.code } == [
                    nil, "vector_zero", "vector_dim_mismatch", "invalid_base64", "invalid_value", "k_out_of_range", nil,
                ])
            for error in batch.answers.compactMap(\.error) {
                #expect(error.status == 400)
                #expect(error.requestID == answer.requestID)
                #expect(error.errors.count == 1)
            }
            #expect(batch.answers[6].prompt?.contains("a red bus.") == true)
        }
    }

    @Test func moreExcludedImagesThanTheLimitAreRefused() async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            func excluding(_ count: Int) -> Body {
                let images = (0..<count).map { "\"\($0)\"" }.joined(separator: ",")
                return .json(#"{"query": {"vector": [1, 0, 0, 0]}, "exclude": {"image_ids": [\#(images)]}}"#)
            }
            let path = "/v1/domains/street/query"
            #expect(try await server.post(path, excluding(10_000)).status == 200)
            try await server.post(path, excluding(10_001)).expectProblem(
                400, .invalidValue, field: "exclude.image_ids", saying: ["got 10001", "at most 10000"])
        }
    }

    @Test func moreResultsThanOneAnswerMayCarryAreRefused() async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let questions = [String](repeating: #"{"query": {"vector": [1, 0, 0, 0]}, "k": 1000}"#, count: 132)
            try await server.post(
                "/v1/domains/street/query/batch", .json(#"{"queries": [\#(questions.joined(separator: ","))]}"#)
            ).expectProblem(400, .tooManyQueries, saying: ["got 132000", "at most 131072"])
            let vectors = Body.raw(Data(repeating: 0x3E, count: 132 * 16))
            let path = "/v1/domains/street/query?count=132"
            #expect(try await server.post("\(path)&k=900", vectors).status == 200)
            try await server.post("\(path)&k=1000", vectors).expectProblem(
                400, .tooManyQueries, saying: ["got 132000", "at most 131072"])
        }
    }

    /// Base64 of little-endian floats.
    private static func base64(_ values: [Float]) -> String { littleEndian(values).base64EncodedString() }
}
