public import DatastoreCore

extension CaptionerClient {
    /// Jobs, newest first; all of them, or the newest `limit`.
    public func jobs(
        datastore: String? = nil, state: JobState? = nil, limit: Int? = nil
    ) async throws -> [JobInfo] {
        var call = Call.get("v1", "jobs")
        if let datastore { call.query.append(("datastore", datastore)) }
        if let state { call.query.append(("state", state.rawValue)) }
        return try await all(call, limit: limit)
    }

    public func job(_ id: String) async throws -> JobInfo {
        try await answer(to: .get("v1", "jobs", Self.checked(id, field: "job")))
    }

    /// Waits until a job has ended, in whatever way: see the `state` and `error` of what is returned.
    ///
    /// - Parameter onUpdate: Called whenever the job has moved on, and when it has ended.
    public func waitForJob(
        _ id: String, onUpdate: (@Sendable (JobInfo) -> Void)? = nil
    ) async throws -> JobInfo {
        var last: JobInfo?
        var pause = Duration.milliseconds(100)
        while true {
            let job = try await job(id)
            if job != last { onUpdate?(job) }
            if job.state.isFinal { return job }
            last = job
            try await Task.sleep(for: pause)
            pause = min(pause * 1.25, .seconds(1))
        }
    }

    /// The rows that an import refused, read as they come.
    ///
    /// ```swift
    /// for try await row in client.rejects(of: job.id) { print(row.line, row.code, row.detail) }
    /// ```
    public func rejects(of jobID: String) -> RejectedRows {
        RejectedRows(client: self, jobID: jobID)
    }
}
