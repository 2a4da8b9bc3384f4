package import DatastoreCore
package import Foundation
import GRDB

/// What must hold of a domain for a change to happen.
package enum DomainPrecondition: Sendable, Hashable {
    case none
    /// `If-Match`: the current revision.
    case revision(Int)
    /// `If-None-Match: *`: there is no such domain yet.
    case absent
}

extension Catalog {
    /// The versions that a request binds, `latest` made a number.
    ///
    /// - Throws: `unknown_datastore`, `unknown_version`, `version_removed`, `unknown_tag`, `no_version`.
    package func resolve(_ datastores: [DatastoreBinding]) throws -> [BoundDatastore] {
        try pool.read { database in
            try datastores.map { binding in
                _ = try Self.existingDatastore(binding.name, database)
                if let reference = binding.version.map(String.init) ?? binding.tag {
                    let number = try Self.version(reference, of: binding.name, database).id.number
                    return BoundDatastore(
                        name: binding.name, version: number, followsLatest: false, limit: binding.limit,
                        weight: binding.weight)
                }
                guard let latest = try Self.latestVersion(of: binding.name, database) else {
                    throw DatastoreError(
                        .noVersion,
                        "datastore \"\(binding.name)\" has no version yet; `capstan import \(binding.name) ROWS` makes one"
                    )
                }
                return BoundDatastore(
                    name: binding.name, version: latest.id.number, followsLatest: true, limit: binding.limit,
                    weight: binding.weight)
            }
        }
    }

    /// Appends a revision: the whole of a switch, in one transaction.
    ///
    /// - Throws: `revision_conflict` when the precondition does not hold.
    package func setDomain(
        _ name: String, datastores: [BoundDatastore], defaults: QueryDefaults, reason: RevisionReason,
        restored: Int? = nil, precondition: DomainPrecondition, at now: Date
    ) throws -> DomainInfo {
        try pool.write { database in
            let current = try Self.domain(name, database)
            switch (precondition, current) {
            case (.none, _), (.absent, nil): break
            case (.revision(let expected), let current?) where current.revision == expected: break
            case (.revision(let expected), let current?):
                throw DatastoreError(
                    .revisionConflict,
                    "domain \"\(name)\" is at revision \(current.revision), expected \(expected); look again and retry")
            case (.revision(let expected), nil):
                throw DatastoreError(
                    .revisionConflict, "domain \"\(name)\" does not exist, expected revision \(expected)")
            case (.absent, let current?):
                throw DatastoreError(
                    .revisionConflict, "domain \"\(name)\" exists at revision \(current.revision), expected none")
            }
            // A version can have gone between resolving and now, with its datastore.
            for binding in datastores {
                _ = try Self.version(VersionID(datastore: binding.name, number: binding.version), database)
            }
            return try Self.append(
                name, datastores: datastores, defaults: defaults, reason: reason, restored: restored, at: now, database)
        }
    }

    /// Its history stays, so that its numbers go on when it is made again.
    ///
    /// - Throws: `unknown_domain`.
    package func delete(domain name: String) throws {
        try pool.write { database in
            _ = try Self.existingDomain(name, database)
            try database.execute(sql: "UPDATE domains SET revision = NULL WHERE name = ?", arguments: [name])
        }
    }

    /// - Throws: `unknown_domain`.
    package func domain(_ name: String) throws -> DomainInfo {
        try pool.read { try Self.existingDomain(name, $0) }
    }

    package func domains(_ page: PageRequest) throws -> [DomainInfo] {
        try pool.read { database in
            try String.fetchAll(
                database,
                sql: "SELECT name FROM domains WHERE revision IS NOT NULL AND name > ? ORDER BY name LIMIT ?",
                arguments: [page.after ?? "", page.limit]
            ).compactMap { try Self.domain($0, database) }
        }
    }

    /// All domains as they are, for the snapshot.
    package func allDomains() throws -> [DomainInfo] {
        try domains(PageRequest(limit: -1))
    }

    /// Newest first.
    ///
    /// - Throws: `unknown_domain`.
    package func revisions(of name: String, _ page: PageRequest) throws -> [DomainInfo] {
        try pool.read { database in
            _ = try Self.existingDomain(name, database)
            return try Int.fetchAll(
                database,
                sql: "SELECT revision FROM revisions WHERE domain = ? AND revision < ? ORDER BY revision DESC LIMIT ?",
                arguments: [name, page.after.flatMap { Int($0) } ?? Int.max, page.limit]
            ).compactMap { try Self.revision($0, of: name, database) }
        }
    }

    /// The revision that a rollback returns to: `number`, or the one before the current.
    ///
    /// - Throws: `unknown_domain`, `unknown_revision`.
    package func revision(toRestore number: Int?, of name: String) throws -> DomainInfo {
        try pool.read { database in
            let current = try Self.existingDomain(name, database)
            let wanted = number ?? current.revision - 1
            guard let found = try Self.revision(wanted, of: name, database) else {
                throw DatastoreError(
                    .unknownRevision,
                    number == nil
                        ? "domain \"\(name)\" is at its first revision, there is none before it"
                        : "domain \"\(name)\" has no revision \(wanted), its newest is \(current.revision)")
            }
            return found
        }
    }

    /// A revision of a domain, also of one that was removed since.
    ///
    /// - Throws: `unknown_revision`.
    package func revision(_ number: Int, of name: String) throws -> DomainInfo {
        try pool.read { database in
            guard let found = try Self.revision(number, of: name, database) else {
                throw DatastoreError(.unknownRevision, "domain \"\(name)\" has no revision \(number)")
            }
            return found
        }
    }

    static func append(
        _ name: String, datastores: [BoundDatastore], defaults: QueryDefaults, reason: RevisionReason, restored: Int?,
        at now: Date, _ database: Database
    ) throws -> DomainInfo {
        let last = try Int.fetchOne(
            database, sql: "SELECT last_revision FROM domains WHERE name = ?", arguments: [name])
        let number = (last ?? 0) + 1
        try database.execute(
            sql: """
                INSERT INTO domains (name, revision, last_revision) VALUES (?, ?, ?)
                ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, last_revision = excluded.last_revision
                """, arguments: [name, number, number])
        try database.execute(
            sql: """
                INSERT INTO revisions (domain, revision, reason, restored_revision, defaults, created_at)
                VALUES (?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                name, number, reason.rawValue, restored, String(decoding: try WireJSON.encode(defaults), as: UTF8.self),
                now.milliseconds,
            ])
        for (position, binding) in datastores.enumerated() {
            try database.execute(
                sql: """
                    INSERT INTO bindings
                        (domain, revision, position, datastore, version, follows_latest, max_results, weight)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    name, number, position, binding.name, binding.version, binding.followsLatest, binding.limit,
                    binding.weight,
                ])
        }
        return DomainInfo(
            domain: name, revision: number, reason: reason, restoredRevision: restored,
            createdAt: Date(milliseconds: now.milliseconds), datastores: datastores, defaults: defaults)
    }

    static func domain(_ name: String, _ database: Database) throws -> DomainInfo? {
        guard
            let number = try Int.fetchOne(
                database, sql: "SELECT revision FROM domains WHERE name = ?", arguments: [name])
        else { return nil }
        return try revision(number, of: name, database)
    }

    private static func existingDomain(_ name: String, _ database: Database) throws -> DomainInfo {
        guard let domain = try domain(name, database) else {
            throw DatastoreError(.unknownDomain, "no domain \"\(name)\"; `capstan domain list` shows what there is")
        }
        return domain
    }

    private static func revision(_ number: Int, of name: String, _ database: Database) throws -> DomainInfo? {
        guard
            let row = try Row.fetchOne(
                database, sql: "SELECT * FROM revisions WHERE domain = ? AND revision = ?", arguments: [name, number])
        else { return nil }
        let bindings = try Row.fetchAll(
            database, sql: "SELECT * FROM bindings WHERE domain = ? AND revision = ? ORDER BY position",
            arguments: [name, number]
        ).map {
            BoundDatastore(
                name: $0["datastore"], version: $0["version"], followsLatest: $0["follows_latest"],
                limit: $0["max_results"], weight: $0["weight"])
        }
        return DomainInfo(
            domain: name, revision: number, reason: RevisionReason(rawValue: row["reason"]) ?? .set,
            restoredRevision: row["restored_revision"], createdAt: Date(milliseconds: row["created_at"]),
            datastores: bindings,
            defaults: try WireJSON.decode(QueryDefaults.self, from: Data((row["defaults"] as String).utf8)))
    }
}

extension Catalog {
    /// The bindings with those that follow the latest moved to the newest version.
    package func newest(_ datastores: [BoundDatastore]) throws -> [BoundDatastore] {
        try pool.read { database in
            try datastores.map { binding in
                guard binding.followsLatest, let latest = try Self.latestVersion(of: binding.name, database) else {
                    return binding
                }
                var newest = binding
                newest.version = latest.id.number
                return newest
            }
        }
    }
}
