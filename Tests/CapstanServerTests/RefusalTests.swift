import DatastoreCore
import Foundation
import HTTPTypes
import TestSupport
import Testing

/// A request that is refused, and how.
struct Refusal: Sendable, CustomTestStringConvertible {
    let name: String
    var method = HTTPRequest.Method.post
    let path: String
    var body = Body.none
    var headers: [String: String] = [:]
    let status: Int
    let code: ErrorCode
    var field: String?
    /// What `detail` must say.
    var words: [String] = []
    var testDescription: String { name }

    /// A question to `street` as JSON.
    static func question(
        _ name: String, _ body: String, _ code: ErrorCode, field: String? = nil, _ words: String...
    ) -> Refusal {
        Refusal(
            name: name, path: "/v1/domains/street/query", body: .json(body), status: 400, code: code, field: field,
            words: words)
    }

    /// A question to `street` as bytes.
    static func raw(
        _ name: String, _ data: Data, options: String = "", _ code: ErrorCode, field: String? = nil, _ words: String...
    ) -> Refusal {
        Refusal(
            name: name, path: "/v1/domains/street/query\(options)", body: .raw(data), status: 400, code: code,
            field: field, words: words)
    }

    /// Sends it to a server with the fixtures, and checks that it changed nothing.
    func check(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let before = try await server.state()
            let answer = try await server.send(method, path, body, headers: headers, sourceLocation: sourceLocation)
            try answer.expectProblem(status, code, field: field, saying: words, sourceLocation: sourceLocation)
            #expect(try await server.state() == before, sourceLocation: sourceLocation)
        }
    }
}

/// Every bad request has its own stable code, says what was got and expected and where, and changes nothing.
struct RefusalTests {
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
        .question(
            "k with a fraction", #"{"query": {"vector": [1, 0, 0, 0]}, "k": 1.5}"#, .invalidValue, field: "k"),
        .question(
            "k beyond 64 bits", #"{"query": {"vector": [1, 0, 0, 0]}, "k": 99999999999999999999}"#, .invalidValue,
            field: "k"),
        .question("half a body", #"{"query": {"vector": [1, 0"#, .invalidJSON),
        .question("text", "four captions please", .invalidJSON),
        .question("bytes after the value", #"{"query": {"vector": [1, 0, 0, 0]}} {}"#, .invalidJSON),
        .question("an empty body", "", .missingField, field: "query", "required"),
        .question("an empty object", "{}", .missingField, field: "query", "required"),
        .question("null as the question", #"{"query": null}"#, .invalidValue, field: "query", "got null"),
        .question("a question without a form", #"{"query": {}}"#, .missingField, field: "query", "expected exactly one"),
        .question(
            "two forms of one question", #"{"query": {"vector": [1, 0, 0, 0], "vectors": [[1, 0, 0, 0]]}}"#,
            .invalidValue, field: "query", "expected exactly one", "got 2"),
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
        .question("no vectors", #"{"query": {"vectors": []}}"#, .missingField, field: "query.vectors"),
        .question("vectors of no numbers", #"{"query": {"vectors": [[], []]}}"#, .missingField, field: "query.vectors"),
        .question(
            "bad base64", #"{"query": {"vector_base64": "not base64!"}}"#, .invalidBase64,
            field: "query.vector_base64", "got 11 characters"),
        .question(
            "base64 of 5 bytes", #"{"query": {"vector_base64": "AAAAAAA="}}"#, .invalidBase64,
            field: "query.vector_base64", "got 5 bytes", "expected a multiple of 4"),
        .question(
            "a dedupe that no one knows", #"{"query": {"vector": [1, 0, 0, 0]}, "dedupe": "image"}"#, .invalidValue,
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
            "a dedupe that no one knows", good, options: "?dedupe=image", .invalidValue, field: "dedupe",
            #"got "image""#, "expected none or text"),
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
            #expect(batch.answers.map { $0.results?.map(\.text) } == [
                ["a man rides a horse"], nil, nil, nil, nil, nil, ["a red bus"],
            ])
            #expect(batch.answers.map { $0.error?.code } == [
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

    // MARK: Datastores

    private static func create(
        _ name: String, _ body: String, status: Int = 400, _ code: ErrorCode, field: String? = nil, _ words: String...
    ) -> Refusal {
        Refusal(
            name: name, path: "/v1/datastores", body: .json(body), status: status, code: code, field: field,
            words: words)
    }

    private static func named(_ name: String) throws -> Refusal {
        let quoted = String(decoding: try WireJSON.encode(name), as: UTF8.self)
        return create(
            "the name \(quoted)",
            #"{"name": \#(quoted), "kind": "captions", "keys": [{"name": "text", "dim": 4, "metric": "cosine"}]}"#,
            .invalidName, field: "name", "expected 1 to 64 of")
    }

    @Test(arguments: try [
        named(""), named("a/b"), named(".."), named("."), named(".hidden"), named("-x"), named("a b"),
        named("caf\u{e9}"), named("\u{5217}"), named("a\u{0}"), named("a\n"), named("a%2Fb"),
        named(String(repeating: "a", count: 65)),
    ])
    func namesOfDatastoresAreRefused(_ refusal: Refusal) async throws { try await refusal.check() }

    private static let key = #"{"name": "text", "dim": 4, "metric": "cosine"}"#

    @Test(arguments: [
        create(
            "a name that is taken", #"{"name": "tiny", "kind": "captions", "keys": [\#(key)]}"#, status: 409,
            .datastoreExists, field: "name", #""tiny" exists"#),
        create("no name", #"{"kind": "captions", "keys": [\#(key)]}"#, .missingField, field: "name"),
        create("no kind", #"{"name": "new", "keys": [\#(key)]}"#, .missingField, field: "kind"),
        create("no keys", #"{"name": "new", "kind": "captions"}"#, .missingField, field: "keys"),
        create(
            "keys of none", #"{"name": "new", "kind": "captions", "keys": []}"#, .invalidValue, field: "keys", "got 0",
            "expected one"),
        create(
            "two keys", #"{"name": "new", "kind": "captions", "keys": [\#(key), \#(key)]}"#, .invalidValue,
            field: "keys", "got 2", "expected one"),
        create(
            "a kind that no one knows", #"{"name": "new", "kind": "pictures", "keys": [\#(key)]}"#, .invalidValue,
            field: "kind"),
        create(
            "a metric that no one knows",
            #"{"name": "new", "kind": "captions", "keys": [{"name": "text", "dim": 4, "metric": "l2"}]}"#,
            .invalidValue, field: "keys[0].metric"),
        create(
            "dim 0", #"{"name": "new", "kind": "captions", "keys": [{"name": "text", "dim": 0, "metric": "cosine"}]}"#,
            .invalidValue, field: "keys.dim", "got 0", "expected 1 to 65536"),
        create(
            "dim 65537",
            #"{"name": "new", "kind": "captions", "keys": [{"name": "text", "dim": 65537, "metric": "ip"}]}"#,
            .invalidValue, field: "keys.dim", "got 65537", "expected 1 to 65536"),
        create(
            "a bad name of a key",
            #"{"name": "new", "kind": "captions", "keys": [{"name": "../text", "dim": 4, "metric": "cosine"}]}"#,
            .invalidName, field: "keys.name", #"got "../text""#),
        create(
            "an unknown field", #"{"name": "new", "kind": "captions", "keys": [\#(key)], "dim": 4}"#, .unknownField,
            field: "dim"),
        create("invalid JSON", #"{"name": "new""#, .invalidJSON),
        create("an empty body", "", .missingField, field: "name"),
        Refusal(
            name: "PATCH of a name", method: .patch, path: "/v1/datastores/tiny", body: .json(#"{"name": "other"}"#),
            status: 400, code: .unknownField, field: "name"),
        Refusal(
            name: "PATCH of what is not there", method: .patch, path: "/v1/datastores/nope", body: .json("{}"),
            status: 404, code: .unknownDatastore, words: [#""nope""#]),
        Refusal(
            name: "GET of what is not there", method: .get, path: "/v1/datastores/nope", status: 404,
            code: .unknownDatastore, words: [#""nope""#]),
        Refusal(
            name: "a path out of the data directory", method: .get, path: "/v1/datastores/..%2F..%2Fetc", status: 404,
            code: .unknownDatastore),
        Refusal(
            name: "DELETE of a path", method: .delete, path: "/v1/datastores/..", status: 404, code: .unknownDatastore),
        Refusal(
            name: "DELETE of what is not there", method: .delete, path: "/v1/datastores/nope", status: 404,
            code: .unknownDatastore),
        Refusal(
            name: "DELETE of what a domain is bound to", method: .delete, path: "/v1/datastores/tiny", status: 409,
            code: .datastoreInUse, words: ["street"]),
        Refusal(
            name: "versions of what is not there", method: .get, path: "/v1/datastores/nope/versions", status: 404,
            code: .unknownDatastore),
        Refusal(
            name: "a version that is not there", method: .get, path: "/v1/datastores/tiny/versions/99", status: 404,
            code: .unknownVersion, words: ["tiny", "99"]),
        Refusal(
            name: "version 0", method: .get, path: "/v1/datastores/tiny/versions/0", status: 404,
            code: .unknownVersion),
        Refusal(
            name: "a version that is no number", method: .get, path: "/v1/datastores/tiny/versions/latest",
            status: 400, code: .invalidValue, field: "version", words: [#"got "latest""#, "expected a number"]),
        Refusal(
            name: "a version of what is not there", method: .get, path: "/v1/datastores/nope/versions/1", status: 404,
            code: .unknownDatastore),
        Refusal(
            name: "a build with nothing pending", path: "/v1/datastores/tiny/versions", status: 409,
            code: .nothingToBuild, words: ["tiny"]),
        Refusal(
            name: "a build of what is not there", path: "/v1/datastores/nope/versions", status: 404,
            code: .unknownDatastore),
        Refusal(name: "a job that is not there", method: .get, path: "/v1/jobs/nope", status: 404, code: .unknownJob),
        Refusal(
            name: "rejects of a job that is not there", method: .get, path: "/v1/jobs/..%2Fx/rejects", status: 404,
            code: .unknownJob),
        Refusal(
            name: "a path that is not there", method: .get, path: "/v1/datastore", status: 404, code: .notFound,
            words: ["/openapi.yaml"]),
        Refusal(
            name: "a method that is not there", method: .delete, path: "/v1/datastores", status: 404, code: .notFound),
    ])
    func callsOnDatastoresAreRefused(_ refusal: Refusal) async throws { try await refusal.check() }

    // MARK: Lists

    private static let lists = [
        "/v1/datastores", "/v1/domains", "/v1/jobs", "/v1/datastores/tiny/versions", "/v1/domains/street/revisions",
    ]

    @Test(arguments: lists.flatMap { list in
        [
            Refusal(
                name: "\(list) limit 0", method: .get, path: "\(list)?limit=0", status: 400, code: .invalidValue,
                field: "limit", words: ["got 0", "expected 1 to 1000"]),
            Refusal(
                name: "\(list) limit 1001", method: .get, path: "\(list)?limit=1001", status: 400, code: .invalidValue,
                field: "limit", words: ["got 1001", "expected 1 to 1000"]),
            Refusal(
                name: "\(list) limit as text", method: .get, path: "\(list)?limit=ten", status: 400,
                code: .invalidValue, field: "limit", words: [#"got "ten""#, "expected a whole number"]),
            Refusal(
                name: "\(list) a cursor that is no base64", method: .get, path: "\(list)?cursor=%25%25", status: 400,
                code: .invalidCursor, field: "cursor", words: [#"got "%%""#, "expected a next_cursor"]),
            Refusal(
                name: "\(list) a cursor of bytes that are no text", method: .get, path: "\(list)?cursor=//8=",
                status: 400, code: .invalidCursor, field: "cursor"),
            Refusal(
                name: "\(list) an unknown option", method: .get, path: "\(list)?page=2", status: 400,
                code: .unknownField, field: "page", words: ["expected one of", "cursor", "limit"]),
        ]
    })
    func listsAreRefused(_ refusal: Refusal) async throws { try await refusal.check() }

    @Test(arguments: ["/v1/datastores/tiny/versions", "/v1/domains/street/revisions", "/v1/jobs"])
    func cursorsOfAnotherListAreRefused(_ list: String) async throws {
        try await Refusal(
            name: list, method: .get, path: "\(list)?cursor=\(Data("everyday".utf8).base64EncodedString())",
            status: 400, code: .invalidCursor, field: "cursor"
        ).check()
    }

    @Test func statesOfJobsThatNoOneKnowsAreRefused() async throws {
        try await Refusal(
            name: "state", method: .get, path: "/v1/jobs?state=done", status: 400, code: .invalidValue, field: "state",
            words: [#"got "done""#, "expected one of queued, running"]
        ).check()
    }

    // MARK: Domains

    private static func set(
        _ name: String, domain: String = "street", _ body: String, headers: [String: String] = [:], status: Int = 400,
        _ code: ErrorCode, field: String? = nil, _ words: String...
    ) -> Refusal {
        Refusal(
            name: name, method: .put, path: "/v1/domains/\(domain)", body: .json(body), headers: headers,
            status: status, code: code, field: field, words: words)
    }

    private static let wide = #"{"datastores": [{"name": "wide"}]}"#

    @Test(arguments: [
        "a%2Fb", "..", "%2e%2e", ".hidden", "-x", "a%20b", "caf%C3%A9", String(repeating: "a", count: 65), "%00",
    ])
    func namesOfDomainsAreRefused(_ name: String) async throws {
        try await Self.set(name, domain: name, Self.wide, .invalidName, field: "domain", "got", "expected 1 to 64 of")
            .check()
    }

    @Test(arguments: [
        set("an empty body", "", .missingField, field: "datastores"),
        set("an empty body for a new domain", domain: "new", "", .missingField, field: "datastores"),
        set("no datastore", #"{"datastores": []}"#, .missingField, field: "datastores", "expected at least one"),
        set(
            "a datastore twice", #"{"datastores": [{"name": "tiny"}, {"name": "tiny", "version": 1}]}"#, .invalidValue,
            field: "datastores", "twice", "expected each once"),
        set(
            "a datastore without a version", #"{"datastores": [{"name": "empty"}]}"#, status: 409, .noVersion,
            #""empty""#),
        set(
            "rows that are in no version yet", domain: "new", #"{"datastores": [{"name": "waiting"}]}"#, status: 409,
            .noVersion, #""waiting""#),
        set(
            "a datastore that is not there", #"{"datastores": [{"name": "tiny"}, {"name": "nope"}]}"#, status: 404,
            .unknownDatastore, #""nope""#),
        set(
            "a version that is not there", #"{"datastores": [{"name": "tiny", "version": 9}]}"#, status: 404,
            .unknownVersion, "9"),
        set(
            "version 0", #"{"datastores": [{"name": "tiny", "version": 0}]}"#, status: 404, .unknownVersion, "0"),
        set(
            "a version that is no number", #"{"datastores": [{"name": "tiny", "version": "newest"}]}"#, .invalidValue,
            field: "datastores.version", #"got "newest""#, "expected a number"),
        set(
            "datastores of other dims", #"{"datastores": [{"name": "tiny"}, {"name": "wide"}]}"#,
            .incompatibleDatastores, field: "datastores", "dim 4", "8"),
        set(
            "k 0 as the default", #"{"datastores": [{"name": "tiny"}], "defaults": {"k": 0}}"#, .kOutOfRange,
            field: "defaults.k", "got 0", "expected 1 to 1000"),
        set(
            "k 1001 as the default", #"{"datastores": [{"name": "tiny"}], "defaults": {"k": 1001}}"#, .kOutOfRange,
            field: "defaults.k", "got 1001"),
        set(
            "an unknown field", #"{"datastores": [{"name": "tiny"}], "default": {}}"#, .unknownField, field: "default",
            "expected one of", "defaults"),
        set(
            "an unknown field of the defaults", #"{"datastores": [{"name": "tiny"}], "defaults": {"kk": 1}}"#,
            .unknownField, field: "defaults.kk", "expected one of"),
        set("invalid JSON", #"{"datastores": [}"#, .invalidJSON),
        set("If-Match of another revision", wide, headers: ["If-Match": "\"9\""], status: 412, .revisionConflict, "1", "9"),
        set(
            "If-Match of a domain that is not there", domain: "new", wide, headers: ["If-Match": "\"1\""], status: 412,
            .revisionConflict, "does not exist"),
        set(
            "If-Match without quotes", wide, headers: ["If-Match": "1"], .invalidValue, field: "If-Match", "got 1",
            "expected the ETag"),
        set("If-Match of no number", wide, headers: ["If-Match": "\"x\""], .invalidValue, field: "If-Match", "got \"x\""),
        set("a weak If-Match", wide, headers: ["If-Match": "W/\"1\""], .invalidValue, field: "If-Match"),
        set("If-Match of nothing", wide, headers: ["If-Match": "\"\""], .invalidValue, field: "If-Match"),
        set("several If-Match", wide, headers: ["If-Match": "\"1\", \"2\""], .invalidValue, field: "If-Match"),
        set("If-Match *", wide, headers: ["If-Match": "*"], .invalidValue, field: "If-Match"),
        set(
            "If-None-Match where there is one", wide, headers: ["If-None-Match": "*"], status: 412, .revisionConflict,
            "exists at revision", "expected none"),
        set(
            "If-None-Match of a tag", wide, headers: ["If-None-Match": "\"1\""], .invalidValue, field: "If-None-Match",
            "expected *"),
        Refusal(
            name: "GET of a domain that is not there", method: .get, path: "/v1/domains/nope", status: 404,
            code: .unknownDomain, words: [#""nope""#]),
        Refusal(
            name: "DELETE of a domain that is not there", method: .delete, path: "/v1/domains/nope", status: 404,
            code: .unknownDomain),
        Refusal(
            name: "revisions of a domain that is not there", method: .get, path: "/v1/domains/nope/revisions",
            status: 404, code: .unknownDomain),
        Refusal(
            name: "rollback of a domain that is not there", path: "/v1/domains/nope/rollback", status: 404,
            code: .unknownDomain),
    ])
    func changesOfDomainsAreRefused(_ refusal: Refusal) async throws { try await refusal.check() }

    @Test(arguments: [
        #"{"datastores": [{"name": "tiny", "versions": 1}]}"#: "datastores[0].versions",
        #"{"queries": [{"query": {"vektor": [1]}}]}"#: "queries[0].query.vektor",
    ])
    func unknownFieldsInListsAreNamedWithTheirPosition(_ body: String, _ field: String) async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let answer =
                if body.contains("queries") {
                    try await server.post("/v1/domains/street/query/batch", .json(body))
                } else {
                    try await server.put("/v1/domains/street", .json(body))
                }
            try answer.expectProblem(400, .unknownField, field: field)
        }
    }

    private static func rollback(
        _ name: String, _ body: Body, headers: [String: String] = [:], status: Int = 404,
        _ code: ErrorCode, field: String? = nil, _ words: String...
    ) -> Refusal {
        Refusal(
            name: name, path: "/v1/domains/street/rollback", body: body, headers: headers, status: status, code: code,
            field: field, words: words)
    }

    @Test(arguments: [
        rollback("at the first revision", .none, .unknownRevision, "first revision", "none before"),
        rollback("at the first revision, with an empty object", .json("{}"), .unknownRevision, "first revision"),
        rollback("to a revision that is not there", .json(#"{"to": 9}"#), .unknownRevision, "no revision 9", "newest is 1"),
        rollback("to revision 0", .json(#"{"to": 0}"#), .unknownRevision, "no revision 0"),
        rollback("to revision -1", .json(#"{"to": -1}"#), .unknownRevision, "no revision -1"),
        rollback("to a text", .json(#"{"to": "first"}"#), status: 400, .invalidValue, field: "to"),
        rollback("an unknown field", .json(#"{"revision": 1}"#), status: 400, .unknownField, field: "revision"),
        rollback(
            "If-Match of another revision", .json(#"{"to": 1}"#), headers: ["If-Match": "\"2\""], status: 412,
            .revisionConflict, "revision 1", "expected 2"),
        rollback(
            "a malformed If-Match", .json(#"{"to": 1}"#), headers: ["If-Match": "1"], status: 400, .invalidValue,
            field: "If-Match"),
    ])
    func rollbacksAreRefused(_ refusal: Refusal) async throws { try await refusal.check() }

    @Test func datastoresOfAnotherSpaceAreRefusedTogether() async throws {
        try await TestServer.run { server in
            let row = [#"{"text": "x", "vector": [1, 0, 0, 0]}"#]
            for (name, key) in [
                ("a", #", "encoder": {"model": "m", "revision": "1"}"#),
                ("b", #", "encoder": {"model": "m", "revision": "2"}"#), ("c", ""),
            ] {
                try await server.create(name, key: key)
                try await server.importing(.rows(row), into: name)
            }
            let keys = #"[{"name": "text", "dim": 4, "metric": "ip"}]"#
            try await server.post("/v1/datastores", .json(#"{"name": "ip", "kind": "captions", "keys": \#(keys)}"#))
            try await server.importing(.rows(row), into: "ip")
            let both = { (a: String, b: String) in Body.json(#"{"datastores": [{"name": "\#(a)"}, {"name": "\#(b)"}]}"#) }
            try await server.put("/v1/domains/mixed", both("a", "b")).expectProblem(
                400, .incompatibleDatastores, field: "datastores", saying: ["encoder", "m@1", "m@2"])
            try await server.put("/v1/domains/mixed", both("c", "ip")).expectProblem(
                400, .incompatibleDatastores, field: "datastores", saying: ["metric", "cosine", "ip"])
            try await server.get("/v1/domains/mixed").expectProblem(404, .unknownDomain)
            // One that names no encoder goes with any.
            #expect(try await server.put("/v1/domains/mixed", both("a", "c")).status == 201)
        }
    }

    /// Base64 of little-endian floats.
    private static func base64(_ values: [Float]) -> String { littleEndian(values).base64EncodedString() }

    /// What was wrong is said in the words of the API, not in those of the program.
    @Test(arguments: [
        (#"{"query": {"vector": [1, 0, 0, 0]}, "k": "four"}"#, "k", ["got", "four"]),
        (#"{"query": {"vector": "x"}}"#, "query.vector", ["got", "array"]),
        (#"{"query": {"vector": [1, "x", 0, 0]}}"#, "query.vector[1]", ["got", "number"]),
        (#"{"query": {"vector": [1, 0, 0, 0]}, "dedupe": "image"}"#, "dedupe", ["image", "none", "text"]),
        (#"{"query": [1, 2]}"#, "query", ["object"]),
        (#"{"query": {"vector": [1e39, 0, 0, 0]}}"#, "query.vector[0]", ["1e39"]),
    ])
    func valuesOfTheWrongKindAreNamedInTheWordsOfTheAPI(_ body: String, _ field: String, _ words: [String]) async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let answer = try await server.post("/v1/domains/street/query", .json(body))
            let problem = try answer.expectProblem(400, .invalidValue, field: field, saying: words)
            for name in ["Int", "Array<", "Dictionary<", "Dedupe", "Swift", "Float", "String", "Double"] {
                #expect(!problem.detail.contains(name), "\(problem.detail)")
            }
        }
    }
}
