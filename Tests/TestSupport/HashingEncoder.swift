package import DatastoreCore
package import Foundation
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization

/// A text encoder that runs anywhere: a server of `/v1/embeddings` whose vectors count hashed words. Texts that share
/// words are near each other, equal texts have equal vectors, and a test can hold, fail and watch it.
package final class HashingEncoder: Sendable {
    package static let model = "hashed-words"
    package static let dim = 64

    private struct State {
        var texts: [String] = []
        var revision: String? = "h1"
        /// Texts that are answered before requests wait; nil holds none.
        var limit: Int?
        var failures = 0
    }

    private let state = Mutex(State())
    private let port = Mutex(0)
    private let known: [String: [Float]]

    private init(known: [String: [Float]]) {
        self.known = known
    }

    /// Runs the encoder while `body` does.
    ///
    /// - Parameter known: vectors of texts that it is to give instead of its own.
    package static func with<Value>(
        known: [String: [Float]] = [:], _ body: (HashingEncoder) async throws -> Value
    ) async throws -> Value {
        let encoder = HashingEncoder(known: known)
        let (ready, started) = AsyncStream.makeStream(of: Void.self)
        let application = Application(
            router: encoder.router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { channel in
                encoder.port.withLock { $0 = channel.localAddress?.port ?? 0 }
                started.finish()
            }, logger: Logger(label: "encoder") { _ in SwiftLogNoOpLogHandler() })
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            for await _ in ready {}
            let result: Result<Value, any Error>
            do {
                result = .success(try await body(encoder))
            } catch {
                result = .failure(error)
            }
            encoder.resume()
            group.cancelAll()
            try? await group.waitForAll()
            return try result.get()
        }
    }

    /// As `capstand --encoder NAME=` takes it.
    package var url: String { "http://127.0.0.1:\(port.withLock { $0 })/v1" }

    /// All texts that were encoded, in the order they came.
    package var texts: [String] { state.withLock { $0.texts } }

    package func set(revision: String?) { state.withLock { $0.revision = revision } }

    /// Answers `limit` texts from now on, and lets the requests after them wait.
    package func hold(after limit: Int) { state.withLock { $0.limit = $0.texts.count + limit } }

    package func resume() { state.withLock { $0.limit = nil } }

    /// Answers the next requests with 503.
    package func fail(_ requests: Int) { state.withLock { $0.failures = requests } }

    /// The vector of a text: a count for each of its words, at a place and with a sign that its hash says, and a small
    /// constant so that no text has none. Of length 1.
    package static func vector(of text: String) -> [Float] {
        var vector = [Float](repeating: 0, count: dim)
        vector[0] = 0.1
        for word in text.lowercased().split(whereSeparator: { !$0.isLetter && !$0.isNumber }) {
            var hash: UInt64 = 0xCBF2_9CE4_8422_2325
            for byte in word.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            hash ^= hash >> 29
            vector[1 + Int(hash % UInt64(dim - 1))] += hash >> 63 == 0 ? 1 : -1
        }
        let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return vector.map { $0 / length }
    }

    /// A picture as this encoder sees it: what is written behind the first bytes of a PNG file.
    package static func picture(of text: String) -> Data { pictureStart + Data(text.utf8) }

    private static let pictureStart = Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])

    /// A question for texts, for pictures as infinity takes them, or for one picture as vLLM does.
    private struct Question: Decodable {
        struct Message: Decodable {
            struct Part: Decodable {
                struct Address: Decodable { var url: String }
                enum CodingKeys: String, CodingKey { case address = "image_url" }
                var address: Address
            }
            var content: [Part]
        }
        var model: String
        var input: [String]?
        var modality: String?
        var messages: [Message]?

        var texts: [String] {
            if let messages { return messages.flatMap(\.content).map { Self.text(ofDataURI: $0.address.url) } }
            return modality == "image" ? (input ?? []).map(Self.text) : input ?? []
        }

        private static func text(ofDataURI uri: String) -> String {
            let base64 = uri.split(separator: ",").last.map(String.init) ?? ""
            let bytes = Data(base64Encoded: base64) ?? Data()
            return String(decoding: bytes.dropFirst(pictureStart.count), as: UTF8.self)
        }
    }

    private struct Answer: Encodable {
        struct Embedding: Encodable {
            var object = "embedding"
            var index: Int
            var embedding: String
        }

        var object = "list"
        var model: String
        var revision: String?
        var data: [Embedding]
    }

    private var router: Router<BasicRequestContext> {
        let router = Router()
        router.post("v1/embeddings") { [self] request, _ in try await answer(request) }
        return router
    }

    private func isHeld(_ count: Int) -> Bool {
        state.withLock { state in
            guard let limit = state.limit else { return false }
            return state.texts.count + count > limit
        }
    }

    private func answer(_ request: Request) async throws -> Response {
        let body = try await request.body.collect(upTo: 16 << 20)
        let question = try JSONDecoder().decode(Question.self, from: Data(body.readableBytesView))
        guard question.model == Self.model else { return Response(status: .notFound) }
        while isHeld(question.texts.count) { try await Task.sleep(for: .milliseconds(5)) }
        let (fails, revision) = state.withLock { state in
            if state.failures > 0 {
                state.failures -= 1
                return (true, String?.none)
            }
            state.texts += question.texts
            return (false, state.revision)
        }
        if fails { return Response(status: .serviceUnavailable) }
        let answer = Answer(
            model: Self.model, revision: revision,
            data: question.texts.enumerated().map {
                Answer.Embedding(index: $0, embedding: QueryVectors.base64(known[$1] ?? Self.vector(of: $1)))
            })
        return Response(
            status: .ok, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try JSONEncoder().encode(answer))))
    }
}
