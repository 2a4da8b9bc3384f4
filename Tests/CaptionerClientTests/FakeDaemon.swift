import CaptionerClient
import DatastoreCore
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A server that reacts to each request as it was told to, and remembers what was asked.
final class FakeDaemon: Sendable {
    enum Reaction: Sendable {
        case answer(Int, String = "", headers: HTTPHeaders = [:])
        case close
        case silence

        static func answer(_ status: Int = 200, json: some Encodable) throws -> Reaction {
            .answer(status, String(decoding: try WireJSON.encode(json), as: UTF8.self))
        }
    }

    struct Request: Sendable {
        var head: HTTPRequestHead
        var body = ByteBuffer()
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

    /// Runs `body` with a client of a daemon that reacts so, in order; a request too many is met with silence.
    static func with<Result>(
        _ reactions: Reaction..., configuration: CaptionerClient.Configuration = .quick,
        body: (CaptionerClient, FakeDaemon) async throws -> Result
    ) async throws -> Result {
        let daemon = FakeDaemon(reactions)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(daemon: daemon))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            let port = channel.localAddress?.port ?? 0
            let client = try CaptionerClient(url: "http://127.0.0.1:\(port)", configuration: configuration)
            let result = try await body(client, daemon)
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

        private let daemon: FakeDaemon
        private var request: Request?

        init(daemon: FakeDaemon) {
            self.daemon = daemon
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): request = Request(head: head)
            case .body(var bytes): request?.body.writeBuffer(&bytes)
            case .end:
                guard let request else { return }
                respond(daemon.react(to: request), context: context)
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

extension CaptionerClient.Configuration {
    /// Waits for nothing that a test does not wait for.
    static let quick = Self(timeout: .seconds(60), retryDelay: .milliseconds(1))
}

extension Problem {
    static func example(_ status: Int, _ code: String) -> Problem {
        Problem(status: status, title: "No", code: code, detail: "not this")
    }
}

extension JobInfo {
    static func example(_ state: JobState, seen: Int = 0) -> JobInfo {
        var counts = JobCounts()
        counts.seen = seen
        counts.accepted = seen
        return JobInfo(
            id: "j1", kind: .import, datastore: "coco", state: state, phase: state.isFinal ? .done : .reading,
            counts: counts, version: nil, error: nil, createdAt: Date(timeIntervalSince1970: 0), startedAt: nil,
            finishedAt: nil)
    }
}
