import DatastoreCore
import DatastoreStorage
import Foundation
import HTTPTypes
import Hummingbird
import RetrievalEngine

/// What long work is doing and what it refused.
struct JobController {
    let engine: CapstanEngine

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.get(use: list)
        group.get("{job}", use: show)
        group.get("{job}/rejects", use: rejects)
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

    @Sendable func rejects(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let file = try await engine.rejects(ofJob: context.parameters.require("job"))
        let headers: HTTPFields = [.contentType: "application/x-ndjson"]
        guard let file else { return Response(status: .ok, headers: headers) }
        return Response(
            status: .ok, headers: headers, body: try await FileIO().loadFile(path: file.path, context: context))
    }
}
