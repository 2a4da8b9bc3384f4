import Hummingbird
import HummingbirdCore
import Logging
import NIOCore

extension HTTPServerBuilder {
    /// HTTP/1 whose requests are handled on the event loop of their connection.
    ///
    /// Swift's pool would be two more threads to wake for each question, one on the way to the search and one on the way back,
    /// for the few microseconds that a question takes beside its search. What takes longer leaves the loop: searches for
    /// their own threads (`CapstanEngine.search`), all other calls for Swift's pool (`OffLoopMiddleware`).
    static func http1OnLoop(configuration: HTTP1Channel.Configuration) -> HTTPServerBuilder {
        HTTPServerBuilder { responder in
            EventLoopHTTP1Channel(base: HTTP1Channel(responder: responder, configuration: configuration))
        }
    }
}

private struct EventLoopHTTP1Channel: ServerChildChannel {
    let base: HTTP1Channel

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTP1Channel.Value> {
        base.setup(channel: channel, logger: logger)
    }

    func handle(value: HTTP1Channel.Value, logger: Logger) async {
        await withTaskExecutorPreference(EventLoopExecutor(value.channel.eventLoop)) {
            await base.handle(value: value, logger: logger)
        }
    }
}

/// Runs tasks on an event loop.
private final class EventLoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) {
        self.loop = loop
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

/// Leaves the event loop for Swift's pool, for calls that may compute for longer than a loop should stand still.
struct OffLoopMiddleware: RouterMiddleware {
    func handle(
        _ request: Request, context: CapstanRequestContext,
        next: (Request, CapstanRequestContext) async throws -> Response
    ) async throws -> Response {
        try await withTaskExecutorPreference(globalConcurrentExecutor) { try await next(request, context) }
    }
}
