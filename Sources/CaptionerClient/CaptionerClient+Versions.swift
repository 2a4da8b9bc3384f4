public import DatastoreCore
import NIOHTTP1

extension CaptionerClient {
    /// The versions of a datastore, newest first; all of them, or the newest `limit`.
    public func versions(of datastore: String, limit: Int? = nil) async throws -> [VersionInfo] {
        let name = try Self.checked(datastore, field: "datastore")
        return try await all(.get("v1", "datastores", name, "versions"), limit: limit)
    }

    /// A version with its files.
    public func version(_ number: Int, of datastore: String) async throws -> VersionInfo {
        try await version(String(number), of: datastore)
    }

    /// A version with its files.
    ///
    /// - Parameter reference: A number, a tag, or `latest`.
    public func version(_ reference: String, of datastore: String) async throws -> VersionInfo {
        try await answer(to: versionCall(.GET, reference, of: datastore))
    }

    /// Removes a version for good; the error code is `version_in_use` for the newest, a tagged one and one that a domain
    /// answers from.
    @discardableResult
    public func removeVersion(_ reference: String, of datastore: String) async throws -> GCReport {
        try await answer(to: versionCall(.DELETE, reference, of: datastore))
    }

    /// What changed from one version to another.
    ///
    /// ```swift
    /// let diff = try await client.diff(of: "coco", from: "6", to: "latest")
    /// print(diff.added, diff.replaced, diff.removed)
    /// ```
    ///
    /// - Parameters:
    ///   - from: A number, a tag, or `latest`; so is `to`.
    ///   - samples: Entries of each kind that the answer shows.
    public func diff(of datastore: String, from: String, to: String, samples: Int = 5) async throws -> VersionDiff {
        var call = try versionCall(.GET, to, of: datastore, "diff")
        call.query = [("from", from), ("samples", String(samples))]
        return try await answer(to: call)
    }

    /// Starts a job that compares a version's files with their checksums, and samples its indexes.
    public func verifyVersion(_ reference: String, of datastore: String) async throws -> JobInfo {
        try await answer(to: versionCall(.POST, reference, of: datastore, "verify"))
    }

    /// Gives a version a name, which keeps it.
    ///
    /// - Parameter move: Whether the name may be taken from another version; else the error code is `tag_exists` then.
    @discardableResult
    public func tagVersion(
        _ reference: String, of datastore: String, as tag: String, move: Bool = false
    ) async throws -> VersionInfo {
        var call = try versionCall(.PUT, reference, of: datastore, "tags", Self.checked(tag, field: "tag"))
        if move { call.query = [("move", "true")] }
        return try await answer(to: call)
    }

    /// Takes a name from a version.
    public func untagVersion(_ reference: String, of datastore: String, tag: String) async throws {
        try await perform(versionCall(.DELETE, reference, of: datastore, "tags", Self.checked(tag, field: "tag")))
    }

    /// Removes versions that retention does not keep, and what ended jobs have left; or says what it would.
    public func collectGarbage(_ request: GCRequest = GCRequest()) async throws -> GCReport {
        try await answer(to: .change(.POST, "v1", "gc").json(request))
    }

    private func versionCall(
        _ method: HTTPMethod, _ reference: String, of datastore: String, _ more: String...
    ) throws -> Call {
        let path = [
            "v1", "datastores", try Self.checked(datastore, field: "datastore"), "versions",
            try Self.checked(reference, field: "version"),
        ]
        return Call(method: method, path: path + more, isSafe: method == .GET)
    }
}
