import AsyncHTTPClient
import DatastoreCore
import Foundation
import NIOCore
import NIOHTTP1

/// Asks one server of a model, over HTTP with JSON.
///
/// Make one and keep it: it holds a pool of connections. All its calls may run at once. A try that fails in a way that
/// may pass (no connection, no answer in time, 408, 425, 429, 5xx) is made again as `RetryPolicy` says. Redirects are
/// not followed: the key is for one server.
final class ModelServerClient: Sendable {
    /// Why a call brought no answer.
    struct Failure: Error {
        var error: DatastoreError
        var mayPass = false
        var retryAfter: Duration?
        /// Of the answer, when there was one.
        var status: Int?
    }

    private let server: ModelServer
    private let policy: RetryPolicy
    private let http: HTTPClient

    init(_ server: ModelServer, policy: RetryPolicy) {
        self.server = server
        self.policy = policy
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow, timeout: .init(connect: .seconds(10)))
        // Trying again is ours.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    deinit {
        http.shutdown { _ in }
    }

    /// Ends what is under way and closes all connections; the client cannot be used after.
    func shutdown() async {
        try? await http.shutdown()
    }
}

extension ModelServerClient {
    /// An answer that was read to its end, or as far as it is of interest.
    private struct Answer {
        var status: Int
        var headers: HTTPHeaders
        var body: Data
    }

    /// Posts `body`, and returns the body of a good answer; both are JSON.
    ///
    /// - Parameter byteLimit: an answer that is longer is not read to its end.
    /// - Throws: `Failure` once there is nothing left to try, `DatastoreError` or `CancellationError`.
    func post(_ body: Data, to url: URL, byteLimit: Int) async throws -> Data {
        let request = httpRequest(url, body: body)
        var attempt = 1
        while true {
            do {
                let answer = try await answer(to: request, byteLimit: byteLimit)
                guard (200..<300).contains(answer.status) else { throw refusal(answer, path: url.lastPathComponent) }
                return answer.body
            } catch let failure as Failure where failure.mayPass {
                let jitter = Double.random(in: 0...1)
                guard let pause = policy.pause(after: attempt, asked: failure.retryAfter, jitter: jitter) else {
                    throw failure
                }
                try await Task.sleep(for: pause)
                attempt += 1
            }
        }
    }

    /// - Parameter name: of what was expected, for the message.
    /// - Throws: the failure of this kind of server.
    func decoded<Answer: Decodable>(_ type: Answer.Type, from body: Data, as name: String) throws -> Answer {
        do {
            return try WireJSON.decode(type, from: body)
        } catch let error as DatastoreError {
            throw DatastoreError(server.kind.failed, "\(server.title): got no \(name): \(plain(error.detail))")
        }
    }

    private func httpRequest(_ url: URL, body: Data) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: url.absoluteString)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "Accept", value: "application/json")
        if let key = server.apiKey { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        request.body = .bytes(ByteBuffer(bytes: body))
        return request
    }

    /// Makes one try, within its time.
    private func answer(to request: HTTPClientRequest, byteLimit: Int) async throws -> Answer {
        do {
            return try await withThrowingTaskGroup(of: Answer.self) { group in
                group.addTask { [http, server] in
                    let response = try await http.execute(request, deadline: .distantFuture)
                    let body = try await Self.body(of: response, limit: byteLimit, server: server)
                    return Answer(status: Int(response.status.code), headers: response.headers, body: body)
                }
                group.addTask { [timeout = policy.timeout] in
                    try await Task.sleep(for: timeout)
                    throw HTTPClientError.deadlineExceeded
                }
                defer { group.cancelAll() }
                guard let answer = try await group.next() else { throw CancellationError() }
                return answer
            }
        } catch {
            throw Task.isCancelled ? CancellationError() : wrapping(error)
        }
    }

    /// The whole body of a good answer; of another, the start, which says why.
    private static func body(of response: HTTPClientResponse, limit: Int, server: ModelServer) async throws -> Data {
        let isGood = (200..<300).contains(response.status.code)
        let limit = isGood ? limit : 1 << 16
        var data = Data()
        for try await chunk in response.body {
            if data.count + chunk.readableBytes > limit {
                guard isGood else { return data }
                throw DatastoreError(
                    server.kind.failed, "\(server.title): got an answer of more than \(limit) bytes, expected less")
            }
            data.append(contentsOf: chunk.readableBytesView)
        }
        return data
    }

    /// What an answer other than a good one means.
    private func refusal(_ answer: Answer, path: String) -> Failure {
        let said = plain(Self.message(in: answer.body))
        var detail = "\(server.title): got status \(answer.status)" + (said.isEmpty ? "" : ": \(said)")
        if (300..<400).contains(answer.status) { detail += "; redirects are not followed: give the URL itself" }
        if answer.status == 404 { detail += "; /\(path) was asked for below that URL, which may lack a /v1" }
        return Failure(
            error: DatastoreError(server.kind.failed, detail),
            mayPass: [408, 425, 429].contains(answer.status) || answer.status >= 500,
            retryAfter: answer.headers.first(name: "Retry-After").flatMap(Self.pause(retryAfter:)),
            status: answer.status)
    }

    /// What ended a try without an answer.
    private func wrapping(_ error: any Error) -> any Error {
        func passing(_ code: ErrorCode, _ what: String) -> Failure {
            Failure(error: DatastoreError(code, "\(server.title): \(plain(what))"), mayPass: true)
        }
        switch error {
        case is DatastoreError, is CancellationError:
            return error
        case let error as HTTPClientError:
            switch error {
            case .cancelled, .alreadyShutdown:
                return DatastoreError(.interrupted, "\(server.title): the daemon is stopping")
            case .deadlineExceeded, .readTimeout, .writeTimeout:
                return passing(server.kind.failed, "no answer within \(policy.timeout)")
            case .remoteConnectionClosed:
                return passing(server.kind.failed, "the connection was closed before the answer was complete")
            default:
                return passing(server.kind.unreachable, error.shortDescription)
            }
        case is HTTPParserError:
            return passing(server.kind.failed, "got an answer that is not HTTP")
        case let error as IOError:
            return passing(server.kind.unreachable, "no connection: \(String(cString: strerror(error.errnoCode)))")
        default:
            return passing(server.kind.unreachable, "no connection: \(error)")
        }
    }

    /// The message of an error answer: OpenAI's object, what other servers say instead, or the text itself.
    private static func message(in body: Data) -> String {
        func text(_ value: JSONValue) -> String? {
            switch value {
            case .string(let text): text
            case .object(let fields):
                ["error", "message", "detail", "msg"].lazy.compactMap { fields[$0] }.compactMap(text).first
            case .array(let values): values.lazy.compactMap(text).first
            default: nil
            }
        }
        let json = try? WireJSON.decode(JSONValue.self, from: body)
        return json.flatMap(text) ?? String(decoding: body, as: UTF8.self)
    }

    /// Someone else's words as an error may show them: one line of at most 300 characters, and never the key.
    private func plain(_ text: String) -> String {
        var text = text
        if let key = server.apiKey { text = text.replacing(key, with: "…") }
        let words = text.unicodeScalars.map { scalar -> Character in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned: " "
            default: Character(scalar)
            }
        }
        let line = String(words).split(separator: " ").joined(separator: " ")
        return line.count > 300 ? line.prefix(300) + "…" : line
    }

    /// `Retry-After`: seconds, or a date.
    static func pause(retryAfter value: String) -> Duration? {
        if let seconds = Double(value), seconds.isFinite { return .seconds(min(max(seconds, 0), 86_400)) }
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = .gmt
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        guard let date = format.date(from: value) else { return nil }
        return .seconds(max(0, date.timeIntervalSinceNow))
    }
}
