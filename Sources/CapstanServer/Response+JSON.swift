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

extension Response {
    /// An answer of the query path as JSON.
    static func answer(_ answer: some WrittenAnswer) throws -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try answer.json())))
    }
}

extension Request {
    /// Type and subtype of the body, lower case, without parameters.
    var mediaType: String? {
        headers[.contentType].map { type in
            let end = type.utf8.firstIndex(of: UInt8(ascii: ";")) ?? type.utf8.endIndex
            // Plain as a rule: Foundation's white space and Swift's cases take longer than the rest of reading a request.
            let isPlain = type.utf8[..<end].allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x2F || $0 == 0x2D }
            return isPlain
                ? String(type[..<end]) : type[..<end].trimmingCharacters(in: .whitespaces).lowercased()
        }
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
