import DatastoreCore
import Foundation
import HTTPTypes
import Testing

/// What is refused of datastores, versions and jobs.
struct RefusedDatastoreTests {
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

    @Test(
        arguments: try [
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
            "expected 1 to 16"),
        create(
            "one key twice", #"{"name": "new", "kind": "captions", "keys": [\#(key), \#(key)]}"#, .invalidValue,
            field: "keys.name", "got one twice"),
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
            name: "a tag that there is not", method: .get, path: "/v1/datastores/tiny/versions/golden",
            status: 404, code: .unknownTag, field: "version", words: ["golden", "expected a number, a tag or latest"]),
        Refusal(
            name: "a tag that is a number", method: .put, path: "/v1/datastores/tiny/versions/1/tags/7",
            status: 400, code: .invalidName, field: "tag"),
        Refusal(
            name: "the removal of a version that a domain answers from", method: .delete,
            path: "/v1/datastores/tiny/versions/latest", status: 409, code: .versionInUse, words: ["tiny@", "newest"]),
        Refusal(
            name: "a comparison with nothing", method: .get, path: "/v1/datastores/tiny/versions/1/diff",
            status: 400, code: .missingField, field: "from"),
        Refusal(
            name: "a comparison with too many samples", method: .get,
            path: "/v1/datastores/tiny/versions/1/diff?from=1&samples=101", status: 400, code: .invalidValue,
            field: "samples"),
        Refusal(
            name: "a garbage collection of what is not there", path: "/v1/gc",
            body: .json(#"{"datastores": ["nope"]}"#),
            status: 404, code: .unknownDatastore),
        Refusal(
            name: "a retention of nothing", method: .patch, path: "/v1/datastores/tiny",
            body: .json(#"{"retention": {"keep_last": 0}}"#), status: 400, code: .invalidValue,
            field: "retention.keep_last"),
        Refusal(
            name: "a version of what is not there", method: .get, path: "/v1/datastores/nope/versions/1", status: 404,
            code: .unknownDatastore),
        Refusal(
            name: "a build with an option that there is not", path: "/v1/datastores/tiny/versions",
            body: .json(#"{"if_chnged": true}"#), status: 400, code: .unknownField, field: "if_chnged"),
        Refusal(
            name: "a build of nothing at all", path: "/v1/datastores/empty/versions", status: 409,
            code: .nothingToBuild, words: ["empty"]),
        Refusal(
            name: "a build of what is not there", path: "/v1/datastores/nope/versions", status: 404,
            code: .unknownDatastore),
        Refusal(name: "a job that is not there", method: .get, path: "/v1/jobs/nope", status: 404, code: .unknownJob),
        Refusal(
            name: "rejects of a job that is not there", method: .get, path: "/v1/jobs/..%2Fx/rejects", status: 404,
            code: .unknownJob),
        Refusal(
            name: "a page of another site", path: "/v1/datastores/empty/versions",
            headers: ["Origin": "https://evil.example"], status: 403, code: .foreignRequest,
            words: ["got Origin https://evil.example", "expected none or a loopback address"]),
        Refusal(
            name: "a path that is not there", method: .get, path: "/v1/datastore", status: 404, code: .notFound,
            words: ["/openapi.yaml"]),
        Refusal(
            name: "a method that is not there", method: .delete, path: "/v1/datastores", status: 404, code: .notFound),
    ])
    func callsOnDatastoresAreRefused(_ refusal: Refusal) async throws { try await refusal.check() }
}
