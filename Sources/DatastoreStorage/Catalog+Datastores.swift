package import DatastoreCore
package import Foundation
import GRDB

/// A datastore as the catalog has it.
package struct DatastoreRecord: Sendable, Hashable {
    package var name: String
    package var kind: DatastoreKind
    package var keys: [KeySpec]
    package var description: String?
    package var licence: String?
    /// How its dense keys are searched.
    package var plan: IndexPlan
    /// The recall that an approximate version must have.
    package var recallGate: Double
    package var createdAt: Date
    /// Which versions stay.
    package var retention = Retention()

    package init(
        name: String, kind: DatastoreKind, keys: [KeySpec], description: String?, licence: String?,
        plan: IndexPlan = .exact, recallGate: Double = DatastoreInfo.defaultRecallGate, createdAt: Date
    ) {
        self.plan = plan
        self.recallGate = recallGate
        self.name = name
        self.kind = kind
        self.keys = keys
        self.description = description
        self.licence = licence
        self.createdAt = createdAt
    }
}

extension Catalog {
    /// - Throws: `datastore_exists`, `datastore_busy`.
    package func create(_ datastore: DatastoreRecord) throws {
        try pool.write { try Self.insert(datastore, $0) }
    }

    static func insert(_ datastore: DatastoreRecord, _ database: Database) throws {
        guard try Self.datastore(datastore.name, database) == nil else {
            throw DatastoreError.field(
                .datastoreExists, "name", "datastore \"\(datastore.name)\" exists already")
        }
        let isGoing = try Bool.fetchOne(
            database, sql: "SELECT EXISTS (SELECT 1 FROM deletions WHERE datastore = ? AND files_removed = 0)",
            arguments: [datastore.name])
        guard isGoing != true else {
            throw DatastoreError(
                .datastoreBusy, "the files of the deleted datastore \"\(datastore.name)\" are still being removed")
        }
        try database.execute(
            sql: """
                INSERT INTO datastores (name, kind, description, licence, plan, recall_gate, created_at)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                datastore.name, datastore.kind.rawValue, datastore.description, datastore.licence,
                try Self.json(datastore.plan), datastore.recallGate, datastore.createdAt.milliseconds,
            ])
        for (position, key) in datastore.keys.enumerated() {
            try database.execute(
                sql: """
                    INSERT INTO keys (datastore, position, name, dim, metric, encoder_model, encoder_revision,
                        encoder_preprocessing, encoder_endpoint, kind, pruning)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    datastore.name, position, key.name, key.dim, key.metric.rawValue, key.encoder?.model,
                    key.encoder?.revision, key.encoder?.preprocessing, key.encoder?.endpoint, key.kind.rawValue,
                    try key.pruning.map(Self.json),
                ])
        }
    }

    /// - Throws: `unknown_datastore`.
    package func datastore(_ name: String) throws -> DatastoreRecord {
        try pool.read { try Self.existingDatastore(name, $0) }
    }

    package func datastores(_ page: PageRequest) throws -> [DatastoreRecord] {
        try pool.read { database in
            try String.fetchAll(
                database, sql: "SELECT name FROM datastores WHERE name > ? ORDER BY name LIMIT ?",
                arguments: [page.after ?? "", page.limit]
            ).map { try Self.existingDatastore($0, database) }
        }
    }

    /// Fields that are nil stay as they are.
    ///
    /// - Throws: `unknown_datastore`.
    package func update(_ name: String, _ change: UpdateDatastoreRequest) throws -> DatastoreRecord {
        try pool.write { database in
            _ = try Self.existingDatastore(name, database)
            try database.execute(
                sql: """
                    UPDATE datastores SET description = coalesce(?, description), licence = coalesce(?, licence),
                        plan = coalesce(?, plan), recall_gate = coalesce(?, recall_gate)
                    WHERE name = ?
                    """,
                arguments: [
                    change.description, change.licence, try change.plan.map(Self.json), change.recallGate, name,
                ])
            if let retention = change.retention {
                try database.execute(
                    sql: "UPDATE datastores SET keep_last = ?, keep_days = ? WHERE name = ?",
                    arguments: [retention.keepLast, retention.keepDays, name])
            }
            return try Self.existingDatastore(name, database)
        }
    }

    /// Keeps the revision of the encoder that made the first vectors of a key, where none was given.
    package func setEncoderRevision(_ revision: String, ofKey key: String, of datastore: String) throws {
        try pool.write { database in
            try database.execute(
                sql: """
                    UPDATE keys SET encoder_revision = ?
                    WHERE datastore = ? AND name = ? AND encoder_model IS NOT NULL AND encoder_revision IS NULL
                    """, arguments: [revision, datastore, key])
        }
    }

    /// Forgets a datastore and its versions.
    ///
    /// - Throws: `unknown_datastore`; `datastore_in_use` while a domain is bound to it; `datastore_busy` while a job
    ///   works on it.
    package func delete(datastore name: String) throws {
        try pool.write { database in
            _ = try Self.existingDatastore(name, database)
            let domains = try String.fetchAll(
                database,
                sql: """
                    SELECT DISTINCT domains.name FROM domains
                    JOIN bindings ON bindings.domain = domains.name AND bindings.revision = domains.revision
                    WHERE bindings.datastore = ? ORDER BY 1
                    """, arguments: [name])
            guard domains.isEmpty else {
                throw DatastoreError(
                    .datastoreInUse,
                    "datastore \"\(name)\" answers for \(domains.joined(separator: ", ")); switch or delete that first")
            }
            let jobs = try Int.fetchOne(
                database, sql: "SELECT count(*) FROM jobs WHERE datastore = ? AND state IN ('queued', 'running')",
                arguments: [name])
            guard jobs == 0 else {
                throw DatastoreError(
                    .datastoreBusy, "\(jobs ?? 0) jobs work on datastore \"\(name)\"; wait until they have ended")
            }
            let last = try Self.nextVersionNumber(of: name, database) - 1
            try database.execute(sql: "DELETE FROM idempotency_keys WHERE datastore = ?", arguments: [name])
            try database.execute(sql: "DELETE FROM removals WHERE datastore = ?", arguments: [name])
            try database.execute(sql: "DELETE FROM datastores WHERE name = ?", arguments: [name])
            try database.execute(
                sql: "INSERT OR REPLACE INTO deletions (datastore, last_version) VALUES (?, ?)",
                arguments: [name, last])
        }
    }

    /// Deleted datastores whose files may still be there.
    package func deletions() throws -> [String] {
        try pool.read {
            try String.fetchAll($0, sql: "SELECT datastore FROM deletions WHERE files_removed = 0 ORDER BY 1")
        }
    }

    /// Notes that the files of a deleted datastore are gone.
    package func finishDeletion(of name: String) throws {
        try pool.write {
            try $0.execute(sql: "UPDATE deletions SET files_removed = 1 WHERE datastore = ?", arguments: [name])
        }
    }

    static func existingDatastore(_ name: String, _ database: Database) throws -> DatastoreRecord {
        guard let datastore = try datastore(name, database) else {
            throw DatastoreError(
                .unknownDatastore, "no datastore \"\(name)\"; `capstan datastore list` shows what there is")
        }
        return datastore
    }

    private static func datastore(_ name: String, _ database: Database) throws -> DatastoreRecord? {
        guard let row = try Row.fetchOne(database, sql: "SELECT * FROM datastores WHERE name = ?", arguments: [name])
        else { return nil }
        let keys = try Row.fetchAll(
            database, sql: "SELECT * FROM keys WHERE datastore = ? ORDER BY position", arguments: [name]
        ).map { key in
            if KeyKind(rawValue: key["kind"]) == .sparse {
                return KeySpec(name: key["name"], terms: key["dim"], pruning: decoded(key["pruning"]))
            }
            return KeySpec(
                name: key["name"], dim: key["dim"], metric: Metric(rawValue: key["metric"]) ?? .cosine,
                encoder: (key["encoder_model"] as String?).map {
                    Encoder(
                        model: $0, revision: key["encoder_revision"], preprocessing: key["encoder_preprocessing"],
                        endpoint: key["encoder_endpoint"])
                })
        }
        var record = DatastoreRecord(
            name: row["name"], kind: DatastoreKind(rawValue: row["kind"]) ?? .captions, keys: keys,
            description: row["description"], licence: row["licence"], plan: decoded(row["plan"]) ?? .exact,
            recallGate: row["recall_gate"], createdAt: Date(milliseconds: row["created_at"]))
        record.retention = Retention(keepLast: row["keep_last"], keepDays: row["keep_days"])
        return record
    }
}
