public import DatastoreCore
import NIOHTTP1

extension CaptionerClient {
    /// The current revision of every domain.
    public func domains() async throws -> [DomainInfo] {
        try await all(.get("v1", "domains"))
    }

    /// The current revision of a domain.
    public func domain(_ name: String) async throws -> DomainInfo {
        try await answer(to: .get("v1", "domains", Self.checked(name, field: "domain")))
    }

    /// Binds a domain, or switches it: every question from then on is answered by the new revision.
    ///
    /// - Parameter revision: Given, the domain is switched only from this revision; the error code is
    ///   `revision_conflict` when someone was faster.
    @discardableResult
    public func setDomain(
        _ name: String, to request: SetDomainRequest, ifRevision revision: Int? = nil
    ) async throws -> DomainInfo {
        let call = Call.change(.PUT, "v1", "domains", try Self.checked(name, field: "domain"))
        return try await answer(to: call.json(request).ifMatch(revision))
    }

    public func deleteDomain(_ name: String) async throws {
        try await perform(.change(.DELETE, "v1", "domains", Self.checked(name, field: "domain")))
    }

    /// The revisions of a domain, newest first; all of them, or the newest `limit`.
    public func revisions(of domain: String, limit: Int? = nil) async throws -> [DomainInfo] {
        try await all(.get("v1", "domains", Self.checked(domain, field: "domain"), "revisions"), limit: limit)
    }

    /// Returns a domain to an earlier revision, as a new one.
    ///
    /// - Parameters:
    ///   - revision: Nil is the one before the current.
    ///   - current: Given, only from this revision, as in ``setDomain(_:to:ifRevision:)``.
    @discardableResult
    public func rollback(
        _ domain: String, to revision: Int? = nil, ifRevision current: Int? = nil
    ) async throws -> DomainInfo {
        let call = Call.change(.POST, "v1", "domains", try Self.checked(domain, field: "domain"), "rollback")
        return try await answer(to: call.json(RollbackRequest(to: revision)).ifMatch(current))
    }
}
