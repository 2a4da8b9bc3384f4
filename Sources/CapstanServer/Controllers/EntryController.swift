import DatastoreCore
import DatastoreStorage
import Foundation
import Hummingbird
import NIOCore
import RetrievalEngine

/// Single changes of a datastore's entries, and a look at them.
struct EntryController {
    let engine: CapstanEngine
    let bodyLimit: Int

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.post("{datastore}/entries", use: add)
        group.delete("{datastore}/entries", use: delete)
        group.get("{datastore}/entries", use: list)
        group.get("{datastore}/entries/{entry}", use: show)
        group.delete("{datastore}/entries/{entry}", use: deleteOne)
    }

    /// One entry as JSON, or many as NDJSON, in the form of an import's rows.
    @Sendable func add(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let datastore = try context.parameters.require("datastore")
        let (rows, isSingle) = try await rows(of: request)
        let answer = try await engine.addEntries(rows, to: datastore)
        if isSingle { try Self.refuse(answer.entries.first?.error) }
        return try .json(answer)
    }

    /// The ids of entries, one as JSON or many as NDJSON.
    @Sendable func delete(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let datastore = try context.parameters.require("datastore")
        let (rows, isSingle) = try await rows(of: request)
        let answer = try await engine.deleteEntries(rows, of: datastore)
        if isSingle { try Self.refuse(answer.entries.first?.error) }
        return try .json(answer)
    }

    @Sendable func deleteOne(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        _ = try QueryParameters(request, allowed: [])
        return try .json(
            try await engine.deleteEntry(Self.id(context), of: context.parameters.require("datastore")))
    }

    @Sendable func list(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let datastore = try context.parameters.require("datastore")
        let parameters = try QueryParameters(
            request, allowed: PageRequest.parameters.union(["version", "pending", "filter"]))
        let page = try await PageRequest(parameters) { Int64($0) != nil }
        let version = try parameters.integer("version")
        let pending = try parameters.flag("pending") ?? false
        let filter = try QueryFilter(parameters)
        return try .json(
            try await page.page(key: { String($0.id) }) {
                try await engine.entries(of: datastore, version: version, pending: pending, filter: filter, $0)
            })
    }

    @Sendable func show(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let parameters = try QueryParameters(request, allowed: ["version", "vectors"])
        return try .json(
            try await engine.entry(
                Self.id(context), of: context.parameters.require("datastore"), version: parameters.integer("version"),
                vectors: parameters.flag("vectors") ?? false))
    }

    private static func id(_ context: CapstanRequestContext) throws -> Int64 {
        let text = try context.parameters.require("entry")
        guard let id = Int64(text) else {
            throw DatastoreError.field(.invalidValue, "entry", "got \"\(text)\", expected the daemon's number")
        }
        return id
    }

    private func rows(of request: Request) async throws -> (rows: Data, isSingle: Bool) {
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
        return (rows, isSingle)
    }

    /// A single one that was rejected is the error of the call.
    private static func refuse(_ error: JobFailure?) throws {
        guard let error else { return }
        throw DatastoreError(ErrorCode(rawValue: error.code) ?? .malformedRow, error.detail)
    }
}

extension QueryFilter {
    /// The `filter` parameters of a query string; nil when there are none.
    ///
    /// - Throws: `invalid_value`.
    init?(_ parameters: QueryParameters) throws {
        let arguments = parameters.strings("filter")
        guard !arguments.isEmpty else { return nil }
        try self.init(arguments: arguments)
    }
}
