package import DatastoreCore
package import Foundation
package import NIOCore
package import NIOHTTP1
import NIOPosix
import Synchronization

/// A server that reacts to each request as it was told to, and remembers what was asked.
package final class ScriptedServer: Sendable {
    package enum Reaction: Sendable {
        case answer(Int, String = "", headers: HTTPHeaders = [:])
        case close
        case silence

        package static func answer(_ status: Int = 200, json: some Encodable) throws -> Reaction {
            .answer(status, String(decoding: try WireJSON.encode(json), as: UTF8.self))
        }
    }

    package struct Request: Sendable {
        package var head: HTTPRequestHead
        package var body = ByteBuffer()
        package var text: String { String(buffer: body) }
        package var bytes: Data { Data(body.readableBytesView) }
        package var method: String { head.method.rawValue }
        package var uri: String { head.uri }
        package var contentType: String? { head.headers.first(name: "Content-Type") }
    }

    private struct State {
        var reactions: ArraySlice<Reaction>
        var requests: [Request] = []
    }

    private let state: Mutex<State>

    private init(_ reactions: [Reaction]) {
        state = Mutex(State(reactions: reactions[...]))
    }

    package var requests: [Request] { state.withLock { $0.requests } }

    /// Runs `body` while a server reacts so, in order; a request too many is met with silence.
    ///
    /// - Parameter body: is given the server's URL, without a path.
    package static func with<Result>(
        _ reactions: [Reaction], body: (_ url: String, ScriptedServer) async throws -> Result
    ) async throws -> Result {
        let server = ScriptedServer(reactions)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(server: server))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            let result = try await body("http://127.0.0.1:\(channel.localAddress?.port ?? 0)", server)
            try await channel.close()
            return result
        } catch {
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

        private let server: ScriptedServer
        private var request: Request?

        init(server: ScriptedServer) {
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
