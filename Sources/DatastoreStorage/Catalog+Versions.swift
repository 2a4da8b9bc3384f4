package import DatastoreCore
package import Foundation
import GRDB

/// A version as the catalog has it.
package struct VersionRecord: Sendable, Hashable {
    package var id: VersionID
    package var state: VersionState
    package var detail: String?
    package var entries: Int
    package var bytes: Int64
    package var manifestSHA256: String
    /// The last pending change that is in it.
    package var pendingThrough: Int64
    package var jobID: String?
    package var createdAt: Date
    /// Its names, in their order.
    package var tags: [String] = []

    package init(
        id: VersionID, entries: Int, bytes: Int64, manifestSHA256: String, pendingThrough: Int64, jobID: String?,
        createdAt: Date
    ) {
        self.id = id
        state = .ready
        self.entries = entries
        self.bytes = bytes
        self.manifestSHA256 = manifestSHA256
        self.pendingThrough = pendingThrough
        self.jobID = jobID
        self.createdAt = createdAt
    }

    init(_ row: Row) {
        id = VersionID(datastore: row["datastore"], number: row["number"])
        state = VersionState(rawValue: row["state"]) ?? .damaged
        detail = row["detail"]
        entries = row["entries"]
        bytes = row["bytes"]
        manifestSHA256 = row["manifest_sha256"]
        pendingThrough = row["pending_through"]
        jobID = row["job_id"]
        createdAt = Date(milliseconds: row["created_at"])
        tags = (row["tags"] as String?)?.split(separator: " ").map(String.init) ?? []
    }
}

extension Catalog {
    /// Names a version, moves the domains that follow the latest of its datastore when it is that, and ends its job: one
    /// transaction.
    ///
    /// - Returns: the new revisions of the domains that moved.
    package func publish(_ version: VersionRecord, at now: Date) throws -> [DomainInfo] {
        try pool.write { database in
            _ = try Self.existingDatastore(version.id.datastore, database)
            try database.execute(
                sql: """
                    INSERT INTO versions
                        (datastore, number, state, entries, bytes, manifest_sha256, pending_through, job_id, created_at)
                    VALUES (?, ?, 'ready', ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    version.id.datastore, version.id.number, version.entries, version.bytes, version.manifestSHA256,
                    version.pendingThrough, version.jobID, version.createdAt.milliseconds,
                ])
            // A version that was removed may come back from a bundle: its files are no waste any more.
            try database.execute(
                sql: "DELETE FROM removals WHERE datastore = ? AND version = ?",
                arguments: [version.id.datastore, version.id.number])
            if let job = version.jobID {
                try database.execute(
                    sql: """
                        UPDATE jobs SET state = 'succeeded', phase = 'done', progress = NULL, version = ?,
                            finished_at = ?,
                            error_code = NULL, error_detail = NULL
                        WHERE id = ? AND state IN ('queued', 'running')
                        """, arguments: [version.id.number, now.milliseconds, job])
            }
            // An older one may come back beside newer ones.
            guard try Self.latestVersion(of: version.id.datastore, database)?.id == version.id else { return [] }
            let following = try String.fetchAll(
                database,
                sql: """
                    SELECT DISTINCT domains.name FROM domains
                    JOIN bindings ON bindings.domain = domains.name AND bindings.revision = domains.revision
                    WHERE bindings.datastore = ? AND bindings.follows_latest = 1 ORDER BY 1
                    """, arguments: [version.id.datastore])
            return try following.compactMap { name in
                guard let current = try Self.domain(name, database) else { return nil }
                let bindings = current.datastores.map { binding in
                    guard binding.name == version.id.datastore, binding.followsLatest else { return binding }
                    var next = binding
                    next.version = version.id.number
                    return next
                }
                return try Self.append(
                    name, datastores: bindings, defaults: current.defaults, reason: .follow, restored: nil, at: now,
                    database)
            }
        }
    }

    /// The number of the version that is built next; numbers only go up, also over a deletion.
    package func nextVersionNumber(of datastore: String) throws -> Int {
        try pool.read { try Self.nextVersionNumber(of: datastore, $0) }
    }

    package func latestVersion(of datastore: String) throws -> VersionRecord? {
        try pool.read { try Self.latestVersion(of: datastore, $0) }
    }

    /// - Throws: `unknown_version`, `version_removed` when there was one.
    package func version(_ id: VersionID) throws -> VersionRecord {
        try pool.read { try Self.version(id, $0) }
    }

    /// Newest first.
    package func versions(of datastore: String, _ page: PageRequest) throws -> [VersionRecord] {
        try pool.read { database in
            _ = try Self.existingDatastore(datastore, database)
            return try Row.fetchAll(
                database,
                sql: "\(Self.selectVersions) WHERE datastore = ? AND number < ? ORDER BY number DESC LIMIT ?",
                arguments: [datastore, page.after.flatMap { Int($0) } ?? Int.max, page.limit]
            ).map(VersionRecord.init)
        }
    }

    /// Names of all versions of a datastore that the catalog knows.
    package func versionNumbers(of datastore: String) throws -> Set<Int> {
        try pool.read { database in
            try Int.fetchSet(database, sql: "SELECT number FROM versions WHERE datastore = ?", arguments: [datastore])
        }
    }

    package func damagedVersions() throws -> [VersionID] {
        try pool.read { database in
            try Row.fetchAll(
                database, sql: "SELECT datastore, number FROM versions WHERE state = 'damaged' ORDER BY 1, 2"
            ).map { VersionID(datastore: $0["datastore"], number: $0["number"]) }
        }
    }

    /// Keeps what the files of a version were known by when their bytes were compared.
    package func setChecked(_ id: VersionID, _ stamps: [String: FileStamp]) throws {
        let text = try Self.json(CheckedFiles(release: Release.version, stamps: stamps))
        try pool.writeInPassing { database in
            try database.execute(
                sql: "UPDATE versions SET checked = ? WHERE datastore = ? AND number = ?",
                arguments: [text, id.datastore, id.number])
        }
    }

    /// What `setChecked` kept; nothing when that was another release, which may have checked less.
    package func checked(_ id: VersionID) throws -> [String: FileStamp] {
        try pool.read { database in
            let text = try String.fetchOne(
                database, sql: "SELECT checked FROM versions WHERE datastore = ? AND number = ?",
                arguments: [id.datastore, id.number])
            guard let text, let checked = try? JSONDecoder().decode(CheckedFiles.self, from: Data(text.utf8)),
                checked.release == Release.version
            else { return [:] }
            return checked.stamps
        }
    }

    private struct CheckedFiles: Codable {
        var release: String
        var stamps: [String: FileStamp]
    }

    package func markDamaged(_ id: VersionID, detail: String) throws {
        try pool.write { database in
            try database.execute(
                sql:
                    "UPDATE versions SET state = 'damaged', detail = ?, checked = NULL WHERE datastore = ? AND number = ?",
                arguments: [detail, id.datastore, id.number])
        }
    }

    /// A damaged version whose files are right again.
    package func markReady(_ id: VersionID) throws {
        try pool.write { database in
            try database.execute(
                sql: "UPDATE versions SET state = 'ready', detail = NULL WHERE datastore = ? AND number = ?",
                arguments: [id.datastore, id.number])
        }
    }

    static let selectVersions = """
        SELECT *, (
            SELECT group_concat(tag, ' ') FROM (
                SELECT tag FROM tags WHERE tags.datastore = versions.datastore AND tags.version = versions.number
                ORDER BY tag)) AS tags
        FROM versions
        """

    static func nextVersionNumber(of datastore: String, _ database: Database) throws -> Int {
        let last = try Int.fetchOne(
            database,
            sql: """
                SELECT max(number) FROM (
                    SELECT number FROM versions WHERE datastore = ?
                    UNION ALL SELECT last_version FROM deletions WHERE datastore = ?)
                """, arguments: [datastore, datastore])
        return (last ?? 0) + 1
    }

    static func latestVersion(of datastore: String, _ database: Database) throws -> VersionRecord? {
        try Row.fetchOne(
            database, sql: "\(selectVersions) WHERE datastore = ? ORDER BY number DESC LIMIT 1",
            arguments: [datastore]
        ).map(VersionRecord.init)
    }

    static func version(_ id: VersionID, _ database: Database) throws -> VersionRecord {
        guard
            let row = try Row.fetchOne(
                database, sql: "\(selectVersions) WHERE datastore = ? AND number = ?",
                arguments: [id.datastore, id.number])
        else {
            if let removal = try removal(of: id, database) {
                throw DatastoreError(
                    .versionRemoved,
                    "version \(id.number) of datastore \"\(id.datastore)\" was removed at "
                        + "\(removal.at.formatted(.iso8601)): \(removal.reason); "
                        + "`capstan versions list \(id.datastore)` shows what there is")
            }
            throw DatastoreError(
                .unknownVersion,
                "datastore \"\(id.datastore)\" has no version \(id.number); "
                    + "`capstan versions list \(id.datastore)` shows what there is")
        }
        return VersionRecord(row)
    }
}

extension VersionRecord {
    /// The row of a version whose manifest is sealed.
    package init(manifest: Manifest, manifestSHA256: String, bytes: Int64) {
        self.init(
            id: manifest.id, entries: manifest.entries, bytes: bytes, manifestSHA256: manifestSHA256,
            pendingThrough: manifest.lineage.pendingThrough, jobID: manifest.lineage.jobID,
            createdAt: manifest.createdAt)
    }
}
