import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport

/// A daemon that reacts to each request as it was told to.
enum FakeDaemon {
    /// Runs `body` with a client of a daemon that reacts so, in order; a request too many is met with silence.
    static func with<Result>(
        _ reactions: ScriptedServer.Reaction..., configuration: CaptionerClient.Configuration = .quick,
        body: (CaptionerClient, ScriptedServer) async throws -> Result
    ) async throws -> Result {
        try await ScriptedServer.with(reactions) { url, server in
            try await body(CaptionerClient(url: url, configuration: configuration), server)
        }
    }
}

extension CaptionerClient.Configuration {
    /// Waits for nothing that a test does not wait for.
    static let quick = Self(timeout: .seconds(60), retryDelay: .milliseconds(1))
}

extension Problem {
    static func example(_ status: Int, _ code: String) -> Problem {
        Problem(status: status, title: "No", code: code, detail: "not this")
    }
}

extension JobInfo {
    static func example(_ state: JobState, seen: Int = 0) -> JobInfo {
        var counts = JobCounts()
        counts.seen = seen
        counts.accepted = seen
        return JobInfo(
            id: "j1", kind: .import, datastore: "coco", state: state, phase: state.isFinal ? .done : .reading,
            counts: counts, version: nil, error: nil, createdAt: Date(timeIntervalSince1970: 0), startedAt: nil,
            finishedAt: nil)
    }
}
