import DatastoreCore
import Foundation
import Hummingbird
import NIOCore
import RetrievalEngine

/// How a datastore is searched, and the questions that the recall of its indexes is measured with.
struct PlanController {
    let engine: CapstanEngine
    let uploadLimit: Int

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.get("{datastore}/plan", use: plan)
        group.put("{datastore}/keys/{key}/questions", use: setQuestions)
        group.delete("{datastore}/keys/{key}/questions", use: removeQuestions)
    }

    @Sendable func plan(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let parameters = try QueryParameters(request, allowed: ["key", "rows", "plan"])
        return try .json(
            try await engine.plan(
                of: context.parameters.require("datastore"), key: parameters.strings("key").last,
                rows: try parameters.integer("rows"),
                plan: try parameters.strings("plan").last.map { try IndexPlan(argument: $0) }))
    }

    /// A NumPy file, one vector a row.
    @Sendable func setQuestions(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let datastore = try context.parameters.require("datastore")
        let key = try context.parameters.require("key")
        guard request.mediaType == "application/octet-stream" else {
            throw DatastoreError(
                .unsupportedMediaType,
                "got Content-Type \"\(request.headers[.contentType] ?? "")\", expected application/octet-stream, a "
                    + "NumPy file")
        }
        let job = CapstanEngine.newJobID()
        let folder = try await engine.stageUpload(job: job, datastore: datastore)
        do {
            let file = try await UploadReceiver(folder: folder, limit: uploadLimit).receiveRows(request.body).rows
            let count = try await engine.setQuestions(file, ofKey: key, of: datastore)
            await engine.discardUpload(job: job)
            return try .json(RecallQuestionsInfo(datastore: datastore, key: key, questions: count))
        } catch {
            await Task { await engine.discardUpload(job: job) }.value
            throw error
        }
    }

    @Sendable func removeQuestions(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try await engine.removeQuestions(
            ofKey: context.parameters.require("key"), of: context.parameters.require("datastore"))
        return Response(status: .noContent)
    }
}
