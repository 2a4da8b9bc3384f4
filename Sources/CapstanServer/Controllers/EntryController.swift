import DatastoreCore
import Foundation
import Hummingbird
import NIOCore
import RetrievalEngine

/// Single changes of a datastore's entries.
struct EntryController {
    let engine: CapstanEngine
    let bodyLimit: Int

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.post("{datastore}/entries", use: add)
    }

    /// One entry as JSON, or many as NDJSON, in the form of an import's rows.
    @Sendable func add(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let datastore = try context.parameters.require("datastore")
        _ = try QueryParameters(request, allowed: [])
        let isSingle: Bool
        switch request.mediaType {
        case "application/json": isSingle = true
        case "application/x-ndjson": isSingle = false
        default:
            throw DatastoreError(
                .unsupportedMediaType,
                "got Content-Type \"\(request.headers[.contentType] ?? "")\", expected application/json (one entry) or "
                    + "application/x-ndjson (one entry per line)")
        }
        var rows = Data(try await request.bytes(upTo: bodyLimit).readableBytesView)
        if isSingle {
            // A line break of a JSON text is never within a string.
            rows = Data(rows.map { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") ? UInt8(ascii: " ") : $0 })
        }
        let answer = try await engine.addEntries(rows, to: datastore)
        if isSingle, let error = answer.entries.first?.error {
            throw DatastoreError(ErrorCode(rawValue: error.code) ?? .malformedRow, error.detail)
        }
        return try .json(answer)
    }
}
