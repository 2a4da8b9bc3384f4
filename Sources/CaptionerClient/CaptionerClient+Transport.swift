import AsyncHTTPClient
import DatastoreCore
import Foundation
import NIOCore
import NIOHTTP1

extension CaptionerClient {
    /// The largest answer that is read whole.
    private static let maximumAnswerBytes = 1 << 28

    /// Sends `call` and reads its answer as JSON.
    func answer<Value: Decodable & Sendable>(to call: Call, as type: Value.Type = Value.self) async throws -> Value {
        try await send(call) { response in
            let body = try await Self.body(of: response)
            do {
                return try WireJSON.decode(type, from: Data(body.readableBytesView))
            } catch let error as DatastoreError {
                throw CaptionerError(
                    invalidAnswer: "not the answer expected here (\(error.detail))",
                    status: Int(response.status.code), bytes: body)
            }
        }
    }

    /// A line of an answer as JSON.
    static func decode<Value: Decodable>(_ type: Value.Type, line: ByteBuffer) throws -> Value {
        do {
            return try WireJSON.decode(type, from: Data(line.readableBytesView))
        } catch let error as DatastoreError {
            throw CaptionerError(
                invalidAnswer: "not the answer expected here (\(error.detail))", status: 200, bytes: line)
        }
    }

    /// Sends `call`, whose answer says nothing.
    func perform(_ call: Call) async throws {
        var call = call
        call.expectedStatuses = [204]
        try await send(call) { _ = try await Self.body(of: $0) }
    }

    /// Sends `call`, again if it is safe and failed in a way that may pass, and reads what comes with `read`.
    func send<Answer: Sendable>(
        _ call: Call, reading read: @Sendable (HTTPClientResponse) async throws -> Answer
    ) async throws -> Answer {
        let request = try httpRequest(for: call)
        let deadline: NIODeadline = call.isUpload ? .distantFuture : .now() + TimeAmount(configuration.timeout)
        var retry = 1
        while true {
            do {
                let response = try await http.execute(request, deadline: deadline)
                guard call.expectedStatuses.contains(response.status.code) else {
                    throw try await Self.refusal(in: response)
                }
                return try await read(response)
            } catch {
                let error = CaptionerError.wrapping(error, url: url)
                guard call.isSafe, let failure = error as? CaptionerError,
                    let delay = configuration.delay(
                        beforeRetry: retry, after: failure, jitter: .random(in: 0...1)),
                    .now() + TimeAmount(delay) < deadline
                else { throw error }
                try await Task.sleep(for: delay)
                retry += 1
            }
        }
    }

    private func httpRequest(for call: Call) throws -> HTTPClientRequest {
        var location = url.absoluteString
        while location.hasSuffix("/") { location.removeLast() }
        for segment in call.path { location += "/" + Self.escaped(segment) }
        if !call.query.isEmpty {
            location += "?" + call.query.map { "\($0.name)=\(Self.escaped($0.value))" }.joined(separator: "&")
        }
        var request = HTTPClientRequest(url: location)
        request.method = call.method
        request.headers = call.headers
        request.headers.replaceOrAdd(name: "User-Agent", value: configuration.userAgent)
        request.body = call.body
        return request
    }

    /// `text` with all but RFC 3986's unreserved characters escaped.
    private static func escaped(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: .urlUnreserved) ?? ""
    }

    static func body(of response: HTTPClientResponse) async throws -> ByteBuffer {
        do {
            return try await response.body.collect(upTo: maximumAnswerBytes)
        } catch is NIOTooManyBytesError {
            throw CaptionerError(
                .invalidAnswer, "the answer is larger than \(maximumAnswerBytes) bytes; ask for less at once")
        }
    }

    /// What an answer with an error status says.
    private static func refusal(in response: HTTPClientResponse) async throws -> CaptionerError {
        let body = try await body(of: response)
        guard let problem = try? WireJSON.decode(Problem.self, from: Data(body.readableBytesView)) else {
            return CaptionerError(
                invalidAnswer: "not an answer of a Capstan daemon", status: Int(response.status.code), bytes: body)
        }
        let seconds = response.headers.first(name: "Retry-After").flatMap(Int.init)
        return CaptionerError(refused: problem, retryAfter: seconds.map { .seconds($0) })
    }

    /// All items of a list, page by page; at most `limit` of them, when given.
    func all<Item>(_ call: Call, limit: Int? = nil) async throws -> [Item] where Item: Codable & Sendable {
        var items: [Item] = []
        var cursor: String?
        repeat {
            var call = call
            if let limit {
                guard items.count < limit else { break }
                call.query.append(("limit", String(min(limit - items.count, 100))))
            }
            if let cursor { call.query.append(("cursor", cursor)) }
            let page = try await answer(to: call, as: Page<Item>.self)
            guard page.nextCursor == nil || page.nextCursor != cursor else {
                throw CaptionerError(.invalidAnswer, "a list that never ends: its cursor does not move on")
            }
            items += page.items
            cursor = page.nextCursor
        } while cursor != nil
        return items
    }

    /// Returns `name` when it can be a segment of a URL that means only itself.
    ///
    /// - Throws: `invalid_name`, as the daemon would.
    static func checked(_ name: String, field: String) throws -> String {
        do {
            return try ResourceName.validate(name, field: field)
        } catch let error as DatastoreError {
            throw CaptionerError(unsendable: error)
        }
    }
}

extension CharacterSet {
    fileprivate static let urlUnreserved = CharacterSet(
        charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
}
