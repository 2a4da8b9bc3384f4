import DatastoreCore
import Foundation
import HTTPTypes
import Testing

/// What is refused of domains.
struct RefusedDomainTests {
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
            "a version that is no number", #"{"datastores": [{"name": "tiny", "version": "newest!"}]}"#, .invalidValue,
            field: "datastores.version", #"got "newest!""#, "expected a number"),
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
        set(
            "If-Match of another revision", wide, headers: ["If-Match": "\"9\""], status: 412, .revisionConflict, "1",
            "9"),
        set(
            "If-Match of a domain that is not there", domain: "new", wide, headers: ["If-Match": "\"1\""], status: 412,
            .revisionConflict, "does not exist"),
        set(
            "If-Match without quotes", wide, headers: ["If-Match": "1"], .invalidValue, field: "If-Match", "got 1",
            "expected the ETag"),
        set(
            "If-Match of no number", wide, headers: ["If-Match": "\"x\""], .invalidValue, field: "If-Match", "got \"x\""
        ),
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
        rollback(
            "to a revision that is not there", .json(#"{"to": 9}"#), .unknownRevision, "no revision 9", "newest is 1"),
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
            let both = { (a: String, b: String) in Body.json(#"{"datastores": [{"name": "\#(a)"}, {"name": "\#(b)"}]}"#)
            }
            try await server.put("/v1/domains/mixed", both("a", "b")).expectProblem(
                400, .incompatibleDatastores, field: "datastores", saying: ["encoder", "m@1", "m@2"])
            try await server.put("/v1/domains/mixed", both("c", "ip")).expectProblem(
                400, .incompatibleDatastores, field: "datastores", saying: ["metric", "cosine", "ip"])
            try await server.get("/v1/domains/mixed").expectProblem(404, .unknownDomain)
            // One that names no encoder goes with any.
            #expect(try await server.put("/v1/domains/mixed", both("a", "c")).status == 201)
        }
    }
}
