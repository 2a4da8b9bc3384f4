public import DatastoreCore

extension CaptionerClient {
    /// The daemon at a glance.
    public func status() async throws -> ServiceStatus {
        try await answer(to: .get("v1", "status"))
    }

    /// Whether the daemon answers questions. It is asked once: a daemon that is not ready is an answer, not an error.
    public func readiness() async throws -> Readiness {
        var call = Call.get("readyz")
        call.expectedStatuses = [200, 503]
        return try await answer(to: call)
    }
}
