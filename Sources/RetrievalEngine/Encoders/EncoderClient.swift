import AsyncHTTPClient
import DatastoreCore
package import Foundation
import NIOCore
import NIOHTTP1
import Synchronization

/// Asks one encoder for vectors.
///
/// ```swift
/// let encoder = EncoderClient(try EncoderEndpoint(argument: "clip=infinity+http://127.0.0.1:7997", apiKey: nil))
/// let vectors = try await encoder.encode(texts: ["a dog on a beach"], model: "clip-vit-b32", dim: 512)
/// await encoder.shutdown()
/// ```
///
/// Make one and keep it: it holds a pool of connections. All its calls may run at once. A try that fails in a way that
/// may pass (no connection, no answer in time, 408, 425, 429, 5xx) is made again as `RetryPolicy` says.
package final class EncoderClient: Sendable {
    private enum Encoding {
        /// Base64 is asked for, and numbers when the server refuses.
        case untried
        case base64
        case numbers
    }

    private let endpoint: EncoderEndpoint
    private let policy: RetryPolicy
    private let http: HTTPClient
    private let encoding = Mutex(Encoding.untried)

    package init(_ endpoint: EncoderEndpoint, policy: RetryPolicy = .init()) {
        self.endpoint = endpoint
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
    package func shutdown() async {
        try? await http.shutdown()
    }

    /// The vectors of texts, in order.
    ///
    /// - Parameters:
    ///   - texts: go in one request; none make none.
    ///   - model: as the server calls it.
    ///   - dim: numbers that each vector must have.
    /// - Throws: `encoder_unreachable` when no connection came about, `encoder_mismatch` when vectors are not of `dim`
    ///   numbers, `encoder_failed` when the server refuses or answers anything else, `interrupted` after `shutdown()`,
    ///   `CancellationError` when the task is cancelled.
    package func encode(texts: [String], model: String, dim: Int) async throws -> EncodedVectors {
        guard !texts.isEmpty else {
            return EncodedVectors(values: [], count: 0, dim: dim, model: model, revision: nil)
        }
        let encoding = encoding.withLock { $0 }
        do {
            let vectors = try await send(.texts(texts, base64: encoding != .numbers), model: model, dim: dim)
            if encoding == .untried { self.encoding.withLock { $0 = .base64 } }
            return vectors
        } catch let failure as Failure where encoding == .untried && failure.mayRefuseEncoding {
            do {
                let vectors = try await send(.texts(texts, base64: false), model: model, dim: dim)
                self.encoding.withLock { $0 = .numbers }
                return vectors
            } catch let failure as Failure {
                throw failure.error
            }
        } catch let failure as Failure {
            throw failure.error
        }
    }

    /// The vector of one image.
    ///
    /// - Parameters:
    ///   - image: the bytes of the file.
    ///   - mediaType: for example `image/png`.
    /// - Throws: as for texts, and `invalid_value` when the dialect has no images or `mediaType` is none of an image.
    package func encode(image: Data, mediaType: String, model: String, dim: Int) async throws -> EncodedVectors {
        guard mediaType.wholeMatch(of: /image\/[A-Za-z0-9.+-]+/) != nil else {
            throw DatastoreError(
                .invalidValue, "got media type \"\(mediaType.prefix(80))\", expected one of images, such as image/png")
        }
        do {
            let request = EncoderRequest.image("data:\(mediaType);base64,\(image.base64EncodedString())")
            return try await send(request, model: model, dim: dim)
        } catch let failure as Failure {
            throw failure.error
        }
    }
}

extension EncoderClient {
    /// Why one try brought no vectors.
    private struct Failure: Error {
        var error: DatastoreError
        var mayPass = false
        var retryAfter: Duration?
        /// 400 and 422 are the answers of servers that do not know `encoding_format`, or not base64.
        var mayRefuseEncoding = false
    }

    /// An answer that was read to its end, or as far as it is of interest.
    private struct Answer {
        var status: Int
        var headers: HTTPHeaders
        var body: Data
    }

    /// - Throws: `Failure` once there is nothing left to try, `DatastoreError` or `CancellationError`.
    private func send(_ request: EncoderRequest, model: String, dim: Int) async throws -> EncodedVectors {
        let httpRequest = httpRequest(body: try request.body(model: model, dialect: endpoint.dialect))
        let byteLimit = EncoderAnswer.byteLimit(count: request.count, dim: dim)
        var attempt = 1
        while true {
            do {
                let answer = try await answer(to: httpRequest, byteLimit: byteLimit)
                guard (200..<300).contains(answer.status) else { throw refusal(answer) }
                return try decoded(answer.body).vectors(
                    count: request.count, dim: dim, model: model, title: endpoint.title)
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

    private func httpRequest(body: Data) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: endpoint.embeddingsURL.absoluteString)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "Accept", value: "application/json")
        if let key = endpoint.apiKey { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        request.body = .bytes(ByteBuffer(bytes: body))
        return request
    }

    /// Makes one try, within its time.
    private func answer(to request: HTTPClientRequest, byteLimit: Int) async throws -> Answer {
        do {
            return try await withThrowingTaskGroup(of: Answer.self) { group in
                group.addTask { [http, title = endpoint.title] in
                    let response = try await http.execute(request, deadline: .distantFuture)
                    let body = try await Self.body(of: response, limit: byteLimit, title: title)
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
    private static func body(of response: HTTPClientResponse, limit: Int, title: String) async throws -> Data {
        let isGood = (200..<300).contains(response.status.code)
        let limit = isGood ? limit : 1 << 16
        var data = Data()
        for try await chunk in response.body {
            if data.count + chunk.readableBytes > limit {
                guard isGood else { return data }
                throw DatastoreError(
                    .encoderFailed, "\(title): got an answer of more than \(limit) bytes, expected less for its vectors"
                )
            }
            data.append(contentsOf: chunk.readableBytesView)
        }
        return data
    }

    private func decoded(_ body: Data) throws -> EncoderAnswer {
        do {
            return try WireJSON.decode(EncoderAnswer.self, from: body)
        } catch let error as DatastoreError {
            throw DatastoreError(
                .encoderFailed, "\(endpoint.title): got no list of embeddings: \(plain(error.detail))")
        }
    }

    /// What an answer other than vectors means.
    private func refusal(_ answer: Answer) -> Failure {
        let said = plain(Self.message(in: answer.body))
        var detail = "\(endpoint.title): got status \(answer.status)" + (said.isEmpty ? "" : ": \(said)")
        if (300..<400).contains(answer.status) { detail += "; redirects are not followed: give the URL itself" }
        if answer.status == 404 { detail += "; /embeddings was asked for below that URL, which may lack a /v1" }
        return Failure(
            error: DatastoreError(.encoderFailed, detail),
            mayPass: [408, 425, 429].contains(answer.status) || answer.status >= 500,
            retryAfter: answer.headers.first(name: "Retry-After").flatMap(Self.pause(retryAfter:)),
            mayRefuseEncoding: [400, 422].contains(answer.status))
    }

    /// What ended a try without an answer.
    private func wrapping(_ error: any Error) -> any Error {
        func passing(_ code: ErrorCode, _ what: String) -> Failure {
            Failure(error: DatastoreError(code, "\(endpoint.title): \(plain(what))"), mayPass: true)
        }
        switch error {
        case is DatastoreError, is CancellationError:
            return error
        case let error as HTTPClientError:
            switch error {
            case .cancelled, .alreadyShutdown:
                return DatastoreError(.interrupted, "\(endpoint.title): the daemon is stopping")
            case .deadlineExceeded, .readTimeout, .writeTimeout:
                return passing(.encoderFailed, "no answer within \(policy.timeout)")
            case .remoteConnectionClosed:
                return passing(.encoderFailed, "the connection was closed before the answer was complete")
            default:
                return passing(.encoderUnreachable, error.shortDescription)
            }
        case is HTTPParserError:
            return passing(.encoderFailed, "got an answer that is not HTTP")
        case let error as IOError:
            return passing(.encoderUnreachable, "no connection: \(String(cString: strerror(error.errnoCode)))")
        default:
            return passing(.encoderUnreachable, "no connection: \(error)")
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
        if let key = endpoint.apiKey { text = text.replacing(key, with: "…") }
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
