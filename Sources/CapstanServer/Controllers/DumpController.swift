import DatastoreCore
import Foundation
import Hummingbird
import NIOCore
import RetrievalEngine

/// The captions of a whole split.
struct DumpController {
    let engine: CapstanEngine
    let uploadLimit: Int

    private static let optionsLimit = 65_536

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.post("{domain}/dumps", use: submit)
    }

    /// Parts `queries` (NumPy), `ids` (a JSON array) and `options` (`DumpOptions`).
    @Sendable func submit(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let domain = try context.parameters.require("domain")
        guard request.mediaType == "multipart/form-data" else {
            throw DatastoreError(
                .unsupportedMediaType,
                "got Content-Type \"\(request.headers[.contentType] ?? "")\", expected multipart/form-data with the parts "
                    + "queries (a NumPy file), ids (a JSON array) and options (a JSON object)")
        }
        let job = CapstanEngine.newJobID()
        let folder = try await engine.stageDump(job: job, of: domain)
        do {
            let files = try await UploadReceiver(folder: folder, limit: uploadLimit).receiveParts(
                request.body, contentType: request.headers[.contentType] ?? "", named: ["queries", "ids"],
                optional: ["options"])
            var options = DumpOptions()
            if let file = files["options"] {
                guard
                    try FileManager.default.attributesOfItem(atPath: file.path)[.size] as? Int ?? 0 <= Self.optionsLimit
                else {
                    throw DatastoreError.field(.bodyTooLarge, "options", "expected at most \(Self.optionsLimit) bytes")
                }
                options = try WireJSON.decode(DumpOptions.self, from: Data(contentsOf: file))
            }
            guard let queries = files["queries"], let ids = files["ids"] else {
                throw DatastoreError.field(.missingField, "queries", "required and not given")
            }
            return try .accepted(
                try await engine.submitDump(
                    job: job, of: domain, queries: queries, ids: ids, options: options, by: request.submitter))
        } catch {
            await Task { await engine.discardUpload(job: job) }.value
            throw error
        }
    }
}

extension UploadReceiver {
    /// Parts by name, each a file.
    ///
    /// - Throws: `body_too_large`, `upload_incomplete`, `invalid_multipart`, `missing_field`, `unknown_field`.
    fileprivate func receiveParts(
        _ body: RequestBody, contentType: String, named required: [String], optional: [String]
    ) async throws -> [String: URL] {
        var parts = try MultipartReader(LimitedBody(body, limit: limit), contentType: contentType)
        var files: [String: URL] = [:]
        while let name = try await parts.nextPart() {
            guard (required + optional).contains(name) else {
                throw DatastoreError.field(
                    .unknownField, name, "not a part here; expected \((required + optional).joined(separator: ", "))")
            }
            guard files[name] == nil else {
                throw DatastoreError.field(.invalidMultipart, name, "got this part twice, expected it once")
            }
            let file = folder.appending(path: name)
            _ = try await write(to: file) { try await parts.nextChunk() }
            files[name] = file
        }
        for name in required where files[name] == nil {
            throw DatastoreError.field(.missingField, name, "required and not given")
        }
        return files
    }
}
