import AsyncHTTPClient
package import DatastoreCore
package import Foundation
import NIOCore
import NIOHTTP1

/// What came back, whatever its status.
package struct Reply: Sendable, CustomStringConvertible {
    package let status: Int
    package let body: Data

    package struct Refused: Error, CustomStringConvertible {
        package let description: String
    }

    /// The code of a problem; nil when there was none.
    package var code: String? { status < 400 ? nil : (try? WireJSON.decode(Problem.self, from: body))?.code }

    package var description: String { "\(status) \(String(decoding: body.prefix(500), as: UTF8.self))" }

    /// What a call that succeeded answered.
    package func value<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        guard status < 300 else { throw Refused(description: description) }
        return try WireJSON.decode(Value.self, from: body)
    }
}

extension Daemon {
    /// Sends a request as any program may: bytes of any kind to any path.
    package func send(
        _ method: String, _ path: String, _ body: Data? = nil, type: String = "application/json"
    ) async throws -> Reply {
        var request = HTTPClientRequest(url: "http://\(address)\(path)")
        request.method = HTTPMethod(rawValue: method)
        if let body {
            request.headers.add(name: "Content-Type", value: type)
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        let response = try await HTTPClient.shared.execute(request, timeout: .minutes(3))
        let bytes = try await response.body.collect(upTo: 1 << 30)
        return Reply(status: Int(response.status.code), body: Data(bytes.readableBytesView))
    }

    package func post(_ path: String, json value: some Encodable) async throws -> Reply {
        try await send("POST", path, WireJSON.encode(value))
    }

    /// Sends files as the parts of one `multipart/form-data` body.
    package func post(_ path: String, files: [(name: String, content: Data)]) async throws -> Reply {
        let boundary = "part-\(UUID().uuidString)"
        var body = Data()
        for (name, content) in files {
            body += Data(
                "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"; filename=\"\(name)\"\r\n\r\n".utf8)
            body += content + Data("\r\n".utf8)
        }
        body += Data("--\(boundary)--\r\n".utf8)
        return try await send("POST", path, body, type: "multipart/form-data; boundary=\(boundary)")
    }
}
