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
            return try .accepted(
                try await engine.submitImport(
                    body, into: datastore, by: request.submitter, idempotencyKey: request.idempotencyKey))
        }
        let options = try ImportOptions(QueryParameters(request, allowed: ImportOptions.parameters))
        let job = CapstanEngine.newJobID()
        let folder = try await engine.stageUpload(job: job, datastore: datastore)
        do {
            let upload = UploadReceiver(folder: folder, limit: uploadLimit)
            let files: UploadReceiver.Files
            switch request.mediaType {
            case let type? where Self.rowTypes.contains(type): files = try await upload.receiveRows(request.body)
            case "multipart/form-data": files = try await upload.receiveParts(request.body, contentType: contentType)
            default:
                throw DatastoreError(
                    .unsupportedMediaType, "got Content-Type \"\(contentType)\", expected \(Self.expectedTypes)")
            }
            return try .accepted(
                try await engine.submitUpload(
                    job: job, datastore: datastore, rows: files.rows, vectors: files.vectors, digests: files.digests,
                    options: options, by: request.submitter, idempotencyKey: request.idempotencyKey))
        } catch {
            // In a task of its own: the request's may be cancelled, and its files must go all the same.
            await Task { await engine.discardUpload(job: job) }.value
            throw error
        }
    }

    /// A body of one of these is the file of rows; its form is found out from its content all the same.
    private static let rowTypes: Set<String> = [
        "application/octet-stream", "application/x-ndjson", "application/gzip", "text/plain", "text/csv",
        "text/tab-separated-values",
    ]

    private static let expectedTypes =
        "\(rowTypes.sorted().joined(separator: ", ")) (the rows), multipart/form-data (parts rows, vectors and vectors.KEY) "
        + "or application/json (paths below an import root)"
}

extension Request {
    /// Who asks, as it names itself: kept with the job.
    var submitter: String? {
        headers[.userAgent].map { String($0.filter { !$0.isNewline }.prefix(200)) }
    }

    var idempotencyKey: String? { HTTPField.Name("Idempotency-Key").flatMap { headers[$0] } }
}

extension ImportOptions {
    /// The options of an upload, in its query string; a list is given by repeating the option.
    static let parameters: Set<String> = [
        "build", "strict", "dry_run", "format", "splits", "caption_text", "columns", "header", "pool",
        "origin", "lang", "source", "max_words", "max_tokens", "min_letters", "languages", "drop_duplicates",
    ]

    /// - Throws: `invalid_value`.
    init(_ parameters: QueryParameters) throws {
        func choice<Choice: WireChoice>(_ name: String) throws -> Choice? {
            try parameters.value(name, "one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))") {
                Choice(rawValue: $0)
            }
        }
        var columns: [String: String] = [:]
        for text in parameters.strings("columns") {
            let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
            guard parts.count == 2, columns.updateValue(parts[1], forKey: parts[0]) == nil else {
                throw DatastoreError.field(
                    .invalidValue, "columns", "got \"\(text)\", expected FIELD:COLUMN, each field once")
            }
        }
        self.init(
            build: try parameters.flag("build") ?? true, strict: try parameters.flag("strict") ?? false,
            dryRun: try parameters.flag("dry_run") ?? false, format: try choice("format") ?? .auto,
            splits: parameters.strings("splits"), captionText: try choice("caption_text") ?? .raw, columns: columns,
            header: try parameters.flag("header"), pool: try choice("pool") ?? .none, origin: try choice("origin"),
            lang: parameters.strings("lang").last, source: parameters.strings("source").last,
            filters: ImportFilters(
                maxWords: try parameters.integer("max_words"), maxTokens: try parameters.integer("max_tokens"),
                minLetters: try parameters.integer("min_letters"), languages: parameters.strings("languages"),
                dropDuplicates: try parameters.flag("drop_duplicates") ?? false))
        try validate()
    }
}
