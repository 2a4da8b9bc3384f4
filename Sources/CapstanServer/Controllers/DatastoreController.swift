import DatastoreCore
import DatastoreStorage
import HTTPTypes
import Hummingbird
import RetrievalEngine

/// Datastores and their versions.
struct DatastoreController {
    let engine: CapstanEngine
    let bodyLimit: Int

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.get(use: list)
        group.post(use: create)
        group.get("{datastore}", use: show)
        group.patch("{datastore}", use: update)
        group.delete("{datastore}", use: delete)
        group.get("{datastore}/versions", use: versions)
        group.post("{datastore}/versions", use: build)
        group.post("{datastore}/filters", use: filter)
    }

    @Sendable func list(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let page = try await PageRequest(QueryParameters(request, allowed: PageRequest.parameters))
        return try .json(try await page.page(key: \.name) { try await engine.datastores($0) })
    }

    @Sendable func create(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let body = try await request.json(CreateDatastoreRequest.self, upTo: bodyLimit)
        let datastore = try await engine.createDatastore(body)
        var response = try Response.json(datastore, status: .created)
        response.headers[.location] = "/v1/datastores/\(datastore.name)"
        return response
    }

    @Sendable func show(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try .json(try await engine.datastore(context.parameters.require("datastore")))
    }

    @Sendable func update(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let body = try await request.json(UpdateDatastoreRequest.self, upTo: bodyLimit)
        return try .json(try await engine.updateDatastore(context.parameters.require("datastore"), body))
    }

    @Sendable func delete(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try await engine.deleteDatastore(context.parameters.require("datastore"))
        return Response(status: .noContent)
    }

    @Sendable func versions(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let name = try context.parameters.require("datastore")
        let page = try await PageRequest(QueryParameters(request, allowed: PageRequest.parameters)) { Int($0) != nil }
        return try .json(
            try await page.page(key: { String($0.version) }) { try await engine.versions(of: name, $0) })
    }

    @Sendable func build(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let name = try context.parameters.require("datastore")
        let body = try await request.json(BuildVersionRequest.self, upTo: bodyLimit)
        do {
            return try .accepted(try await engine.submitBuild(of: name, body, by: request.submitter))
        } catch let error as DatastoreError where error.code == .nothingToBuild && body.ifChanged {
            return try .json(
                UnchangedDatastore(datastore: name, version: try await engine.datastore(name).latestVersion))
        }
    }

    @Sendable func filter(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let body = try await request.json(FilterRequest.self, upTo: bodyLimit)
        return try .accepted(
            try await engine.submitFilter(body, of: context.parameters.require("datastore"), by: request.submitter))
    }
}

extension Response {
    /// A job that was queued, and where to watch it.
    static func accepted(_ job: JobInfo) throws -> Response {
        var response = try Response.json(job, status: .accepted)
        response.headers[.location] = "/v1/jobs/\(job.id)"
        return response
    }
}
