import DatastoreCore
import DatastoreStorage
import HTTPTypes
import Hummingbird
import RetrievalEngine

/// Binding, switching, history and the way back.
struct DomainController {
    let engine: CapstanEngine
    let bodyLimit: Int

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.get(use: list)
        group.get("{domain}", use: show)
        group.put("{domain}", use: set)
        group.delete("{domain}", use: delete)
        group.get("{domain}/revisions", use: revisions)
        group.post("{domain}/rollback", use: rollback)
    }

    @Sendable func list(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let page = try await PageRequest(QueryParameters(request, allowed: PageRequest.parameters))
        return try .json(try await page.page(key: \.domain) { try await engine.domains($0) })
    }

    @Sendable func show(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try Self.answer(try await engine.domain(context.parameters.require("domain")))
    }

    @Sendable func set(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let name = try context.parameters.require("domain")
        let precondition = try Self.precondition(request)
        let body = try await request.json(SetDomainRequest.self, upTo: bodyLimit)
        // One that was removed and is made again goes on with its numbers.
        let isNew = (try? engine.currentSnapshot.domain(name)) == nil
        let domain = try await engine.setDomain(name, body, precondition: precondition)
        return try Self.answer(domain, status: isNew ? .created : .ok)
    }

    @Sendable func delete(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try await engine.deleteDomain(context.parameters.require("domain"))
        return Response(status: .noContent)
    }

    @Sendable func revisions(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let name = try context.parameters.require("domain")
        let page = try await PageRequest(QueryParameters(request, allowed: PageRequest.parameters)) { Int($0) != nil }
        return try .json(
            try await page.page(key: { String($0.revision) }) { try await engine.revisions(of: name, $0) })
    }

    @Sendable func rollback(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let name = try context.parameters.require("domain")
        let precondition = try Self.precondition(request)
        let body = try await request.json(RollbackRequest.self, upTo: bodyLimit)
        return try Self.answer(try await engine.rollback(name, to: body.to, precondition: precondition))
    }

    /// The revision is the entity tag.
    private static func answer(_ domain: DomainInfo, status: HTTPResponse.Status = .ok) throws -> Response {
        var response = try Response.json(domain, status: status)
        response.headers[.eTag] = "\"\(domain.revision)\""
        return response
    }

    /// - Throws: `invalid_value` for anything but `If-Match: "REVISION"` and `If-None-Match: *`.
    private static func precondition(_ request: Request) throws -> DomainPrecondition {
        if let tag = request.headers[.ifMatch] {
            guard tag.count > 2, tag.hasPrefix("\""), tag.hasSuffix("\""), let number = Int(tag.dropFirst().dropLast())
            else {
                throw DatastoreError.field(
                    .invalidValue, "If-Match",
                    "got \(tag), expected the ETag of the domain, for example \"12\" in quotes")
            }
            return .revision(number)
        }
        if let tag = request.headers[.ifNoneMatch] {
            guard tag == "*" else {
                throw DatastoreError.field(.invalidValue, "If-None-Match", "got \(tag), expected *")
            }
            return .absent
        }
        return .none
    }
}
