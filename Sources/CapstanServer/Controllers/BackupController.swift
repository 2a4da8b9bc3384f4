import DatastoreCore
import Foundation
import HTTPTypes
import Hummingbird
import RetrievalEngine

/// Copies of everything, to be fetched file by file.
struct BackupController {
    let engine: CapstanEngine

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.post(use: start)
        group.get("{backup}", use: show)
        group.delete("{backup}", use: end)
        group.get("{backup}/file", use: file)
    }

    @Sendable func start(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let backup = try await engine.startBackup()
        var response = try Response.json(backup, status: .created)
        response.headers[.location] = "/v1/backups/\(backup.id)"
        return response
    }

    @Sendable func show(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try .json(try engine.backup(context.parameters.require("backup")))
    }

    @Sendable func end(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try await engine.endBackup(context.parameters.require("backup"))
        return Response(status: .noContent)
    }

    /// The bytes of one file, or a range of them.
    @Sendable func file(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let parameters = try QueryParameters(request, allowed: ["path"])
        guard let path = parameters.strings("path").last else {
            throw DatastoreError.field(.missingField, "path", "required and not given")
        }
        let (file, url) = try engine.backupFile(path, of: context.parameters.require("backup"))
        let etag = "\"\(file.sha256)\""
        let type = "application/octet-stream"
        guard let asked = ByteRange(request, etag: etag) else {
            return .bytes(
                nil, of: nil, etag: etag, contentType: type,
                body: try await FileIO().loadFile(path: url.path, context: context, chunkLength: Self.chunkBytes))
        }
        let range = try asked.resolved(file.bytes)
        return .bytes(
            range, of: file.bytes, etag: etag, contentType: type,
            body: try await FileIO().loadFile(
                path: url.path, range: Int(range.lowerBound)...Int(range.upperBound - 1), context: context,
                chunkLength: Self.chunkBytes))
    }

    private static let chunkBytes = 1 << 20
}
