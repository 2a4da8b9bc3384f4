import DatastoreCore
import DatastoreImport
import DatastoreStorage
import Foundation
import VectorIndex

/// The reading phase of an import: rows become pending changes that count all at once, or not at all.
///
/// Each batch is durable together with how far the reading is, so that an interrupted import goes on behind the last.
/// Blocking; runs on a worker thread.
struct ImportReading {
    let job: String
    let keys: [KeySpec]
    let rows: String
    /// NumPy files of vectors, by the name of their key.
    let vectors: [String: String]
    let options: ImportOptions
    /// Looks at the files that are read, as they are now.
    let sources: () throws -> [SourceStamp]
    let pending: PendingChanges
    /// The newest version, against which external ids are looked up.
    let base: OpenVersion?
    /// Make the vectors of rows that come without, by the position of their key.
    let encoders: [Int: RowEncoder]
    /// Finds a word in the vocabulary of a key.
    let termIndex: TermIndex
    /// Sparse keys that have no vocabulary.
    let wordless: Set<String>
    let rejects: URL
    /// Called once the form of the rows is known.
    let onForm: (ImportFormat) throws -> Void
    /// Called when all is read, before it counts.
    let beforeCommit: () throws -> Void
    /// Called between rows; throws to stop the import.
    let checkpoint: () throws -> Void
    /// Called after batches.
    let onProgress: (ImportTally, JobProgress?) throws -> Void

    /// What the reading came to.
    struct Outcome {
        var tally: ImportTally
        /// Where the vectors came from, a file being a file.
        var vectors: VectorOrigin
        /// Bytes of the texts and what is known of them, of accepted and replaced rows.
        var textBytes: Int64
        /// Rows that were taken without an id of their own: they replace nothing, whatever is there.
        var withoutID = 0
        /// What became of each row, in order, where that was asked for.
        var entries: [(row: Int, change: EntryChange)] = []
    }

    /// Whether the outcome says what became of each row: for a few.
    var tellsEntries = false

    /// Rows after which is seen whether a batch is full; fewer when each takes an encoder's time.
    private var step: Int { encoders.isEmpty ? 1000 : 256 }

    /// What a batch may hold, so that few of them are put on disk and little memory is taken.
    private static let batchBytes = 12 << 20
    private static let batchRows = 1 << 14
    /// How long a batch may take: rows that are read should not wait for longer before they are durable.
    private static let batchTime: Duration = .milliseconds(500)

    /// Whether the rows that were read since a batch began are enough for it.
    private func isFull(rows: Int, since start: ContinuousClock.Instant) -> Bool {
        if !encoders.isEmpty || rows >= Self.batchRows { return true }
        let rowBytes = keys.reduce(256) { $0 + ($1.kind == .dense ? $1.dim * 4 : 0) }
        return rows * rowBytes >= Self.batchBytes || ContinuousClock.now - start >= Self.batchTime
    }

    /// Reads everything and commits it; a dry run counts and keeps nothing.
    ///
    /// - Throws: `DatastoreError` when the source as a whole cannot be read; nothing of it counts then.
    ///   `CancellationError` when the daemon stops; what was read is kept, to go on with.
    func run() throws -> Outcome {
        var position = ImportPosition()
        position.sources = try sources()
        do {
            if !options.dryRun, let stopped = try pending.begin(job: job) {
                try refuseChange(from: stopped.sources, to: position.sources, after: stopped.rows)
                position = stopped
            }
            return try read(from: &position)
        } catch let error as CancellationError {
            throw error
        } catch {
            if !options.dryRun { try pending.discard(job: job) }
            try? onProgress(position.tally, nil)
            throw error
        }
    }

    private func read(from position: inout ImportPosition) throws -> Outcome {
        let reader = try ImportReader(
            rowsPath: rows, vectors: vectors, keys: keys, termIndex: termIndex, wordless: wordless, options: options,
            encodes: Set(encoders.keys.map { keys[$0].name }))
        try onForm(reader.format)
        try skip(position.rows, of: reader)
        let rejected = try RejectFile(rejects, keeping: position.rejectBytes)
        var pace = Pace(rows: reader.rowsSeen, fraction: reader.fraction)
        for (place, encoder) in encoders {
            if let revision = position.revision(ofKey: keys[place].name) { encoder.revision = revision }
        }
        var outcome = Outcome(
            tally: position.tally, vectors: position.isEncoded ? .encoder : vectors.isEmpty ? .rows : .file,
            textBytes: 0
        )
        let writing = Writing()
        defer { writing.wait() }
        var batch: [ImportRow] = []
        var refused: [RejectedRow] = []
        var started = ContinuousClock.now
        while let record = try reader.next() {
            switch record {
            case .reject(let row): refused.append(row)
            case .row(let row): batch.append(row)
            }
            guard reader.rowsSeen % step == 0 else { continue }
            if isFull(rows: batch.count + refused.count, since: started) {
                try stage(&batch, &refused, upTo: reader, rejected, writing, &position, &outcome)
                started = .now
            }
            try checkpoint()
            if let progress = pace.progress(rows: reader.rowsSeen, fraction: reader.fraction) {
                try onProgress(position.tally, progress)
            }
        }
        try stage(&batch, &refused, upTo: reader, rejected, writing, &position, &outcome)
        _ = try writing.end()
        try rejected.finish()
        outcome.tally = position.tally
        try refuseWhatShouldNotCount(position.tally)
        // The counts go first: a crash between the two must not leave a batch without them.
        try onProgress(position.tally, nil)
        guard !options.dryRun else { return outcome }
        try refuseChange(from: position.sources, to: sources(), after: position.rows)
        try beforeCommit()
        try pending.commit(job: job)
        return outcome
    }

    /// Reads the rows that are in the batch already once more: what they say of later ones, such as which ids were
    /// given, counts again.
    private func skip(_ count: Int, of reader: ImportReader) throws {
        for number in 0..<count {
            guard try reader.next() != nil else {
                throw DatastoreError(
                    .sourceChanged, "the source ends after \(number) rows, \(count) were read before; import it again")
            }
            if number % 1000 == 0 { try checkpoint() }
        }
    }

    /// - Throws: `source_changed`, which names the files that are not what they were.
    private func refuseChange(from before: [SourceStamp], to now: [SourceStamp], after rows: Int) throws {
        guard before != now else { return }
        let names = zip(before, now).filter { $0 != $1 }.map(\.0.name)
        throw DatastoreError(
            .sourceChanged,
            "\(names.joined(separator: " and ")) changed while it was imported, after \(rows) rows; nothing of it was kept, "
                + "import it again")
    }

    private func refuseWhatShouldNotCount(_ tally: ImportTally) throws {
        let counts = tally.counts
        if counts.seen == 0 {
            throw DatastoreError(.noRowsAccepted, "got no rows, expected at least one")
        }
        // Who asked is told about each row.
        guard !tellsEntries else { return }
        if counts.rejected == counts.seen, tally.rejectedByCode[ErrorCode.missingVector.rawValue] == counts.seen {
            throw DatastoreError(
                .noRowsAccepted,
                "none of the \(counts.seen) rows has a vector\(keys.count > 1 ? " for each key" : ""); give a file of vectors "
                    + "(--vectors), or make the datastore with an encoder (--encoder, --encoder-endpoint); "
                    + "`capstan jobs rejects \(job)` shows what each lacks")
        }
        if counts.rejected == counts.seen {
            throw DatastoreError(
                .noRowsAccepted,
                "all \(counts.seen) rows were rejected; `capstan jobs rejects \(job)` shows why")
        }
        if options.strict && counts.rejected > 0 {
            throw DatastoreError(
                .rowsRejected,
                "\(counts.rejected) of \(counts.seen) rows were rejected and the import is strict; "
                    + "`capstan jobs rejects \(job)` shows why")
        }
    }

    /// Keeps what the rows of a batch change. No two rows of an import have one external id, so a batch can be looked
    /// up at once.
    private func stage(
        _ rows: inout [ImportRow], _ refused: inout [RejectedRow], upTo reader: ImportReader, _ rejected: RejectFile,
        _ writing: Writing, _ position: inout ImportPosition, _ outcome: inout Outcome
    ) throws {
        var next = position
        let areHalf = keys.indices.map { reader.vectorsAreHalfPrecision(key: $0) }
        let (changes, numbers) = try changes(of: rows, areHalf: areHalf, &refused, &next.tally, &outcome)
        for row in refused.sorted(by: { $0.row < $1.row }) {
            try rejected.append(row)
            next.tally.reject(row.code)
        }
        next.rows = reader.rowsSeen
        next.rejectBytes = rejected.bytes
        next.encoderRevisions = Dictionary(
            uniqueKeysWithValues: encoders.compactMap { place, encoder in
                encoder.revision.map { (keys[place].name, $0) }
            })
        next.isEncoded = outcome.vectors == .encoder
        if !options.dryRun, next != position {
            try rejected.synchronize()
            // One at a time; the next rows are read meanwhile.
            _ = try writing.end()
            writing.begin { [pending, job, next] in try pending.stage(changes, job: job, position: next) }
            if tellsEntries {
                outcome.tell(ids: try writing.end(), changes: changes, rows: numbers, refused: refused)
            }
        }
        position = next
        rows.removeAll(keepingCapacity: true)
        refused.removeAll(keepingCapacity: true)
    }

    /// The batch that is being written.
    private final class Writing {
        private var work: SideWork<[Int64]>?

        func begin(_ body: @escaping @Sendable () throws -> [Int64]) { work = SideWork(body) }

        /// Waits until it is on disk.
        ///
        /// - Returns: the ids of its entries; none when nothing is being written.
        func end() throws -> [Int64] {
            defer { work = nil }
            return try work?.value() ?? []
        }

        /// The same when something else has failed.
        func wait() { _ = try? end() }
    }

    private func changes(
        of rows: [ImportRow], areHalf: [Bool], _ refused: inout [RejectedRow], _ tally: inout ImportTally,
        _ outcome: inout Outcome
    ) throws -> (changes: [PendingEntry], rows: [Int]) {
        let existing = try existing(rows.compactMap(\.fields.externalID))
        var changes: [PendingEntry] = []
        changes.reserveCapacity(rows.count)
        var numbers: [Int] = []
        /// Which of the changes still need a vector, by the position of the key.
        var waiting: [Int: [(index: Int, row: ImportRow)]] = [:]
        for row in rows {
            let old = row.fields.externalID.flatMap { existing[$0] }
            // Swift takes "é" in two normal forms for equal, but a caption that came in other bytes is another.
            let isSameText = old.map { $0.entry.fields.text.utf8.elementsEqual(row.fields.text.utf8) } ?? false
            // A text that an encoder has seen before needs no new vector.
            let vectors = row.vectors.enumerated().map { place, vector in
                vector ?? (isSameText ? old?.vectors[place].vector : nil)
            }
            if let old, isSameText, old.entry.fields == row.fields, old.vectors.map(\.vector) == vectors {
                tally.counts.seen += 1
                tally.counts.duplicate += 1
                if tellsEntries {
                    let change = EntryChange(
                        outcome: .duplicate, id: old.entry.id, externalID: row.fields.externalID)
                    outcome.entries.append((row.row, change))
                }
                continue
            }
            for place in vectors.indices where vectors[place] == nil {
                outcome.vectors = .encoder
                waiting[place, default: []].append((changes.count, row))
            }
            numbers.append(row.row)
            changes.append(
                PendingEntry(
                    entry: Entry(id: old?.entry.id ?? 0, fields: row.fields),
                    vectors: vectors.enumerated().map { place, vector in
                        PendingVector(
                            vector ?? .dense([]), isHalfPrecision: row.vectors[place] != nil && areHalf[place])
                    }))
        }
        var faulty: [Int: RejectedRow] = [:]
        for place in waiting.keys.sorted() {
            faulty.merge(try encode(waiting[place] ?? [], key: place, into: &changes)) { first, _ in first }
        }
        for (index, change) in changes.enumerated() {
            if let reject = faulty[index] {
                refused.append(reject)
                continue
            }
            tally.counts.seen += 1
            if change.entry.id == 0 { tally.counts.accepted += 1 } else { tally.counts.replaced += 1 }
            if change.entry.fields.externalID == nil { outcome.withoutID += 1 }
            outcome.textBytes += Int64(change.entry.fields.estimatedBytes)
        }
        let sound = changes.indices.filter { faulty[$0] == nil }
        return (sound.map { changes[$0] }, sound.map { numbers[$0] })
    }

    /// Has the vectors made that are missing.
    ///
    /// - Returns: rows whose vector cannot be kept, by the index of their change.
    private func encode(
        _ waiting: [(index: Int, row: ImportRow)], key position: Int, into changes: inout [PendingEntry]
    ) throws -> [Int: RejectedRow] {
        guard let encoder = encoders[position], !waiting.isEmpty else { return [:] }
        // A dry run asks for one, to know that the encoder answers and how long its vectors are.
        let asked = options.dryRun ? Array(waiting.prefix(encoder.hasAnswered ? 0 : 1)) : waiting
        let vectors = try encoder.vectors(of: asked.map(\.row.fields.text), checkpoint: checkpoint)
        var faulty: [Int: RejectedRow] = [:]
        for (place, vector) in zip(asked, vectors) {
            if let fault = VectorFault.find(in: vector[...], metric: keys[position].metric) {
                faulty[place.index] = RejectedRow(
                    row: place.row.row, line: place.row.line, byte: place.row.byte, code: fault.code,
                    detail: "the encoder's vector: \(fault.message)",
                    excerpt: String(place.row.fields.text.prefix(200)))
            }
            changes[place.index].vectors[position].vector = .dense(vector)
        }
        return faulty
    }

    /// The entries that are there already: those of committed changes, else those of the newest version.
    private func existing(_ externalIDs: [String]) throws -> [String: PendingEntry] {
        let changed = try pending.entries(externalIDs: externalIDs)
        var found = changed.filter { !$0.value.isDeletion }
        guard let base else { return found }
        for (externalID, entry) in try base.entries.entries(externalIDs: externalIDs.filter { changed[$0] == nil }) {
            guard let row = base.row(ofID: entry.id) else { continue }
            found[externalID] = PendingEntry(
                entry: entry, vectors: base.vectors(row: row).map { PendingVector($0, isHalfPrecision: false) })
        }
        return found
    }
}

extension ImportReading.Outcome {
    /// Adds what became of the rows of a batch.
    fileprivate mutating func tell(ids: [Int64], changes: [PendingEntry], rows: [Int], refused: [RejectedRow]) {
        for ((id, change), row) in zip(zip(ids, changes), rows) {
            let outcome = change.entry.id == 0 ? EntryChange.Outcome.accepted : .replaced
            entries.append((row, EntryChange(outcome: outcome, id: id, externalID: change.entry.fields.externalID)))
        }
        for row in refused {
            let error = JobFailure(code: row.code.rawValue, detail: row.detail)
            entries.append((row.row, EntryChange(outcome: .rejected, id: nil, externalID: nil, error: error)))
        }
        entries.sort { $0.row < $1.row }
    }
}

extension ImportReader {
    /// Share of the rows file that is used up.
    fileprivate var fraction: Double { totalBytes > 0 ? min(1, Double(bytesRead) / Double(totalBytes)) : 0 }
}

extension EntryFields {
    /// About what an entry takes in SQLite, in bytes.
    fileprivate var estimatedBytes: Int {
        let strings = [externalID, externalID, imageID, imageID, lang, source].reduce(0) { $0 + ($1?.utf8.count ?? 0) }
        let payloadBytes = payload.flatMap { try? WireJSON.encode($0).count } ?? 0
        return 48 + text.utf8.count + strings + payloadBytes
    }
}
