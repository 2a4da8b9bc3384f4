public import DatastoreCore
import NIOHTTP1

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

    /// Asks a job to stop: what it has read is dropped, and its datastore stays as it was.
    ///
    /// - Returns: The job; one that was running ends within moments.
    public func cancelJob(_ id: String) async throws -> JobInfo {
        try await answer(to: .change(.DELETE, "v1", "jobs", Self.checked(id, field: "job")))
    }

    /// A job now, and each time it has moved on, until it has ended.
    ///
    /// ```swift
    /// for try await job in client.events(of: id) { print(job.phase, job.counts.seen) }
    /// ```
    public func events(of jobID: String) -> JobEvents {
        JobEvents(client: self, jobID: jobID)
    }

    /// Waits until a job has ended, in whatever way: see the `state` and `error` of what is returned.
    ///
    /// - Parameter onUpdate: Called whenever the job has moved on, and when it has ended.
    public func waitForJob(
        _ id: String, onUpdate: (@Sendable (JobInfo) -> Void)? = nil
    ) async throws -> JobInfo {
        while true {
            do {
                for try await job in events(of: id) {
                    onUpdate?(job)
                    if job.state.isFinal { return job }
                }
            } catch let error as CaptionerError where error.kind == .unreachable || error.kind == .timedOut {
                // The stream broke off. Whether there still is a daemon, and a job, asking says.
            }
            try await Task.sleep(for: .milliseconds(500))
            let job = try await job(id)
            if job.state.isFinal {
                onUpdate?(job)
                return job
            }
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

    /// What a job made for its client, as it comes: the captions of a dump, the entries that a filter dropped.
    ///
    /// ```swift
    /// var captions = Data()
    /// for try await bytes in client.output(of: job.id) { captions += bytes }
    /// ```
    ///
    /// The error code is `no_output` when there is none.
    public func output(of jobID: String) -> JobOutput {
        JobOutput(client: self, jobID: jobID)
    }
}
