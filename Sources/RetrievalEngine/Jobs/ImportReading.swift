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
            var batch: [ImportRow] = []
            while let record = try reader.next() {
                switch record {
                case .reject(let row):
                    try rejected.append(row)
                    counts.rejected += 1
                    counts.seen += 1
                case .row(let row): batch.append(row)
                }
                if reader.rowsSeen % Self.batchSize == 0 {
                    try stage(batch, isHalf: reader.vectorsAreHalfPrecision, &counts)
                    batch.removeAll(keepingCapacity: true)
                    try onProgress(counts)
                }
            }
            try stage(batch, isHalf: reader.vectorsAreHalfPrecision, &counts)
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

    /// Stages what rows change. No two rows of an import have one external id, so a batch can be looked up at once.
    private func stage(_ rows: [ImportRow], isHalf: Bool, _ counts: inout JobCounts) throws {
        let existing = try existing(rows.compactMap(\.fields.externalID))
        var staged = counts
        staged.seen += rows.count
        var changes: [PendingEntry] = []
        changes.reserveCapacity(rows.count)
        for row in rows {
            var change = PendingEntry(
                entry: Entry(id: 0, fields: row.fields), vector: row.vector, isHalfPrecision: isHalf)
            if let old = row.fields.externalID.flatMap({ existing[$0] }) {
                // Swift takes "é" in two normal forms for equal, but a caption that came in other bytes is another.
                let isSameText = old.entry.fields.text.utf8.elementsEqual(row.fields.text.utf8)
                if isSameText && old.entry.fields == row.fields && old.vector == row.vector {
                    staged.duplicate += 1
                    continue
                }
                staged.replaced += 1
                change.entry.id = old.entry.id
            } else {
                staged.accepted += 1
            }
            changes.append(change)
        }
        try pending.stage(changes, job: job)
        counts = staged
    }

    /// The entries that are there already: those of committed changes, else those of the newest version.
    private func existing(_ externalIDs: [String]) throws -> [String: PendingEntry] {
        var found = try pending.entries(externalIDs: externalIDs)
        guard let base else { return found }
        for (externalID, entry) in try base.entries.entries(externalIDs: externalIDs.filter { found[$0] == nil }) {
            guard let row = base.key.vectors.row(ofID: entry.id) else { continue }
            found[externalID] = PendingEntry(
                entry: entry, vector: base.key.vectors.vector(row: row), isHalfPrecision: false)
        }
        return found
    }
}
