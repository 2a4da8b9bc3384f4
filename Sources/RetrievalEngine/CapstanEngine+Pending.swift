package import DatastoreCore
import DatastoreStorage
package import Foundation
import Logging
import Synchronization

/// Single changes, and questions that count them.
extension CapstanEngine {
    /// What is pending now. Blocks when something has changed since the last question.
    ///
    /// - Throws: `unknown_datastore`, `too_many_pending`.
    func pendingView(_ datastore: String) throws -> PendingView {
        let changes = try pendingChanges(datastore)
        let box = pendingViews.withLock { boxes in
            let box = boxes[datastore] ?? PendingViewBox()
            boxes[datastore] = box
            return box
        }
        do {
            return try box.view(of: changes, limit: configuration.maximumPending)
        } catch let error as DatastoreError where error.code == .tooManyPending {
            throw DatastoreError(
                .tooManyPending,
                "datastore \"\(datastore)\": \(error.detail); build a version (`capstan reindex \(datastore)`), or ask "
                    + "without include_pending")
        }
    }

    /// Adds or replaces entries: durable on return, in the next version, and in answers that count pending changes.
    ///
    /// - Parameter rows: NDJSON, as an import reads it.
    /// - Throws: `unknown_datastore`, `datastore_busy`, and what an import throws about the whole source.
    package func addEntries(_ rows: Data, to datastore: String) async throws -> EntryChanges {
        let job = Self.newJobID()
        return try await changing { [self] in
            let pending = try pendingChanges(datastore)
            // What is there must not change between the look at it and the commit.
            return try pending.serially { try add(rows, to: datastore, pending, job: job) }
        }
    }

    private func add(_ rows: Data, to datastore: String, _ pending: PendingChanges, job: String) throws -> EntryChanges
    {
        let record = try catalog.datastore(datastore)
        let base = try catalog.latestVersion(of: datastore).map { try open($0.id) }
        let encoders = try rowEncoders(of: record, patient: false)
        let folder = directory.staging(job: job)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? DurableFiles.remove(folder) }
        let file = folder.appending(path: "rows")
        try rows.write(to: file)
        var reading = ImportReading(
            job: job, keys: record.keys, rows: file.path, vectors: [:],
            options: ImportOptions(build: false, format: .ndjson, pool: .mean), sources: { [] }, pending: pending,
            base: base, encoders: encoders, termIndex: try termIndex(of: record), wordless: wordless(of: record),
            rejects: folder.appending(path: "rejects.jsonl"), onForm: { _ in },
            beforeCommit: { [self] in try keepRevisions(of: encoders, record) },
            checkpoint: { [self] in try checkpoint(job) },
            onProgress: { _, _ in })
        reading.tellsEntries = true
        let outcome = try reading.run()
        let count = try waitingChanges(datastore, catalog.latestVersion(of: datastore))
        return EntryChanges(
            entries: outcome.entries.map(\.change), counts: outcome.tally.counts, pendingChanges: count,
            warning: warn(datastore, pending: count))
    }

    /// What is to be said of so many pending changes; nil while they are few. The log is told once, until they are few again.
    func warn(_ datastore: String, pending count: Int) -> String? {
        let limit = configuration.maximumPending
        guard count * 2 >= limit else {
            warnedDatastores.withLock { _ = $0.remove(datastore) }
            return nil
        }
        let warning =
            count <= limit
            ? "\(count) pending changes, of \(limit) that questions can count; build a version (`capstan reindex \(datastore)`)"
            : "\(count) pending changes, more than the \(limit) that questions can count: those with include_pending are "
                + "refused; build a version (`capstan reindex \(datastore)`)"
        if warnedDatastores.withLock({ $0.insert(datastore).inserted }) {
            logger.warning(
                "many pending changes",
                metadata: ["datastore": "\(datastore)", "pending": "\(count)", "limit": "\(limit)"])
        }
        return warning
    }

    // MARK: Deletions

    /// Deletes entries: durable on return, left out of the next version, and of answers that count pending changes.
    ///
    /// What is not there, or was deleted before, is told as unknown and is no error. An external id is free again for
    /// another entry, which gets an id of its own.
    ///
    /// - Parameter lines: NDJSON, an `EntryName` a line; lines that are none are rejected one by one.
    /// - Throws: `unknown_datastore`, `no_rows_accepted`.
    package func deleteEntries(_ lines: Data, of datastore: String) async throws -> EntryDeletions {
        let names = lines.split(separator: UInt8(ascii: "\n")).filter { !$0.allSatisfy(Self.isSpace) }.map { line in
            Result<EntryName, DatastoreError> { () throws(DatastoreError) in
                do {
                    return try WireJSON.decode(EntryName.self, from: Data(line))
                } catch let error as DatastoreError {
                    throw error
                } catch {
                    throw DatastoreError(.invalidJSON, "\(error)")
                }
            }
        }
        guard !names.isEmpty else { throw DatastoreError(.noRowsAccepted, "got no rows, expected at least one") }
        return try await deleteEntries(names, of: datastore)
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

    /// Deletes one entry by its id, as many are deleted.
    ///
    /// - Throws: `unknown_datastore`.
    package func deleteEntry(_ id: Int64, of datastore: String) async throws -> EntryDeletions {
        try await deleteEntries([.success(.id(id))], of: datastore)
    }

    private func deleteEntries(
        _ names: [Result<EntryName, DatastoreError>], of datastore: String
    ) async throws -> EntryDeletions {
        let job = Self.newJobID()
        return try await changing { [self] in
            let pending = try pendingChanges(datastore)
            return try pending.serially {
                _ = try catalog.datastore(datastore)
                let base = try catalog.latestVersion(of: datastore).map { try open($0.id) }
                let (told, deletions) = try Self.deletions(names, pending, base)
                try pending.delete(deletions, job: job)
                let count = try waitingChanges(datastore, catalog.latestVersion(of: datastore))
                return EntryDeletions(
                    entries: told, pendingChanges: count, warning: warn(datastore, pending: count))
            }
        }
    }

    /// What each name stands for, and the deletions that come of it.
    private static func deletions(
        _ names: [Result<EntryName, DatastoreError>], _ pending: PendingChanges, _ base: OpenVersion?
    ) throws -> (told: [EntryDeletion], deletions: [PendingEntry]) {
        var ids: [Int64] = []
        var externalIDs: [String] = []
        for case .success(let name) in names {
            switch name {
            case .id(let id): ids.append(id)
            case .externalID(let externalID): externalIDs.append(externalID)
            }
        }
        let changedIDs = try pending.standings(ofIDs: ids)
        let changedExternalIDs = try pending.standings(ofExternalIDs: externalIDs)
        let oldExternalIDs = try base?.entries.entries(
            externalIDs: externalIDs.filter { changedExternalIDs[$0] == nil })
        var gone: Set<Int64> = []
        var deletions: [PendingEntry] = []
        func delete(_ id: Int64, _ externalID: String?) -> EntryDeletion? {
            guard gone.insert(id).inserted else { return nil }
            deletions.append(.deletion(of: id, externalID: externalID))
            return EntryDeletion(outcome: .deleted, id: id, externalID: externalID)
        }
        let told = try names.map { name -> EntryDeletion in
            switch name {
            case .failure(let error):
                return EntryDeletion(
                    outcome: .rejected, id: nil, externalID: nil,
                    error: JobFailure(code: error.code.rawValue, detail: error.detail))
            case .success(.externalID(let externalID)):
                var id = oldExternalIDs?[externalID]?.id
                if let changed = changedExternalIDs[externalID] { id = changed.isDeleted ? nil : changed.id }
                return id.flatMap { delete($0, externalID) }
                    ?? EntryDeletion(outcome: .unknown, id: nil, externalID: externalID)
            case .success(.id(let id)):
                let unknown = EntryDeletion(outcome: .unknown, id: id, externalID: nil)
                if let changed = changedIDs[id] {
                    return changed.isDeleted ? unknown : delete(id, changed.externalID) ?? unknown
                }
                guard let base, base.row(ofID: id) != nil else { return unknown }
                return try delete(id, base.entries.entries([id])[0].fields.externalID) ?? unknown
            }
        }
        return (told, deletions)
    }
}
