import AsyncHTTPClient
import DatastoreCore
import Foundation
import NIOCore
import NIOHTTP1

/// One request to the daemon.
struct Call: Sendable {
    var method: HTTPMethod = .GET
    /// Segments after the daemon's URL.
    var path: [String]
    var query: [(name: String, value: String)] = []
    var headers: HTTPHeaders = [:]
    var body: HTTPClientRequest.Body?
    /// Whether it changes nothing, or the same however often it comes, so that it may be repeated.
    var isSafe = true
    /// Whether the body may take longer to send than an answer may take to come.
    var isUpload = false
    /// Statuses whose body is the answer; any other is an error.
    var expectedStatuses: Set<UInt> = [200, 201, 202]

    static func get(_ path: String..., query: [(name: String, value: String)] = []) -> Call {
        Call(path: path, query: query)
    }

    /// A question: it is sent with POST, and changes nothing.
    static func ask(_ path: String..., query: [(name: String, value: String)] = []) -> Call {
        Call(method: .POST, path: path, query: query)
    }

    static func change(_ method: HTTPMethod, _ path: String..., query: [(name: String, value: String)] = []) -> Call {
        Call(method: method, path: path, query: query, isSafe: false)
    }

    func json(_ value: some Encodable) throws -> Call {
        do {
            return bytes(try WireJSON.encode(value), type: "application/json")
        } catch is EncodingError {
            throw CaptionerError(
                unsendable: DatastoreError(.invalidValue, "a number is not finite, which JSON cannot carry"))
        }
    }

    func bytes(_ data: Data, type: String) -> Call {
        var call = self
        call.headers.replaceOrAdd(name: "Content-Type", value: type)
        call.body = .bytes(ByteBuffer(bytes: data))
        return call
    }

    /// Adds `If-Match`, so that the call is refused when the domain has moved on.
    func ifMatch(_ revision: Int?) -> Call {
        guard let revision else { return self }
        var call = self
        call.headers.replaceOrAdd(name: "If-Match", value: "\"\(revision)\"")
        return call
    }

    /// Makes sure that the call counts once, so that it may be repeated.
    func idempotent(_ key: String) -> Call {
        var call = self
        call.headers.replaceOrAdd(name: "Idempotency-Key", value: key)
        call.isSafe = true
        return call
    }

    /// Sends `body` as it is read, and `progress` on the way.
    func upload(_ body: UploadBody, progress: (@Sendable (UploadProgress) -> Void)?) -> Call {
        var call = self
        call.isUpload = true
        call.headers.replaceOrAdd(name: "Content-Type", value: body.type)
        call.body = .stream(
            UploadBody.Chunks(segments: body.segments, totalBytes: body.length, progress: progress),
            length: .known(body.length))
        return call
    }
}
