import DatastoreCore
import DatastoreImport
import DatastoreStorage
import Foundation
import VectorIndex

/// The reading phase of an import: rows become pending changes that count all at once, or not at all.
///
/// Blocking; runs on a worker thread.
struct ImportReading {
    let job: String
    let key: KeySpec
    let rows: String
    let vectors: String?
    let isStrict: Bool
    let pending: PendingChanges
    /// The newest version, against which external ids are looked up.
    let base: OpenVersion?
    let rejects: URL
    /// Called after each batch; throws to stop the import.
    let onProgress: (JobCounts) throws -> Void

    private static let batchSize = 1000

    /// Reads everything and commits it.
    ///
    /// - Throws: `DatastoreError` when the source as a whole cannot be read; nothing of it counts then.
    func run() throws -> JobCounts {
        var counts = JobCounts()
        try pending.begin(job: job)
        do {
            let reader = try CaptionRowReader(rowsPath: rows, vectorsPath: vectors, key: key)
            let rejected = try RejectFile(rejects)
            var batch: [PendingEntry] = []
            while let record = try reader.next() {
                counts.seen += 1
                switch record {
                case .reject(let row):
                    counts.rejected += 1
                    try rejected.append(row)
                case .row(let row):
                    if let change = try change(for: row, isHalf: reader.vectorsAreHalfPrecision, &counts) {
                        batch.append(change)
                    }
                }
                if counts.seen % Self.batchSize == 0 {
                    try pending.stage(batch, job: job)
                    batch.removeAll(keepingCapacity: true)
                    try onProgress(counts)
                }
            }
            try pending.stage(batch, job: job)
            try rejected.finish()
            try refuseWhatShouldNotCount(counts)
            // The counts go first: a crash between the two must not leave a batch without them.
            try onProgress(counts)
            try pending.commit(job: job)
            return counts
        } catch {
            try pending.discard(job: job)
            try? onProgress(counts)
            throw error
        }
    }

    private func refuseWhatShouldNotCount(_ counts: JobCounts) throws {
        if counts.seen == 0 {
            throw DatastoreError(.noRowsAccepted, "got no rows, expected one JSON object per line")
        }
        if counts.rejected == counts.seen {
            throw DatastoreError(
                .noRowsAccepted,
                "all \(counts.seen) rows were rejected; `capstan jobs rejects \(job)` shows why")
        }
        if isStrict && counts.rejected > 0 {
            throw DatastoreError(
                .rowsRejected,
                "\(counts.rejected) of \(counts.seen) rows were rejected and the import is strict; "
                    + "`capstan jobs rejects \(job)` shows why")
        }
    }

    /// What a row changes; nil when an equal entry is there already.
    private func change(for row: ImportRow, isHalf: Bool, _ counts: inout JobCounts) throws -> PendingEntry? {
        var change = PendingEntry(
            entry: Entry(id: 0, fields: row.fields), vector: row.vector, isHalfPrecision: isHalf)
        guard let existing = try existing(row.fields.externalID) else {
            counts.accepted += 1
            return change
        }
        if existing.entry.fields == row.fields && existing.vector == row.vector {
            counts.duplicate += 1
            return nil
        }
        counts.replaced += 1
        change.entry.id = existing.entry.id
        return change
    }

    private func existing(_ externalID: String?) throws -> PendingEntry? {
        guard let externalID else { return nil }
        if let change = try pending.entry(externalID: externalID) { return change }
        guard let base, let entry = try base.entries.entry(externalID: externalID),
            let row = base.key.vectors.row(ofID: entry.id)
        else { return nil }
        return PendingEntry(entry: entry, vector: base.key.vectors.vector(row: row), isHalfPrecision: false)
    }
}
