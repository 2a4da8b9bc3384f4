import DatastoreCore
import Foundation
import HTTPTypes
import Testing

/// What is refused of lists.
struct RefusedListTests {
    private static let lists = [
        "/v1/datastores", "/v1/domains", "/v1/jobs", "/v1/datastores/tiny/versions", "/v1/domains/street/revisions",
    ]

    @Test(
        arguments: lists.flatMap { list in
            [
                Refusal(
                    name: "\(list) limit 0", method: .get, path: "\(list)?limit=0", status: 400, code: .invalidValue,
                    field: "limit", words: ["got 0", "expected 1 to 1000"]),
                Refusal(
                    name: "\(list) limit 1001", method: .get, path: "\(list)?limit=1001", status: 400,
                    code: .invalidValue,
                    field: "limit", words: ["got 1001", "expected 1 to 1000"]),
                Refusal(
                    name: "\(list) limit as text", method: .get, path: "\(list)?limit=ten", status: 400,
                    code: .invalidValue, field: "limit", words: [#"got "ten""#, "expected a whole number"]),
                Refusal(
                    name: "\(list) a cursor that is no base64", method: .get, path: "\(list)?cursor=%25%25",
                    status: 400,
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
}
