package import DatastoreCore
package import Foundation
import GRDB

extension Catalog {
    /// Records a new job, queued.
    ///
    /// - Throws: `unknown_datastore`.
    package func createJob(id: String, datastore: String, request: JobRequest, at now: Date) throws -> JobInfo {
        try pool.write { database in
            _ = try Self.existingDatastore(datastore, database)
            try database.execute(
                sql: """
                    INSERT INTO jobs (id, kind, datastore, request, state, phase, created_at)
                    VALUES (?, ?, ?, ?, 'queued', 'waiting', ?)
                    """,
                arguments: [
                    id, request.kind.rawValue, datastore,
                    String(decoding: try WireJSON.encode(request), as: UTF8.self), now.milliseconds,
                ])
            return try Self.existingJob(id, database)
        }
    }

    /// - Throws: `unknown_job`.
    package func request(ofJob id: String) throws -> JobRequest {
        try pool.read { database in
            guard
                let text = try String.fetchOne(database, sql: "SELECT request FROM jobs WHERE id = ?", arguments: [id])
            else { throw DatastoreError(.unknownJob, "no job \"\(id)\"") }
            return try WireJSON.decode(JobRequest.self, from: Data(text.utf8))
        }
    }

    /// Marks a job as running in `phase`.
    package func start(job id: String, phase: JobPhase, at now: Date) throws {
        try pool.write { database in
            try database.execute(
                sql: """
                    UPDATE jobs SET state = 'running', phase = ?, started_at = coalesce(started_at, ?) WHERE id = ?
                    """, arguments: [phase.rawValue, now.milliseconds, id])
        }
    }

    package func update(job id: String, phase: JobPhase, counts: JobCounts) throws {
        try pool.write { database in
            try database.execute(
                sql: """
                    UPDATE jobs SET phase = ?, seen = ?, accepted = ?, replaced = ?, duplicate = ?, rejected = ?
                    WHERE id = ?
                    """,
                arguments: [
                    phase.rawValue, counts.seen, counts.accepted, counts.replaced, counts.duplicate, counts.rejected,
                    id,
                ])
        }
    }

    /// Ends a job; a job that has ended stays as it is.
    package func finish(job id: String, state: JobState, error: JobFailure?, at now: Date) throws {
        try pool.write { database in
            try database.execute(
                sql: """
                    UPDATE jobs SET state = ?, phase = CASE WHEN ? = 'succeeded' THEN 'done' ELSE phase END,
                        error_code = ?, error_detail = ?, finished_at = ?
                    WHERE id = ? AND state IN ('queued', 'running')
                    """,
                arguments: [state.rawValue, state.rawValue, error?.code, error?.detail, now.milliseconds, id])
        }
    }

    /// Puts a job that was interrupted back in the queue.
    package func requeue(job id: String) throws {
        try pool.write { database in
            try database.execute(
                sql: "UPDATE jobs SET state = 'queued', phase = 'waiting' WHERE id = ? AND state = 'running'",
                arguments: [id])
        }
    }

    /// - Throws: `unknown_job`.
    package func job(_ id: String) throws -> JobInfo {
        try pool.read { try Self.existingJob(id, $0) }
    }

    /// Newest first.
    package func jobs(datastore: String?, state: JobState?, _ page: PageRequest) throws -> [JobInfo] {
        try pool.read { database in
            let after =
                try page.after.flatMap {
                    try Int64.fetchOne(database, sql: "SELECT number FROM jobs WHERE id = ?", arguments: [$0])
                } ?? Int64.max
            return try Row.fetchAll(
                database,
                sql: """
                    SELECT * FROM jobs
                    WHERE number < ? AND (? IS NULL OR datastore = ?) AND (? IS NULL OR state = ?)
                    ORDER BY number DESC LIMIT ?
                    """,
                arguments: [after, datastore, datastore, state?.rawValue, state?.rawValue, page.limit]
            ).map(Self.job)
        }
    }

    /// Jobs that have not ended, oldest first.
    package func unfinishedJobs() throws -> [JobInfo] {
        try pool.read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM jobs WHERE state IN ('queued', 'running') ORDER BY number"
            ).map(Self.job)
        }
    }

    private static func existingJob(_ id: String, _ database: Database) throws -> JobInfo {
        guard let row = try Row.fetchOne(database, sql: "SELECT * FROM jobs WHERE id = ?", arguments: [id]) else {
            throw DatastoreError(.unknownJob, "no job \"\(id)\"; `capstan jobs list` shows what there is")
        }
        return job(row)
    }

    private static func job(_ row: Row) -> JobInfo {
        var counts = JobCounts()
        counts.seen = row["seen"]
        counts.accepted = row["accepted"]
        counts.replaced = row["replaced"]
        counts.duplicate = row["duplicate"]
        counts.rejected = row["rejected"]
        return JobInfo(
            id: row["id"], kind: JobKind(rawValue: row["kind"]) ?? .import, datastore: row["datastore"],
            state: JobState(rawValue: row["state"]) ?? .failed, phase: JobPhase(rawValue: row["phase"]) ?? .waiting,
            counts: counts, version: row["version"],
            error: (row["error_code"] as String?).map {
                JobFailure(code: $0, detail: row["error_detail"] ?? "")
            },
            createdAt: Date(milliseconds: row["created_at"]),
            startedAt: (row["started_at"] as Int64?).map(Date.init(milliseconds:)),
            finishedAt: (row["finished_at"] as Int64?).map(Date.init(milliseconds:)))
    }
}
