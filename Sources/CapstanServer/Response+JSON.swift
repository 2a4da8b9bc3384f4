import DatastoreCore
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

extension Response {
    /// A value as JSON.
    static func json(
        _ value: some Encodable, status: HTTPResponse.Status = .ok, contentType: String = "application/json"
    ) throws -> Response {
        Response(
            status: status, headers: [.contentType: contentType],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try WireJSON.encode(value))))
    }
}

extension Request {
    /// Type and subtype of the body, lower case, without parameters.
    var mediaType: String? {
        headers[.contentType]?.split(separator: ";").first?.trimmingCharacters(in: .whitespaces).lowercased()
    }

    /// The whole body as a JSON value; an empty body reads as `{}`.
    ///
    /// - Throws: `body_too_large`, `invalid_json`, `unknown_field`, `missing_field`, `invalid_value`.
    func json<Value: Decodable>(_ type: Value.Type, upTo limit: Int) async throws -> Value {
        let body = try await bytes(upTo: limit)
        return try WireJSON.decode(type, from: body.readableBytes == 0 ? Data("{}".utf8) : Data(body.readableBytesView))
    }

    /// The whole body.
    ///
    /// - Throws: `body_too_large`, saying the limit.
    func bytes(upTo limit: Int) async throws -> ByteBuffer {
        do {
            return try await body.collect(upTo: limit)
        } catch is NIOTooManyBytesError {
            throw DatastoreError(.bodyTooLarge, "the body is over \(limit) bytes, the limit of this call; split it")
        }
    }
}
