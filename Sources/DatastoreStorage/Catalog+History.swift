package import DatastoreCore
package import Foundation
import GRDB

/// Tags, and versions that go.
extension Catalog {
    // MARK: Names

    /// The version that a reference names: a number, a tag, or `latest`.
    ///
    /// - Throws: `unknown_datastore`, `unknown_version`, `version_removed`, `unknown_tag`, `no_version`.
    package func version(_ reference: String, of datastore: String) throws -> VersionRecord {
        try pool.read { database in
            _ = try Self.existingDatastore(datastore, database)
            return try Self.version(reference, of: datastore, database)
        }
    }

    static func version(_ reference: String, of datastore: String, _ database: Database) throws -> VersionRecord {
        if let number = Int(reference) {
            return try version(VersionID(datastore: datastore, number: number), database)
        }
        if reference == "latest" {
            guard let latest = try latestVersion(of: datastore, database) else {
                throw DatastoreError(.noVersion, "datastore \"\(datastore)\" has no version yet")
            }
            return latest
        }
        return try version(
            VersionID(datastore: datastore, number: taggedVersion(reference, of: datastore, database)), database)
    }

    private static func taggedVersion(_ tag: String, of datastore: String, _ database: Database) throws -> Int {
        let number = try Int.fetchOne(
            database, sql: "SELECT version FROM tags WHERE datastore = ? AND tag = ?", arguments: [datastore, tag])
        guard let number else {
            throw DatastoreError.field(
                .unknownTag, "version",
                "datastore \"\(datastore)\" has no version tagged \"\(tag.prefix(80))\"; expected a number, a tag or latest"
            )
        }
        return number
    }

    /// Gives a version a name; the same name twice is once.
    ///
    /// - Parameter moves: whether the name may be taken from another version.
    /// - Throws: `unknown_version`, `tag_exists`.
    package func tag(_ id: VersionID, _ tag: String, moves: Bool, at now: Date) throws -> VersionRecord {
        try pool.write { database in
            let version = try Self.version(id, database)
            let other = try Int.fetchOne(
                database, sql: "SELECT version FROM tags WHERE datastore = ? AND tag = ?",
                arguments: [id.datastore, tag])
            if let other, other != id.number, !moves {
                throw DatastoreError(
                    .tagExists,
                    "\"\(tag)\" names \(id.datastore)@\(other); ask for it to be moved, or take another name")
            }
            guard other != id.number else { return version }
            try database.execute(
                sql: "INSERT OR REPLACE INTO tags (datastore, tag, version, created_at) VALUES (?, ?, ?, ?)",
                arguments: [id.datastore, tag, id.number, now.milliseconds])
            return try Self.version(id, database)
        }
    }

    /// - Throws: `unknown_version`, `unknown_tag` when the version has no such name.
    package func untag(_ id: VersionID, _ tag: String) throws {
        try pool.write { database in
            let version = try Self.version(id, database)
            guard version.tags.contains(tag) else {
                throw DatastoreError(.unknownTag, "\(id) is not tagged \"\(tag.prefix(80))\"")
            }
            try database.execute(
                sql: "DELETE FROM tags WHERE datastore = ? AND tag = ?", arguments: [id.datastore, tag])
        }
    }

    // MARK: Letting go

    /// Versions that the retention of their datastore does not keep, each with the reason, oldest first.
    ///
    /// - Throws: `unknown_datastore`.
    package func expiredVersions(of datastore: String, at now: Date) throws -> [(VersionRecord, reason: String)] {
        try pool.read { try Self.expiredVersions(of: datastore, now, $0) }
    }

    /// Forgets the versions that retention does not keep, in one transaction; their files are still there.
    ///
    /// - Throws: `unknown_datastore`.
    package func removeExpiredVersions(of datastore: String, at now: Date) throws -> [(VersionRecord, reason: String)] {
        try pool.write { database in
            let expired = try Self.expiredVersions(of: datastore, now, database)
            for (version, reason) in expired { try Self.remove(version.id, reason, now, database) }
            return expired
        }
    }

    /// Forgets one version; its files are still there.
    ///
    /// - Throws: `unknown_version`, `version_in_use`, which says for what.
    package func remove(_ id: VersionID, reason: String, at now: Date) throws -> VersionRecord {
        try pool.write { database in
            let version = try Self.version(id, database)
            if let use = try Self.uses(of: id.datastore, database)[id.number] {
                throw DatastoreError(.versionInUse, "\(id) stays: \(use.joined(separator: "; "))")
            }
            try Self.remove(id, reason, now, database)
            return version
        }
    }

    /// Versions that were forgotten while their files may still be there, each with the reason.
    package func unfinishedRemovals() throws -> [(VersionID, reason: String)] {
        try pool.read { database in
            try Row.fetchAll(
                database, sql: "SELECT datastore, version, reason FROM removals WHERE files_removed = 0 ORDER BY 1, 2"
            ).map { (VersionID(datastore: $0["datastore"], number: $0["version"]), $0["reason"]) }
        }
    }

    /// Notes that the files of a version are gone.
    package func finishRemoval(of id: VersionID) throws {
        try pool.write {
            try $0.execute(
                sql: "UPDATE removals SET files_removed = 1 WHERE datastore = ? AND version = ?",
                arguments: [id.datastore, id.number])
        }
    }

    private static func remove(_ id: VersionID, _ reason: String, _ now: Date, _ database: Database) throws {
        try database.execute(
            sql: "DELETE FROM versions WHERE datastore = ? AND number = ?", arguments: [id.datastore, id.number])
        try database.execute(
            sql: "INSERT OR REPLACE INTO removals (datastore, version, reason, removed_at) VALUES (?, ?, ?, ?)",
            arguments: [id.datastore, id.number, reason, now.milliseconds])
    }

    /// When and why a version went; nil when it did not.
    static func removal(of id: VersionID, _ database: Database) throws -> (at: Date, reason: String)? {
        try Row.fetchOne(
            database, sql: "SELECT removed_at, reason FROM removals WHERE datastore = ? AND version = ?",
            arguments: [id.datastore, id.number]
        ).map { (Date(milliseconds: $0["removed_at"]), $0["reason"]) }
    }

    /// What versions are needed for now, whatever retention says.
    private static func uses(of datastore: String, _ database: Database) throws -> [Int: [String]] {
        var uses: [Int: [String]] = [:]
        if let latest = try latestVersion(of: datastore, database) {
            uses[latest.id.number, default: []].append("it is the newest, on which the next one is built")
        }
        let bound = try Row.fetchAll(
            database,
            sql: """
                SELECT bindings.version, domains.name FROM domains
                JOIN bindings ON bindings.domain = domains.name AND bindings.revision = domains.revision
                WHERE bindings.datastore = ? ORDER BY 2
                """, arguments: [datastore])
        for row in bound { uses[row["version"], default: []].append("domain \(row["name"] as String) answers from it") }
        let tagged = try Row.fetchAll(
            database, sql: "SELECT version, tag FROM tags WHERE datastore = ? ORDER BY tag", arguments: [datastore])
        for row in tagged { uses[row["version"], default: []].append("it is tagged \(row["tag"] as String)") }
        let jobs = try Row.fetchAll(
            database, sql: "SELECT id, datastore, request FROM jobs WHERE state IN ('queued', 'running')")
        for row in jobs {
            let request: JobRequest? = decoded(row["request"])
            let reason = "job \(row["id"] as String) reads it"
            switch request {
            case .verify(let version) where row["datastore"] == datastore:
                uses[version, default: []].append(reason)
            case .dump(let domain, let revision, _, _, _):
                let versions = try Int.fetchAll(
                    database, sql: "SELECT version FROM bindings WHERE domain = ? AND revision = ? AND datastore = ?",
                    arguments: [domain, revision, datastore])
                for version in versions { uses[version, default: []].append(reason) }
            default: break
            }
        }
        return uses
    }

    private static func expiredVersions(
        of datastore: String, _ now: Date, _ database: Database
    ) throws -> [(VersionRecord, reason: String)] {
        let retention = try existingDatastore(datastore, database).retention
        guard !retention.keepsAll else { return [] }
        let earliest = retention.keepDays.map { now.addingTimeInterval(-86400 * Double($0)).milliseconds } ?? Int64.max
        let inUse = Set(try uses(of: datastore, database).keys)
        // A rollback to one of these revisions is to be possible.
        let restorable = try Int.fetchSet(
            database,
            sql: """
                SELECT bindings.version FROM domains
                JOIN revisions ON revisions.domain = domains.name
                JOIN bindings ON bindings.domain = domains.name AND bindings.revision = revisions.revision
                WHERE bindings.datastore = ? AND domains.revision IS NOT NULL
                    AND (revisions.revision > domains.revision - ? OR revisions.created_at >= ?)
                """, arguments: [datastore, max(2, retention.keepLast ?? 0), earliest])
        let versions = try Row.fetchAll(
            database, sql: "\(selectVersions) WHERE datastore = ? ORDER BY number DESC", arguments: [datastore]
        ).map(VersionRecord.init)
        let newest = Set(versions.filter { $0.state == .ready }.prefix(retention.keepLast ?? 0).map(\.id.number))
        let reason = [
            retention.keepLast.map { "not among the newest \($0)" }, retention.keepDays.map { "older than \($0) days" },
        ].compactMap(\.self).joined(separator: ", and ")
        return versions.reversed().filter { version in
            let number = version.id.number
            return !newest.contains(number) && version.createdAt.milliseconds < earliest && !inUse.contains(number)
                && !restorable.contains(number)
        }.map { ($0, reason) }
    }
}
