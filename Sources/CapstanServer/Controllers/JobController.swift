import DatastoreCore
import DatastoreStorage
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import RetrievalEngine
import ServiceLifecycle

/// What long work is doing and what it refused.
struct JobController {
    let engine: CapstanEngine

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.get(use: list)
        group.get("{job}", use: show)
        group.delete("{job}", use: cancel)
        group.get("{job}/events", use: events)
        group.get("{job}/rejects", use: rejects)
        group.get("{job}/output", use: output)
    }

    @Sendable func list(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let parameters = try QueryParameters(
            request, allowed: PageRequest.parameters.union(["datastore", "state"]))
        let state = try parameters.value(
            "state", "one of \(JobState.allCases.map(\.rawValue).joined(separator: ", "))"
        ) { JobState(rawValue: $0) }
        let datastore = parameters.strings("datastore").last
        let page = try await PageRequest(parameters) { id in
            do {
                _ = try await engine.job(id)
                return true
            } catch let error as DatastoreError where error.code == .unknownJob {
                return false
            }
        }
        return try .json(
            try await page.page(key: \.id) { try await engine.jobs(datastore: datastore, state: state, $0) })
    }

    @Sendable func show(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try .json(try await engine.job(context.parameters.require("job")))
    }

    @Sendable func cancel(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try .accepted(try await engine.cancelJob(context.parameters.require("job")))
    }

    /// The job each time it has moved on, until it has ended, as server-sent events.
    @Sendable func events(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let first = try await engine.job(context.parameters.require("job"))
        let engine = engine
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-cache"],
            body: ResponseBody { writer in
                var job = first
                var silence = 0
                try await writer.write(Self.event(job))
                // When the daemon stops, the server waits for its requests before the engine hears of it.
                while !job.state.isFinal, !Task.isShuttingDownGracefully {
                    try await Task.sleep(for: Self.eventPause)
                    let now: JobInfo
                    do {
                        now = try await engine.job(job.id)
                    } catch let error as DatastoreError where error.code == .overloaded {
                        continue
                    }
                    silence += 1
                    if now != job {
                        try await writer.write(Self.event(now))
                        silence = 0
                    } else if silence == Self.pausesBeforeComment {
                        try await writer.write(ByteBuffer(string: ":\n\n"))
                        silence = 0
                    }
                    job = now
                }
                try await writer.finish(nil)
            })
    }

    private static let eventPause = Duration.milliseconds(200)
    /// A connection that nothing moves on is taken for dead by what lies between; a comment every 5 seconds moves it.
    private static let pausesBeforeComment = 25

    private static func event(_ job: JobInfo) throws -> ByteBuffer {
        var buffer = ByteBuffer(string: "event: job\ndata: ")
        buffer.writeBytes(try WireJSON.encode(job))
        buffer.writeString("\n\n")
        return buffer
    }

    /// What a dump or a filter has made.
    @Sendable func output(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let id = try context.parameters.require("job")
        let kind = try await engine.job(id).kind
        let file = try await engine.output(ofJob: id)
        return Response(
            status: .ok, headers: [.contentType: kind == .dump ? "application/json" : "application/x-ndjson"],
            body: try await FileIO().loadFile(path: file.path, context: context))
    }

    @Sendable func rejects(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let file = try await engine.rejects(ofJob: context.parameters.require("job"))
        let headers: HTTPFields = [.contentType: "application/x-ndjson"]
        guard let file else { return Response(status: .ok, headers: headers) }
        return Response(
            status: .ok, headers: headers, body: try await FileIO().loadFile(path: file.path, context: context))
    }
}
