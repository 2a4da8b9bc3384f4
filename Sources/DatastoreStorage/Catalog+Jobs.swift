package import DatastoreCore
package import Foundation
import GRDB

extension Catalog {
    /// How long a job is found under its idempotency key, in milliseconds: a week.
    private static let idempotencyPeriod: Int64 = 7 * 24 * 3600 * 1000

    /// Records a new job, queued; or finds the one that was made with the same idempotency key.
    ///
    /// - Parameter creating: the datastore that is made with the job, in one transaction.
    /// - Returns: the job; its id is `id` when it is new.
    /// - Throws: `unknown_datastore`, `idempotency_conflict`; `datastore_exists`, `datastore_busy` for `creating`.
    package func createJob(
        id: String, datastore: String, request: JobRequest, submission: Submission = Submission(),
        creating: DatastoreRecord? = nil, at now: Date
    ) throws -> JobInfo {
        try pool.write { database in
            if let creating { try Self.insert(creating, database) }
            _ = try Self.existingDatastore(datastore, database)
            if let key = submission.idempotency, let job = try Self.job(of: key, datastore, id, now, database) {
                return job
            }
            try database.execute(
                sql: """
                    INSERT INTO jobs (id, kind, datastore, domain, request, submitted_by, state, phase, created_at)
                    VALUES (?, ?, ?, ?, ?, ?, 'queued', 'waiting', ?)
                    """,
                arguments: [
                    id, request.kind.rawValue, datastore, request.domain,
                    try Self.json(request), submission.by, now.milliseconds,
                ])
            return try Self.existingJob(id, database)
        }
    }

    /// The job that was made with an idempotency key; nil, and the key stands for `id`, when there is none or it came to
    /// nothing.
    private static func job(
        of key: Submission.Idempotency, _ datastore: String, _ id: String, _ now: Date, _ database: Database
    ) throws -> JobInfo? {
        try database.execute(
            sql: "DELETE FROM idempotency_keys WHERE created_at < ?",
            arguments: [now.milliseconds - idempotencyPeriod])
        // A job that failed or was cancelled kept nothing, so the request may come again.
        let known = try Row.fetchOne(
            database,
            sql: """
                SELECT fingerprint, job_id FROM idempotency_keys
                WHERE datastore = ? AND key = ?
                    AND job_id NOT IN (SELECT id FROM jobs WHERE state IN ('failed', 'cancelled'))
                """, arguments: [datastore, key.key])
        guard let known else {
            try database.execute(
                sql: """
                    INSERT OR REPLACE INTO idempotency_keys (datastore, key, fingerprint, job_id, created_at)
                    VALUES (?, ?, ?, ?, ?)
                    """, arguments: [datastore, key.key, key.fingerprint, id, now.milliseconds])
            return nil
        }
        let job: String = known["job_id"]
        guard known["fingerprint"] == key.fingerprint else {
            throw DatastoreError(
                .idempotencyConflict,
                "the idempotency key \"\(key.key)\" stands for job \(job), which was asked for something else; "
                    + "expected the same request, or another key")
        }
        return try existingJob(job, database)
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
    ///
    /// - Throws: `cancelled` when it has ended meanwhile.
    package func start(job id: String, phase: JobPhase, at now: Date) throws {
        try pool.write { database in
            try database.execute(
                sql: """
                    UPDATE jobs SET state = 'running', phase = ?, progress = NULL,
                        started_at = coalesce(started_at, ?)
                    WHERE id = ? AND state IN ('queued', 'running')
                    """, arguments: [phase.rawValue, now.milliseconds, id])
            guard database.changesCount > 0 else {
                throw DatastoreError(.cancelled, "job \"\(id)\" has ended")
            }
        }
    }

    /// Records how far the reading of an import is; without `progress`, what it came to.
    package func update(job id: String, tally: ImportTally, progress: JobProgress?) throws {
        func write(_ database: Database) throws {
            try database.execute(
                sql: """
                    UPDATE jobs SET seen = ?, accepted = ?, replaced = ?, duplicate = ?, rejected = ?,
                        rejected_by_code = ?, progress = ?
                    WHERE id = ?
                    """,
                arguments: [
                    tally.counts.seen, tally.counts.accepted, tally.counts.replaced, tally.counts.duplicate,
                    tally.counts.rejected, try Self.json(tally.rejectedByCode), try progress.map(Self.json), id,
                ])
        }
        if progress == nil { try pool.write(write) } else { try pool.writeInPassing(write) }
    }

    /// Records how far a phase is.
    package func update(job id: String, progress: JobProgress?) throws {
        try pool.writeInPassing { database in
            try database.execute(
                sql: "UPDATE jobs SET progress = ? WHERE id = ?", arguments: [try progress.map(Self.json), id])
        }
    }

    package func update(job id: String, report: ImportReport) throws {
        try pool.write { database in
            try database.execute(
                sql: "UPDATE jobs SET report = ? WHERE id = ?", arguments: [try Self.json(report), id])
        }
    }

    package func update(job id: String, report: FilterReport) throws {
        try pool.write { database in
            try database.execute(
                sql: "UPDATE jobs SET filter_report = ? WHERE id = ?", arguments: [try Self.json(report), id])
        }
    }

    package func update(job id: String, report: VerifyReport) throws {
        try pool.write { database in
            try database.execute(
                sql: "UPDATE jobs SET verify_report = ? WHERE id = ?", arguments: [try Self.json(report), id])
        }
    }

    /// Records how far a dump is, where it goes on after a restart.
    package func update(job id: String, position: DumpPosition, progress: JobProgress?) throws {
        try pool.write { database in
            try database.execute(
                sql: "UPDATE jobs SET position = ?, progress = ?, dump_report = ? WHERE id = ?",
                arguments: [
                    try Self.json(position), try progress.map(Self.json), try Self.json(position.report), id,
                ])
        }
    }

    /// Where a dump stopped; nil when it has not begun.
    package func position(ofJob id: String) throws -> DumpPosition? {
        try pool.read { database in
            let text = try String.fetchOne(database, sql: "SELECT position FROM jobs WHERE id = ?", arguments: [id])
            return try text.map { try WireJSON.decode(DumpPosition.self, from: Data($0.utf8)) }
        }
    }

    /// Asks a job to stop. One that never ran ends at once; one that runs, or has run before an interruption, is marked.
    ///
    /// - Throws: `unknown_job`, `job_ended`.
    package func cancel(job id: String, at now: Date) throws -> JobInfo {
        try pool.write { database in
            let job = try Self.existingJob(id, database)
            guard !job.state.isFinal else {
                throw DatastoreError(.jobEnded, "job \"\(id)\" has ended already, \(job.state.rawValue)")
            }
            try database.execute(
                sql: """
                    UPDATE jobs SET cancel_requested = 1,
                        finished_at = CASE WHEN state = 'queued' AND resumed = 0 THEN ? END,
                        state = CASE WHEN state = 'queued' AND resumed = 0 THEN 'cancelled' ELSE state END
                    WHERE id = ?
                    """, arguments: [now.milliseconds, id])
            return try Self.existingJob(id, database)
        }
    }

    static func json(_ value: some Encodable) throws -> String {
        String(decoding: try WireJSON.encode(value), as: UTF8.self)
    }

    /// Ends a job; a job that has ended stays as it is.
    ///
    /// - Parameter version: the one it stands for, where it did not publish one itself.
    package func finish(
        job id: String, state: JobState, error: JobFailure?, version: Int? = nil, at now: Date
    ) throws {
        try pool.write { database in
            try database.execute(
                sql: """
                    UPDATE jobs SET state = ?, phase = CASE WHEN ? = 'succeeded' THEN 'done' ELSE phase END,
                        progress = NULL, version = coalesce(?, version),
                        error_code = ?, error_detail = ?, finished_at = ?
                    WHERE id = ? AND state IN ('queued', 'running')
                    """,
                arguments: [
                    state.rawValue, state.rawValue, version, error?.code, error?.detail, now.milliseconds, id,
                ])
        }
    }

    /// Puts a job that was interrupted back in the queue, and counts that.
    package func requeue(job id: String) throws {
        try pool.write { database in
            try database.execute(
                sql: """
                    UPDATE jobs SET state = 'queued', phase = 'waiting', progress = NULL, resumed = resumed + 1
                    WHERE id = ? AND state = 'running'
                    """, arguments: [id])
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

    /// A JSON column that this release can read; what it cannot is left out of what is shown.
    static func decoded<Value: Decodable>(_ text: String?) -> Value? {
        text.flatMap { try? WireJSON.decode(Value.self, from: Data($0.utf8)) }
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
            counts: counts, rejectedByCode: decoded(row["rejected_by_code"]) ?? [:],
            progress: decoded(row["progress"]), submittedBy: row["submitted_by"], resumed: row["resumed"],
            cancelRequested: row["cancel_requested"], report: decoded(row["report"]), version: row["version"],
            error: (row["error_code"] as String?).map {
                JobFailure(code: $0, detail: row["error_detail"] ?? "")
            },
            createdAt: Date(milliseconds: row["created_at"]),
            startedAt: (row["started_at"] as Int64?).map(Date.init(milliseconds:)),
            finishedAt: (row["finished_at"] as Int64?).map(Date.init(milliseconds:)), domain: row["domain"],
            filterReport: decoded(row["filter_report"]), dumpReport: decoded(row["dump_report"]),
            verifyReport: decoded(row["verify_report"]))
    }
}
