import DatastoreCore
import Foundation
import HTTPTypes
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
