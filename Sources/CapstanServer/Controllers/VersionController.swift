import DatastoreCore
import DatastoreStorage
import HTTPTypes
import Hummingbird
import RetrievalEngine

/// One version: what it holds, its names, what changed by it, whether it is whole, and its end.
struct VersionController {
    let engine: CapstanEngine

    /// - Parameter group: of datastores.
    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.get("{datastore}/versions/{version}", use: show)
        group.delete("{datastore}/versions/{version}", use: remove)
        group.get("{datastore}/versions/{version}/diff", use: diff)
        group.post("{datastore}/versions/{version}/verify", use: verify)
        group.put("{datastore}/versions/{version}/tags/{tag}", use: tag)
        group.delete("{datastore}/versions/{version}/tags/{tag}", use: untag)
    }

    @Sendable func show(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try .json(try await engine.version(context.versionID(engine)))
    }

    @Sendable func remove(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try .json(try await engine.removeVersion(context.versionID(engine)))
    }

    @Sendable func diff(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let parameters = try QueryParameters(request, allowed: ["from", "samples"])
        guard let from = parameters.strings("from").last else {
            throw DatastoreError.field(.missingField, "from", "required and not given: the version to compare with")
        }
        let samples = try parameters.integer("samples") ?? Self.defaultSamples
        guard (0...Self.mostSamples).contains(samples) else {
            throw DatastoreError.field(
                .invalidValue, "samples", "got \(samples), expected 0 to \(Self.mostSamples)")
        }
        return try .json(
            try await engine.compare(
                context.parameters.require("datastore"), from: from, to: context.parameters.require("version"),
                samples: samples))
    }

    private static let defaultSamples = 5
    private static let mostSamples = 100

    @Sendable func verify(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try .accepted(try await engine.submitVerification(of: context.versionID(engine), by: request.submitter))
    }

    @Sendable func tag(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let moves = try QueryParameters(request, allowed: ["move"]).flag("move") ?? false
        return try .json(
            try await engine.tag(context.versionID(engine), context.parameters.require("tag"), moves: moves))
    }

    @Sendable func untag(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try await engine.untag(context.versionID(engine), context.parameters.require("tag"))
        return Response(status: .noContent)
    }
}

extension CapstanRequestContext {
    /// The version that the path names by number or tag.
    func versionID(_ engine: CapstanEngine) async throws -> VersionID {
        try await engine.versionID(parameters.require("version"), of: parameters.require("datastore"))
    }
}
