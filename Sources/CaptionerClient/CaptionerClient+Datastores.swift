public import DatastoreCore
import NIOHTTP1

extension CaptionerClient {
    public func datastores() async throws -> [DatastoreInfo] {
        try await all(.get("v1", "datastores"))
    }

    public func datastore(_ name: String) async throws -> DatastoreInfo {
        try await answer(to: .get("v1", "datastores", Self.checked(name, field: "datastore")))
    }

    @discardableResult
    public func createDatastore(_ request: CreateDatastoreRequest) async throws -> DatastoreInfo {
        try await answer(to: .change(.POST, "v1", "datastores").json(request))
    }

    /// Changes what describes a datastore; fields that are nil stay as they are.
    @discardableResult
    public func updateDatastore(_ name: String, with request: UpdateDatastoreRequest) async throws -> DatastoreInfo {
        let call = Call.change(.PATCH, "v1", "datastores", try Self.checked(name, field: "datastore"))
        return try await answer(to: call.json(request))
    }

    /// Removes a datastore with all its versions; refused while a domain uses it.
    public func deleteDatastore(_ name: String) async throws {
        try await perform(.change(.DELETE, "v1", "datastores", Self.checked(name, field: "datastore")))
    }

    /// Starts the build of a version of the pending changes; the error code is `nothing_to_build` when there are none.
    public func buildVersion(of datastore: String) async throws -> JobInfo {
        let name = try Self.checked(datastore, field: "datastore")
        return try await answer(to: .change(.POST, "v1", "datastores", name, "versions"))
    }

    /// The versions of a datastore, newest first; all of them, or the newest `limit`.
    public func versions(of datastore: String, limit: Int? = nil) async throws -> [VersionInfo] {
        let name = try Self.checked(datastore, field: "datastore")
        return try await all(.get("v1", "datastores", name, "versions"), limit: limit)
    }

    /// A version with its files.
    public func version(_ number: Int, of datastore: String) async throws -> VersionInfo {
        let name = try Self.checked(datastore, field: "datastore")
        return try await answer(to: .get("v1", "datastores", name, "versions", String(number)))
    }
}
