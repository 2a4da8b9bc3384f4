import DatastoreCore
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

@testable import RetrievalEngine

/// A server that reacts to each request as it was told to, and remembers what was asked.
final class FakeEncoder: Sendable {
    enum Reaction: Sendable {
        case answer(Int, String, headers: HTTPHeaders = [:])
        case close
        case silence

        static func ok(_ text: String) -> Reaction { .answer(200, text) }
    }

    struct Request: Sendable {
        var head: HTTPRequestHead
        var body = ByteBuffer()

        var text: String { String(buffer: body) }
    }

    private struct State {
        var reactions: ArraySlice<Reaction>
        var requests: [Request] = []
    }

    private let state: Mutex<State>

    private init(_ reactions: [Reaction]) {
        state = Mutex(State(reactions: reactions[...]))
    }

    var requests: [Request] { state.withLock { $0.requests } }

    /// Runs `body` with a client of a server that reacts so, in order; a request too many is met with silence.
    ///
    /// - Parameter endpoint: changes how the server is spoken to.
    @discardableResult
    static func with<Result>(
        _ reactions: Reaction..., dialect: EncoderEndpoint.Dialect = .openai, path: String = "/v1",
        apiKey: String? = nil, policy: RetryPolicy = .quick, body: (EncoderClient, FakeEncoder) async throws -> Result
    ) async throws -> Result {
        let server = FakeEncoder(reactions)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(server: server))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = channel.localAddress?.port ?? 0
        let endpoint = try EncoderEndpoint(
            argument: "clip=\(dialect.rawValue)+http://127.0.0.1:\(port)\(path)", apiKey: apiKey)
        let client = EncoderClient(endpoint, policy: policy)
        do {
            let result = try await body(client, server)
            await client.shutdown()
            try await channel.close()
            return result
        } catch {
            await client.shutdown()
            try await channel.close()
            throw error
        }
    }

    private func react(to request: Request) -> Reaction {
        state.withLock { state in
            state.requests.append(request)
            return state.reactions.popFirst() ?? .silence
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let server: FakeEncoder
        private var request: Request?

        init(server: FakeEncoder) {
            self.server = server
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): request = Request(head: head)
            case .body(var bytes): request?.body.writeBuffer(&bytes)
            case .end:
                guard let request else { return }
                respond(server.react(to: request), context: context)
            }
        }

        private func respond(_ reaction: Reaction, context: ChannelHandlerContext) {
            switch reaction {
            case .silence: break
            case .close: context.close(promise: nil)
            case .answer(let status, let text, var headers):
                headers.replaceOrAdd(name: "Content-Length", value: String(text.utf8.count))
                let head = HTTPResponseHead(
                    version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: headers)
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }
}

extension FakeEncoder.Reaction {
    /// OpenAI's list of embeddings.
    static func vectors(
        _ vectors: [[Float]], indexes: [Int]? = nil, base64: Bool = false, revision: String? = nil
    ) -> FakeEncoder.Reaction {
        let items = zip(indexes ?? Array(vectors.indices), vectors).map { index, vector in
            let numbers = base64 ? "\"\(QueryVectors.base64(vector))\"" : "\(vector)"
            return "{\"object\":\"embedding\",\"index\":\(index),\"embedding\":\(numbers)}"
        }
        let revision = revision.map { ",\"revision\":\"\($0)\"" } ?? ""
        return .ok(
            "{\"object\":\"list\",\"data\":[\(items.joined(separator: ","))],\"model\":\"served\"\(revision),"
                + "\"usage\":{\"prompt_tokens\":2,\"total_tokens\":2}}")
    }
}

extension RetryPolicy {
    /// Waits for nothing that a test does not wait for.
    static let quick = Self(attempts: 4, firstPause: .milliseconds(1), longestPause: .milliseconds(2))
}
