package import DatastoreCore
import DatastoreStorage
package import Foundation
import Synchronization

/// Single changes, and questions that count them.
extension CapstanEngine {
    /// Pending changes that questions may count.
    private static let maximumPending = 50_000

    /// What is pending now. Blocks when something has changed since the last question.
    ///
    /// - Throws: `unknown_datastore`, `too_many_pending`.
    func pendingView(_ datastore: String) throws -> PendingView {
        let changes = try pendingChanges(datastore)
        let generation = changes.generation
        let known = pendingViews.withLock { $0[datastore] }
        if let known, known.generation == generation { return known }
        return try loadingViews.withLock { _ in try loadedView(datastore, changes) }
    }

    /// One at a time: those who wait find what was loaded meanwhile.
    private func loadedView(_ datastore: String, _ changes: PendingChanges) throws -> PendingView {
        while true {
            let generation = changes.generation
            do {
                return try loadedView(datastore, changes, generation)
            } catch {
                // What was read may have gone into a version meanwhile.
                guard changes.generation != generation else { throw error }
            }
        }
    }

    private func loadedView(
        _ datastore: String, _ changes: PendingChanges, _ generation: Int
    ) throws -> PendingView {
        if let known = pendingViews.withLock({ $0[datastore] }), known.generation == generation { return known }
        let count = try changes.count()
        guard count <= Self.maximumPending else {
            throw DatastoreError(
                .tooManyPending,
                "datastore \"\(datastore)\" has \(count) pending changes, and questions can count \(Self.maximumPending); "
                    + "build a version (`capstan reindex \(datastore)`), or ask without include_pending")
        }
        let view = PendingView(generation: generation, changes: try changes.changes(after: 0))
        pendingViews.withLock { $0[datastore] = view }
        return view
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
        return EntryChanges(
            entries: outcome.entries.map(\.change), counts: outcome.tally.counts,
            pendingChanges: try waitingChanges(datastore, catalog.latestVersion(of: datastore)))
    }
}
