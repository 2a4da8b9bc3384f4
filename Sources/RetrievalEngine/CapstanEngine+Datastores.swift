package import DatastoreCore
package import DatastoreStorage
import Foundation
import Synchronization

extension CapstanEngine {
    /// - Throws: `invalid_name`, `invalid_value`, `datastore_exists`.
    package func createDatastore(_ request: CreateDatastoreRequest) async throws -> DatastoreInfo {
        try ResourceName.validate(request.name)
        guard (1...Self.maximumKeys).contains(request.keys.count) else {
            throw DatastoreError.field(
                .invalidValue, "keys", "got \(request.keys.count), expected 1 to \(Self.maximumKeys)")
        }
        for key in request.keys { try key.validate() }
        guard Set(request.keys.map(\.name)).count == request.keys.count else {
            throw DatastoreError.field(.invalidValue, "keys.name", "got one twice, expected each key once")
        }
        try Self.validate(request.plan, request.recallGate)
        return try await control { [self] in
            let record = DatastoreRecord(
                name: request.name, kind: request.kind, keys: request.keys, description: request.description,
                licence: request.licence, plan: request.plan ?? .exact,
                recallGate: request.recallGate ?? DatastoreInfo.defaultRecallGate, createdAt: Date())
            try catalog.create(record)
            return try info(record)
        }
    }

    private static let maximumKeys = 16

    /// - Throws: `invalid_value`.
    static func validate(_ plan: IndexPlan?, _ recallGate: Double?) throws {
        try plan?.validate()
        if let recallGate, !(0...1).contains(recallGate) {
            throw DatastoreError.field(.invalidValue, "recall_gate", "got \(recallGate), expected 0 to 1")
        }
    }

    /// - Throws: `unknown_datastore`.
    package func datastore(_ name: String) async throws -> DatastoreInfo {
        try await control { [self] in try info(catalog.datastore(name)) }
    }

    package func datastores(_ page: PageRequest) async throws -> [DatastoreInfo] {
        try await control { [self] in
            try catalog.datastores(page).compactMap { record in
                do {
                    return try info(record)
                } catch let error as DatastoreError where error.code == .unknownDatastore {
                    return nil  // deleted since
                }
            }
        }
    }

    /// - Throws: `unknown_datastore`, `invalid_value`.
    package func updateDatastore(_ name: String, _ change: UpdateDatastoreRequest) async throws -> DatastoreInfo {
        try Self.validate(change.plan, change.recallGate)
        return try await control { [self] in try info(catalog.update(name, change)) }
    }

    /// Forgets a datastore and removes its files. Queries that are under way keep what they have open.
    ///
    /// - Throws: `unknown_datastore`, `datastore_in_use`, `datastore_busy`.
    package func deleteDatastore(_ name: String) async throws {
        // A job that is recorded as ended may still forget the pending changes of its version.
        let unfinished = try await control { [self] in try catalog.unfinishedJobs().contains { $0.datastore == name } }
        if !unfinished { await jobs.whenIdle(name) }
        try await control { [self] in
            try changes.withLock { _ in
                guard !jobs.isBusy(name) else {
                    throw DatastoreError(
                        .datastoreBusy, "a job works on datastore \"\(name)\"; wait until it has ended")
                }
                try catalog.delete(datastore: name)
            }
            try removeFiles(ofDeleted: name)
        }
    }

    func removeFiles(ofDeleted name: String) throws {
        cache.forget(datastore: name)
        recorded.forget(datastore: name)
        try closePendingChanges(name)
        try DurableFiles.remove(directory.datastore(name))
        try catalog.finishDeletion(of: name)
    }

    private func info(_ record: DatastoreRecord) throws -> DatastoreInfo {
        let latest = try catalog.latestVersion(of: record.name)
        return DatastoreInfo(
            name: record.name, kind: record.kind, keys: record.keys, description: record.description,
            licence: record.licence, createdAt: record.createdAt, latestVersion: latest?.id.number,
            entries: latest?.entries ?? 0, pendingChanges: try waitingChanges(record.name, latest), plan: record.plan,
            recallGate: record.recallGate, retention: record.retention.keepsAll ? nil : record.retention)
    }

    /// Pending changes that are in no version; those of the newest may not be forgotten yet.
    func waitingChanges(_ datastore: String, _ latest: VersionRecord?) throws -> Int {
        try pendingChanges(datastore).count(after: latest?.pendingThrough ?? 0)
    }

    // MARK: Versions

    /// Newest first.
    ///
    /// - Throws: `unknown_datastore`.
    package func versions(of datastore: String, _ page: PageRequest) async throws -> [VersionInfo] {
        try await control { [self] in try catalog.versions(of: datastore, page).map { Self.info($0) } }
    }

    /// With its files.
    ///
    /// - Throws: `unknown_datastore`, `unknown_version`.
    package func version(_ id: VersionID) async throws -> VersionInfo {
        try await control { [self] in
            _ = try catalog.datastore(id.datastore)
            let record = try catalog.version(id)
            let manifest = try? manifest(record.id)
            var info = Self.info(record, files: manifest?.files ?? [])
            info.indexes = manifest?.keys.map {
                VersionKeyIndex(key: $0.spec.name, plan: $0.plan, reason: $0.reason, recall: $0.recall)
            }
            return info
        }
    }

    static func info(_ record: VersionRecord, files: [VersionFile]? = nil) -> VersionInfo {
        VersionInfo(
            datastore: record.id.datastore, version: record.id.number, state: record.state, entries: record.entries,
            bytes: record.bytes, createdAt: record.createdAt, jobID: record.jobID, detail: record.detail,
            tags: record.tags, files: files)
    }
}
