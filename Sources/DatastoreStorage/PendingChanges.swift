import DatastoreCore
package import Foundation
import GRDB
import Migrations
import Synchronization

/// `pending.sqlite` of one datastore: changes that are durable and wait for the next version, and the counter of ids. The
/// vectors of each job's changes are in a file of their own in `pending/` beside it.
///
/// A job stages its changes in batches and commits them as one; what is not committed does not count and goes with
/// `discard`. Thread-safe; calls block.
package final class PendingChanges: Sendable {
    let pool: DatabasePool
    /// Where the files of vectors are.
    let folder: URL
    private let generationNumber = Atomic<Int>(PendingChanges.nextGeneration())
    private let serial = Mutex<Void>(())
    /// Files that are open, by job.
    private let open = Mutex<[String: PendingVectors]>([:])
    /// Held while a file gets another name: one that a backup has does not become a version's, which writes to it.
    let naming = Mutex<Void>(())

    package init(_ url: URL) throws {
        var configuration = Configuration()
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { database in
            // Pages of 4 KiB in the log: an import writes the same pages of the indexes again and again.
            try database.execute(sql: "PRAGMA wal_autocheckpoint = 8192; PRAGMA cache_size = -16384")
        }
        let migrator = DatabaseMigrator(Migration.pending)
        try migrator.refuseNewer(url)
        pool = try DatabasePool(path: url.path, configuration: configuration)
        try pool.syncEveryCommit()
        try migrator.migrate(pool)
        folder = url.deletingLastPathComponent().appending(path: "pending")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try removeFilesOfNoBatch()
    }

    /// A crash may come between the end of a batch and the end of its file.
    private func removeFilesOfNoBatch() throws {
        let jobs = try pool.read { try Set(String.fetchAll($0, sql: "SELECT job_id FROM batches")) }
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path)
        where !jobs.contains(name.replacing(Self.suffix, with: "")) {
            try DurableFiles.remove(folder.appending(path: name))
        }
    }

    static let suffix = ".vectors"
    private static let openFiles = 64

    private func file(ofJob job: String) -> URL { folder.appending(path: job + Self.suffix) }

    private func vectors(ofJob job: String, isWritten: Bool = false) throws -> PendingVectors {
        try open.withLock { open in
            if let vectors = open[job], vectors.isWritten || !isWritten { return vectors }
            let vectors = try PendingVectors(file(ofJob: job), isWritten: isWritten)
            if isWritten { try DurableFiles.sync(folder) }
            // Many small batches may wait for a version; descriptors are few.
            if open.count >= Self.openFiles, let other = open.keys.first { open[other] = nil }
            open[job] = vectors
            return vectors
        }
    }

    /// Removes the files of jobs that have no batch any more.
    private func removeFiles(ofJobs jobs: [String]) throws {
        for job in jobs {
            _ = open.withLock { $0.removeValue(forKey: job) }
            try DurableFiles.remove(file(ofJob: job))
        }
    }

    /// Makes sure that ids and sequence numbers go on after those of the newest version, also when this file was lost
    /// and made anew: an id that came twice would replace another entry.
    package func goOn(afterID id: Int64, sequence: Int64) throws {
        let goesOn = try pool.read { database in
            let last = try Int64.fetchOne(database, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
            return try Self.counter("next_entry_id", database) > id && last.map { $0 >= sequence } ?? false
                && Self.counter("forgotten_through", database) >= sequence
        }
        if goesOn { return }
        try pool.write { database in
            try database.execute(
                sql: "UPDATE counters SET value = max(value, ?) WHERE name = 'next_entry_id'", arguments: [id + 1])
            let last = try Int64.fetchOne(database, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
            if last == nil {
                try database.execute(
                    sql: "INSERT INTO sqlite_sequence (name, seq) VALUES ('changes', ?)", arguments: [sequence])
            } else if let last, last < sequence {
                try database.execute(
                    sql: "UPDATE sqlite_sequence SET seq = ? WHERE name = 'changes'", arguments: [sequence])
            }
            try database.execute(
                sql: "UPDATE counters SET value = max(value, ?) WHERE name = 'forgotten_through'",
                arguments: [sequence])
        }
    }

    /// Whether what is acknowledged is on disk; tests hold it.
    package func syncsEveryCommit() throws -> Bool {
        try pool.syncsEveryCommit()
    }

    /// Counts up with each change of what counts.
    package var generation: Int { generationNumber.load(ordering: .acquiring) }

    /// Numbers are never used twice in a process: a datastore that is deleted and made again has others.
    private static let generations = Atomic<Int>(0)

    private static func nextGeneration() -> Int { generations.wrappingAdd(1, ordering: .relaxed).newValue }

    private func noteChange() { generationNumber.store(Self.nextGeneration(), ordering: .releasing) }

    /// Runs `body` while no other caller is in here and nothing that is in a version is forgotten: for changes that depend
    /// on what is there.
    package func serially<Value>(_ body: () throws -> Value) rethrows -> Value {
        try serial.withLock { _ in try body() }
    }

    package func close() throws {
        try pool.close()
    }

    // MARK: One job's batch

    /// Begins the batch of a job, or goes on with it.
    ///
    /// - Returns: where the reading of an uncommitted batch stopped; nil for a new one.
    @discardableResult
    package func begin(job: String) throws -> ImportPosition? {
        try pool.write { database in
            let progress = try Row.fetchOne(
                database, sql: "SELECT progress FROM batches WHERE job_id = ?", arguments: [job])
            guard let progress else {
                try database.execute(sql: "INSERT INTO batches (job_id) VALUES (?)", arguments: [job])
                return nil
            }
            if let text: String = progress[0] {
                return try WireJSON.decode(ImportPosition.self, from: Data(text.utf8))
            }
            // Nothing was said of how far it is: nothing of it is kept.
            try database.execute(sql: "DELETE FROM changes WHERE job_id = ?", arguments: [job])
            try database.execute(sql: "UPDATE batches SET vector_bytes = 0 WHERE job_id = ?", arguments: [job])
            return nil
        }
    }

    /// Adds changes to the batch of a job, and records how far the reading is. Entries with id 0 are new and get the
    /// next ids.
    ///
    /// - Returns: the ids, in the order of the entries.
    @discardableResult
    package func stage(_ entries: [PendingEntry], job: String, position: ImportPosition? = nil) throws -> [Int64] {
        try pool.write { database in
            if let position {
                try database.execute(
                    sql: "UPDATE batches SET progress = ? WHERE job_id = ?",
                    arguments: [String(decoding: try WireJSON.encode(position), as: UTF8.self), job])
            }
            let known = try Int64.fetchOne(
                database, sql: "SELECT vector_bytes FROM batches WHERE job_id = ?", arguments: [job])
            guard let known else {
                throw DatastoreError(.internalError, "job \"\(job)\" has no batch of pending changes to add to")
            }
            var offset = max(known, PendingVectors.headerRoom)
            // On disk before the rows that point to it.
            var bytes: [UInt8] = []
            bytes.reserveCapacity(PendingLayout.size(entries))
            let lengths = entries.map { entry in
                let start = bytes.count
                PendingLayout.bytes(entry.vectors, into: &bytes)
                return bytes.count - start
            }
            if !bytes.isEmpty {
                try vectors(ofJob: job, isWritten: true).write(bytes, at: offset)
                try database.execute(
                    sql: "UPDATE batches SET vector_bytes = ? WHERE job_id = ?",
                    arguments: [offset + Int64(bytes.count), job])
            }
            let fresh = entries.count { $0.entry.id == 0 }
            var nextID = try Self.reserveIDs(fresh, database)
            let insert = try InsertStatement(
                """
                INSERT INTO changes
                    (job_id, entry_id, \(EntryColumns.list), vector, half_precision, vector_offset, vector_layout,
                        vector_bytes)
                VALUES (?, ?, \(EntryColumns.placeholders), x'', ?, ?, ?, ?)
                """, database)
            var ids: [Int64] = []
            ids.reserveCapacity(entries.count)
            var layout: (of: PendingLayout, text: String)?
            for (change, length) in zip(entries, lengths) {
                var id = change.entry.id
                if id == 0 {
                    id = nextID
                    nextID += 1
                }
                let own = PendingLayout(change.vectors)
                if layout?.of != own { layout = (own, own.text) }
                try insert.run { row in
                    row.bind(job)
                    row.bind(id)
                    try EntryColumns.bind(change.entry.fields, to: &row)
                    row.bind(change.vectors.allSatisfy(\.isHalfPrecision) ? 1 : 0)
                    row.bind(offset)
                    row.bind(layout?.text)
                    row.bind(Int64(length))
                }
                offset += Int64(length)
                ids.append(id)
            }
            return ids
        }
    }

    /// Makes the batch of a job count. From here on its rows survive anything.
    ///
    /// An external id that another batch has given an id since this one was staged keeps that id; one whose entry was
    /// deleted since gets a new id.
    package func commit(job: String) throws {
        defer { noteChange() }
        try pool.write { database in
            try giveWayToOthers(job, database)
            try database.execute(sql: "UPDATE batches SET committed = 1 WHERE job_id = ?", arguments: [job])
        }
        // Single entries are a batch each: their files are opened again when they are read.
        _ = open.withLock { $0.removeValue(forKey: job) }
    }

    private func giveWayToOthers(_ job: String, _ database: Database) throws {
        guard try Self.hasCommitted(database) else { return }
        try moveBehindDeletions(job, database)
        try database.execute(
            sql: """
                UPDATE changes SET entry_id = (\(Self.lastOfExternalID("other.entry_id")))
                WHERE job_id = ? AND external_id IS NOT NULL AND EXISTS (
                    SELECT 1 FROM changes AS other JOIN batches USING (job_id)
                    WHERE other.external_id = changes.external_id AND batches.committed = 1
                        AND other.entry_id <> changes.entry_id)
                    AND (\(Self.lastOfExternalID("other.deletes"))) = 0
                """, arguments: [job])
        let comesBetween = try Bool.fetchOne(
            database,
            sql: """
                SELECT EXISTS (
                    SELECT 1 FROM changes CROSS JOIN batches USING (job_id)
                    WHERE sequence > (SELECT min(sequence) FROM changes WHERE job_id = ?) AND committed = 1)
                """, arguments: [job])
        if comesBetween ?? false { try Self.noteRewrite(database) }
    }

    private static func hasCommitted(_ database: Database) throws -> Bool {
        try Bool.fetchOne(database, sql: "SELECT EXISTS (SELECT 1 FROM batches WHERE committed = 1)") ?? false
    }

    /// What the last committed change of a row's external id has in `column`.
    private static func lastOfExternalID(_ column: String) -> String {
        """
        SELECT \(column) FROM changes AS other JOIN batches USING (job_id)
        WHERE other.external_id = changes.external_id AND batches.committed = 1
        ORDER BY other.sequence DESC LIMIT 1
        """
    }

    /// An entry that was deleted after a row of the batch was staged, or while it was, does not take that row with it,
    /// nor does it come back: the row becomes a new entry, behind the deletion.
    private func moveBehindDeletions(_ job: String, _ database: Database) throws {
        let sequences = try Int64.fetchAll(
            database,
            sql: """
                SELECT sequence FROM changes
                WHERE job_id = ? AND external_id IN (SELECT external_id FROM changes WHERE deletes = 1) AND EXISTS (
                    SELECT 1 FROM changes AS other JOIN batches USING (job_id)
                    WHERE other.external_id = changes.external_id AND batches.committed = 1 AND other.deletes = 1
                        AND (other.sequence > changes.sequence OR other.entry_id = changes.entry_id))
                    AND (\(Self.lastOfExternalID("other.deletes"))) = 1
                ORDER BY sequence
                """, arguments: [job])
        guard !sequences.isEmpty else { return }
        var id = try Self.reserveIDs(sequences.count, database)
        for sequence in sequences {
            try database.execute(
                sql: """
                    INSERT INTO changes (job_id, entry_id, \(EntryColumns.list), vector, half_precision, vector_offset,
                        vector_dim, vector_layout, vector_bytes)
                    SELECT job_id, ?, \(EntryColumns.list), vector, half_precision, vector_offset, vector_dim,
                        vector_layout, vector_bytes
                    FROM changes WHERE sequence = ?
                    """, arguments: [id, sequence])
            try database.execute(sql: "DELETE FROM changes WHERE sequence = ?", arguments: [sequence])
            id += 1
        }
    }

    /// Takes so many ids for new entries.
    ///
    /// - Returns: the first of them.
    private static func reserveIDs(_ count: Int, _ database: Database) throws -> Int64 {
        let first = try counter("next_entry_id", database)
        try database.execute(
            sql: "UPDATE counters SET value = ? WHERE name = 'next_entry_id'", arguments: [first + Int64(count)])
        return first
    }

    private static func counter(_ name: String, _ database: Database) throws -> Int64 {
        guard
            let value = try Int64.fetchOne(
                database, sql: "SELECT value FROM counters WHERE name = ?", arguments: [name])
        else { throw DatastoreError(.storageFailed, "pending.sqlite: there is no counter \(name)") }
        return value
    }

    private static func noteRewrite(_ database: Database) throws {
        try database.execute(sql: "UPDATE counters SET value = value + 1 WHERE name = 'rewrites'")
    }

    // MARK: Deletions

    /// What the committed changes say of an entry: whose external id it has, and whether it was deleted.
    package struct Standing: Sendable, Hashable {
        package let id: Int64
        package let externalID: String?
        package let isDeleted: Bool
    }

    /// What the last committed changes of these entries say, by id; entries without any are not there.
    package func standings(ofIDs ids: [Int64]) throws -> [Int64: Standing] {
        try standings("entry_id", ids)
    }

    /// What the last committed changes with these external ids say.
    package func standings(ofExternalIDs externalIDs: [String]) throws -> [String: Standing] {
        try standings("external_id", externalIDs)
    }

    private func standings<Key: Hashable & DatabaseValueConvertible>(
        _ column: String, _ keys: [Key]
    ) throws -> [Key: Standing] {
        try pool.read { database in
            let statement = try database.cachedStatement(
                sql: """
                    SELECT entry_id, external_id, deletes FROM \(Self.committed)
                    WHERE \(column) = ? ORDER BY sequence DESC LIMIT 1
                    """)
            var found: [Key: Standing] = [:]
            for key in keys {
                found[key] = try Row.fetchOne(statement, arguments: [key]).map {
                    Standing(id: $0[0], externalID: $0[1], isDeleted: $0[2])
                }
            }
            return found
        }
    }

    /// Keeps deletions: all of them are durable and count when this returns.
    package func delete(_ deletions: [PendingEntry], job: String) throws {
        precondition(deletions.allSatisfy(\.isDeletion))
        guard !deletions.isEmpty else { return }
        try pool.write { database in
            try database.execute(sql: "INSERT INTO batches (job_id, committed) VALUES (?, 1)", arguments: [job])
            let statement = try database.cachedStatement(
                sql: """
                    INSERT INTO changes (job_id, entry_id, external_id, text, vector, half_precision, deletes)
                    VALUES (?, ?, ?, '', x'', 0, 1)
                    """)
            for deletion in deletions {
                try statement.execute(arguments: [job, deletion.entry.id, deletion.entry.fields.externalID])
            }
        }
        noteChange()
    }

    // MARK: The end of a batch

    /// Drops the batch of a job that did not commit; with `evenCommitted`, also one that did and is in no version.
    package func discard(job: String, evenCommitted: Bool = false) throws {
        let isGone = try pool.write { database in
            let committed = try Bool.fetchOne(
                database, sql: "SELECT committed FROM batches WHERE job_id = ?", arguments: [job])
            guard let committed, evenCommitted || !committed else { return false }
            if committed { try Self.noteRewrite(database) }
            try database.execute(sql: "DELETE FROM changes WHERE job_id = ?", arguments: [job])
            try database.execute(sql: "DELETE FROM batches WHERE job_id = ?", arguments: [job])
            return true
        }
        if isGone {
            noteChange()
            try removeFiles(ofJobs: [job])
        }
    }

    /// Jobs whose batch never committed, after a crash.
    package func uncommittedJobs() throws -> [String] {
        try pool.read { try String.fetchAll($0, sql: "SELECT job_id FROM batches WHERE committed = 0") }
    }

    package func isCommitted(job: String) throws -> Bool {
        try pool.read { database in
            try Bool.fetchOne(database, sql: "SELECT committed FROM batches WHERE job_id = ?", arguments: [job])
                ?? false
        }
    }

    // MARK: What counts

    /// Committed changes after `sequence`.
    package func count(after sequence: Int64 = 0) throws -> Int {
        try pool.read { database in
            try Int.fetchOne(
                database, sql: "SELECT count(*) FROM \(Self.committed) WHERE sequence > ?", arguments: [sequence]) ?? 0
        }
    }

    /// Number of the last committed change; 0 when there is none.
    package func lastSequence() throws -> Int64 {
        try pool.read { try Int64.fetchOne($0, sql: "SELECT max(sequence) FROM \(Self.committed)") ?? 0 }
    }

    /// The committed changes that decide the entries with these external ids, by external id; deletions among them.
    package func entries(externalIDs: [String]) throws -> [String: PendingEntry] {
        try pool.read { database in
            guard try Self.hasCommitted(database) else { return [:] }
            let statement = try database.cachedStatement(
                sql: """
                    SELECT \(Self.columns) FROM \(Self.committed)
                    WHERE external_id = ? ORDER BY sequence DESC LIMIT 1
                    """)
            var found: [String: PendingEntry] = [:]
            for externalID in externalIDs {
                found[externalID] = try Row.fetchOne(statement, arguments: [externalID]).map(pendingEntry)
            }
            return found
        }
    }

    /// The last committed change of an entry.
    package func entry(_ id: Int64) throws -> PendingEntry? {
        try pool.read { database in
            try Row.fetchOne(
                database,
                sql: "SELECT \(Self.columns) FROM \(Self.committed) WHERE entry_id = ? ORDER BY sequence DESC LIMIT 1",
                arguments: [id]
            ).map(pendingEntry)
        }
    }

    /// The layouts that the vectors of committed changes up to `sequence` have.
    package func layouts(through sequence: Int64) throws -> [PendingLayout] {
        try pool.read { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT DISTINCT vector_layout, half_precision, vector_dim FROM \(Self.committed)
                    WHERE sequence <= ? AND deletes = 0
                    """, arguments: [sequence]
            ).compactMap { row in
                if let text: String = row[0] { return PendingLayout(word: text) }
                return PendingLayout(parts: [.dense(dim: row[2] ?? 0, half: row[1])])
            }
        }
    }

    /// The committed changes up to `sequence` as one run of new entries, when they are one.
    package func run(through sequence: Int64) throws -> PendingRun? {
        try pool.read { database in
            let jobs = try String.fetchAll(database, sql: "SELECT job_id FROM batches WHERE committed = 1 LIMIT 2")
            guard jobs.count == 1, let job = jobs.first else { return nil }
            let row = try Row.fetchOne(
                database,
                sql: """
                    SELECT count(*), min(entry_id), max(entry_id), min(vector_offset), min(vector_bytes), max(vector_bytes),
                        count(DISTINCT vector_layout), min(vector_layout), count(vector_layout), max(deletes),
                        min(sequence), max(sequence)
                    FROM changes WHERE job_id = ? AND sequence <= ?
                    """, arguments: [job, sequence])
            guard let row, let count: Int64 = row[0], count > 0, let first: Int64 = row[1], let last: Int64 = row[2],
                let offset: Int64 = row[3], let bytes: Int64 = row[4], row[5] == bytes, row[6] == 1,
                let word: String = row[7], row[8] == count, row[9] == 0, let firstSequence: Int64 = row[10],
                let lastSequence: Int64 = row[11], last - first == count - 1,
                let layout = PendingLayout(word: word), layout.parts.count == 1,
                case .dense(let dim, let isHalf) = layout.parts[0], bytes == dim * (isHalf ? 2 : 4)
            else { return nil }
            // As many places as ids, each where its id says: so each id is there once.
            let elsewhere = try Bool.fetchOne(
                database,
                sql: """
                    SELECT EXISTS (
                        SELECT 1 FROM changes
                        WHERE job_id = ? AND sequence <= ?
                            AND (vector_offset <> ? + (entry_id - ?) * ? OR sequence - entry_id <> ?))
                    """, arguments: [job, sequence, offset, first, bytes, firstSequence - first])
            guard elsewhere == false, lastSequence - firstSequence == count - 1 else { return nil }
            return PendingRun(
                job: job, ids: first...last, firstSequence: firstSequence, dim: dim, isHalfPrecision: isHalf,
                offset: offset)
        }
    }

    /// Gives the file of a run's vectors another name.
    ///
    /// - Returns: whether it has it; not when a backup has the file too, or where there are no such names.
    package func link(_ run: PendingRun, to url: URL) throws -> Bool {
        let file = file(ofJob: run.job)
        return try naming.withLock { _ in
            guard try DurableFiles.names(of: file) == 1 else { return false }
            return Foundation.link(file.path, url.path) == 0
        }
    }

    /// The last committed change up to `sequence` of each entry, in the order of their ids; deletions among them.
    package func forEachEntry(through sequence: Int64, _ body: (PendingEntry) throws -> Void) throws {
        try pool.read { database in
            let cursor = try Row.fetchCursor(
                database,
                sql: """
                    SELECT \(Self.columns) FROM changes
                    WHERE sequence IN (
                        SELECT max(sequence) FROM \(Self.committed) WHERE sequence <= ? GROUP BY entry_id)
                    ORDER BY entry_id
                    """, arguments: [sequence])
            while let row = try cursor.next() { try body(pendingEntry(row)) }
        }
    }

    /// Committed changes that a reader does not have yet.
    package struct News: Sendable {
        /// All that there are, in place of those that the reader has; otherwise they come behind those.
        package let isWhole: Bool
        /// In their order.
        package let changes: [PendingEntry]
        /// To be given when the next news are asked for.
        package let rewrites: Int64
        /// The last change that was forgotten because a version has it.
        package let forgottenThrough: Int64
    }

    /// What came behind `sequence`; everything when the reader's `rewrites` is no longer the current one.
    ///
    /// - Parameters:
    ///   - known: how many changes the reader has.
    ///   - limit: changes that a reader may have.
    /// - Throws: `too_many_pending` when there are more.
    package func news(after sequence: Int64, rewrites: Int64?, known: Int, limit: Int) throws -> News {
        try pool.read { database in
            let now = try Self.counter("rewrites", database)
            let isWhole = rewrites != now
            let after = isWhole ? 0 : sequence
            let count =
                (isWhole ? 0 : known)
                + (try Int.fetchOne(
                    database, sql: "SELECT count(*) FROM \(Self.committed) WHERE sequence > ?", arguments: [after])
                    ?? 0)
            guard count <= limit else {
                throw DatastoreError(
                    .tooManyPending, "there are \(count) pending changes, and questions can count \(limit)")
            }
            let cursor = try Row.fetchCursor(
                database,
                sql: "SELECT \(Self.columns) FROM \(Self.committed) WHERE sequence > ? ORDER BY sequence",
                arguments: [after])
            var changes: [PendingEntry] = []
            while let row = try cursor.next() { changes.append(try pendingEntry(row)) }
            return News(
                isWhole: isWhole, changes: changes, rewrites: now,
                forgottenThrough: try Self.counter("forgotten_through", database))
        }
    }

    /// Whether there are committed changes up to `sequence`.
    package func hasChanges(through sequence: Int64) throws -> Bool {
        try pool.read { database in
            try Bool.fetchOne(
                database, sql: "SELECT EXISTS (SELECT 1 FROM \(Self.committed) WHERE sequence <= ?)",
                arguments: [sequence]) ?? false
        }
    }

    /// Forgets committed changes up to `sequence`: they are in a version now.
    package func consume(through sequence: Int64) throws {
        try serially { try forget(through: sequence) }
    }

    private func forget(through sequence: Int64) throws {
        let gone = try pool.write { database in
            try database.execute(
                sql: """
                    UPDATE counters SET value = max(value, coalesce(
                        (SELECT max(sequence) FROM \(Self.committed) WHERE sequence <= ?), 0))
                    WHERE name = 'forgotten_through'
                    """, arguments: [sequence])
            try Self.noteRewrite(database)
            let othersStay = try Bool.fetchOne(
                database,
                sql: """
                    SELECT EXISTS (SELECT 1 FROM batches WHERE committed = 0)
                        OR coalesce((SELECT max(sequence) FROM changes) > ?, 0)
                    """, arguments: [sequence])
            if othersStay ?? true {
                try database.execute(
                    sql: """
                        DELETE FROM changes
                        WHERE sequence <= ? AND job_id IN (SELECT job_id FROM batches WHERE committed = 1)
                        """, arguments: [sequence])
            } else {
                // All at once, without a look at each.
                try database.execute(sql: "DELETE FROM changes")
            }
            return try String.fetchAll(
                database,
                sql: """
                    DELETE FROM batches WHERE committed = 1
                        AND NOT EXISTS (SELECT 1 FROM changes WHERE changes.job_id = batches.job_id)
                    RETURNING job_id
                    """)
        }
        // Who fails to read a file that goes now sees that something has changed, and looks again.
        noteChange()
        try removeFiles(ofJobs: gone)
        // Gives the space back; that may wait while somebody reads.
        pool.writeWithoutTransaction { database in
            _ = try? database.checkpoint(.truncate)
        }
    }

    private static let committed =
        "(SELECT changes.* FROM changes JOIN batches USING (job_id) WHERE batches.committed = 1)"

    private static let columns =
        "entry_id, \(EntryColumns.list), half_precision, vector_offset, vector_dim, job_id, vector, sequence, vector_layout, "
        + "vector_bytes, deletes"

    private func pendingEntry(_ row: Row) throws -> PendingEntry {
        if row[16] as Bool {
            var deletion = PendingEntry.deletion(of: row[0], externalID: row[1])
            deletion.sequence = row[13]
            return deletion
        }
        var pending = PendingEntry(
            entry: Entry(id: row[0], fields: try EntryColumns.fields(row, offset: 1)), vectors: [])
        pending.sequence = row[13]
        pending.vectors = try originals(row)
        return pending
    }

    private static func damaged(_ row: Row) -> DatastoreError {
        DatastoreError(
            .storageFailed, "pending.sqlite: change \(row[13] as Int64? ?? 0) does not say where its vectors are")
    }

    private func originals(_ row: Row) throws -> [PendingVector] {
        let isHalf: Bool = row[8]
        guard let offset: Int64 = row[9] else {
            let vector = try row.withUnsafeData(atIndex: 12) { Self.vector($0 ?? Data(), half: isHalf) }
            return [PendingVector(.dense(vector), isHalfPrecision: isHalf)]
        }
        let file = try vectors(ofJob: row[11])
        if let text: String = row[14] {
            guard let layout = PendingLayout(word: text) else {
                throw DatastoreError(
                    .storageFailed,
                    "pending.sqlite: change \(row[13] as Int64) has the layout \"\(text)\", which is none")
            }
            guard let bytes: Int = row[15], bytes >= 0, bytes <= Int(Int32.max) else { throw Self.damaged(row) }
            return try file.vectors(layout, at: offset, bytes: bytes)
        }
        guard let dim: Int = row[10], (1...KeySpec.maximumDim).contains(dim), offset >= 0 else {
            throw Self.damaged(row)
        }
        return try file.vectors(
            PendingLayout(parts: [.dense(dim: dim, half: isHalf)]), at: offset, bytes: dim * (isHalf ? 2 : 4))
    }

    /// A vector that the first release kept in the database.
    private static func vector(_ bytes: Data, half: Bool) -> [Float] {
        bytes.withUnsafeBytes { bytes in
            if half {
                return (0..<bytes.count / 2).map {
                    Float(bytes.loadUnaligned(fromByteOffset: $0 * 2, as: Float16.self))
                }
            }
            return [Float](unsafeUninitializedCapacity: bytes.count / 4) { buffer, count in
                UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
                count = buffer.count
            }
        }
    }
}
