import DatastoreCore
import Foundation
import HTTPTypes
import Hummingbird
import RetrievalEngine

/// Imports: files that are uploaded, or that lie below an import root.
struct ImportController {
    let engine: CapstanEngine
    let bodyLimit: Int
    let uploadLimit: Int

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.post("{datastore}/imports", use: submit)
    }

    @Sendable func submit(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let datastore = try context.parameters.require("datastore")
        let contentType = request.headers[.contentType] ?? ""
        if request.mediaType == "application/json" {
            _ = try QueryParameters(request, allowed: [])
            let body = try await request.json(ImportRequest.self, upTo: bodyLimit)
            return try .accepted(try await engine.submitImport(body, into: datastore))
        }
        let parameters = try QueryParameters(request, allowed: ["build", "strict"])
        let options = ImportOptions(
            build: try parameters.flag("build") ?? true, strict: try parameters.flag("strict") ?? false)
        let job = CapstanEngine.newJobID()
        let folder = try await engine.stageUpload(job: job, datastore: datastore)
        do {
            let upload = UploadReceiver(folder: folder, limit: uploadLimit)
            let files: UploadReceiver.Files
            switch request.mediaType {
            case "application/x-ndjson", "application/gzip": files = try await upload.receiveRows(request.body)
            case "multipart/form-data": files = try await upload.receiveParts(request.body, contentType: contentType)
            default:
                throw DatastoreError(
                    .unsupportedMediaType, "got Content-Type \"\(contentType)\", expected \(Self.expectedTypes)")
            }
            return try .accepted(
                try await engine.submitUpload(
                    job: job, datastore: datastore, rows: files.rows, vectors: files.vectors, options: options))
        } catch {
            // In a task of its own: the request's may be cancelled, and its files must go all the same.
            await Task { await engine.discardUpload(job: job) }.value
            throw error
        }
    }

    private static let expectedTypes =
        "application/x-ndjson (rows with vectors, plain or gzip), multipart/form-data (parts rows and vectors) "
        + "or application/json (paths below an import root)"
}
