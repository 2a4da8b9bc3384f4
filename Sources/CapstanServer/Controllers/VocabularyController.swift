import DatastoreCore
import DatastoreStorage
import Foundation
import Hummingbird
import RetrievalEngine

/// The words of sparse keys.
struct VocabularyController {
    let engine: CapstanEngine
    let uploadLimit: Int

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.put("{datastore}/keys/{key}/vocabulary", use: set)
    }

    /// One term per line.
    @Sendable func set(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let datastore = try context.parameters.require("datastore")
        let key = try context.parameters.require("key")
        guard request.mediaType == "text/plain" else {
            throw DatastoreError(
                .unsupportedMediaType,
                "got Content-Type \"\(request.headers[.contentType] ?? "")\", expected text/plain, one term per line")
        }
        let job = CapstanEngine.newJobID()
        let folder = try await engine.stageUpload(job: job, datastore: datastore)
        do {
            let file = try await UploadReceiver(folder: folder, limit: uploadLimit).receiveRows(request.body).rows
            try await engine.setVocabulary(file, ofKey: key, of: datastore)
        } catch {
            await Task { await engine.discardUpload(job: job) }.value
            throw error
        }
        await engine.discardUpload(job: job)
        return Response(status: .noContent)
    }
}
