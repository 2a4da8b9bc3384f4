import DatastoreCore
import DatastoreStorage
import Foundation
import VectorIndex

/// Makes the files of a new version from the one before and the pending changes.
///
/// Entries are written in the order of their ids, so that row numbers, ids and ties agree. Blocking; not thread-safe.
struct VersionBuilder {
    let folder: URL
    let id: VersionID
    let datastore: DatastoreRecord
    let base: OpenVersion?
    let pending: PendingChanges
    /// The last pending change that goes in.
    let through: Int64
    let jobID: String
    /// Called between chunks; throws to stop the build.
    let checkpoint: (_ entriesWritten: Int) throws -> Void

    static let chunk = 1024

    /// Writes entries, vectors and index into `folder`.
    ///
    /// - Returns: the manifest, without the checksums of the files, which `VersionPublisher` adds.
    func build() throws -> Manifest {
        guard let spec = datastore.keys.first else {
            throw DatastoreError(.internalError, "datastore \"\(datastore.name)\" has no key")
        }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let key = Manifest.Key(spec: spec)
        let isHalf = try pending.isHalfPrecision(through: through) && base?.key.vectors.element != .f32
        let vectors = try VectorFileWriter(
            path: folder.appending(path: key.vectors).path, dim: spec.dim, element: isHalf ? .f16 : .f32)
        let entries = try EntryWriter(folder.appending(path: VersionFolder.entriesFile))
        let most = (base?.manifest.entries ?? 0) + (try pending.count())
        var rows = RowSink(
            vectors: vectors, entries: entries, index: try VectorIndexBuilder(dim: spec.dim, capacity: most), spec: spec
        )
        let counts = try merge(into: &rows)
        let written = rows.written
        let lastID = rows.lastID
        let index = try rows.finish()
        try entries.finish()
        try vectors.finish()
        let indexFile = folder.appending(path: key.index)
        try index.write(to: indexFile.path)
        return Manifest(
            id: id, kind: datastore.kind, entries: written, keys: [key], files: [],
            lineage: Manifest.Lineage(
                baseVersion: base?.id.number, jobID: jobID, pendingThrough: through, lastEntryID: lastID,
                added: counts.added, replaced: counts.replaced),
            tools: ["capstan": Release.version, "faiss": VectorIndex.faissVersion], createdAt: Date())
    }

    /// Walks base and changes side by side, both ascending by id.
    private func merge(into rows: inout RowSink) throws -> (added: Int, replaced: Int) {
        var added = 0
        var replaced = 0
        var next = 0
        let baseIDs = base?.key.vectors.ids
        let baseCount = baseIDs?.count ?? 0
        try pending.forEachEntry(through: through) { change in
            var end = next
            while end < baseCount, let id = baseIDs?[end], id < change.entry.id { end += 1 }
            try copy(next..<end, into: &rows)
            next = end
            if end < baseCount, baseIDs?[end] == change.entry.id {
                next += 1
                replaced += 1
            } else {
                added += 1
            }
            try rows.append(change.entry, change.vector)
            if rows.written % Self.chunk == 0 { try checkpoint(rows.written) }
        }
        try copy(next..<baseCount, into: &rows)
        return (added, replaced)
    }

    private func copy(_ range: Range<Int>, into rows: inout RowSink) throws {
        guard let base, !range.isEmpty else { return }
        var start = range.lowerBound
        while start < range.upperBound {
            let chunk = start..<min(start + Self.chunk, range.upperBound)
            let entries = try base.entries.entries(base.key.vectors.ids[chunk].map { $0 })
            for (row, entry) in zip(chunk, entries) { try rows.append(entry, base.key.vectors.vector(row: row)) }
            start = chunk.upperBound
            try checkpoint(rows.written)
        }
    }
}

/// Where the rows of a version go: texts and original vectors to their files, normalised vectors to the index.
private struct RowSink: ~Copyable {
    private let vectors: VectorFileWriter
    private let entries: EntryWriter
    private var index: VectorIndexBuilder
    private let spec: KeySpec
    private var waiting: [Entry] = []
    private var normalised: [Float] = []
    private(set) var written = 0
    private(set) var lastID: Int64 = 0

    init(vectors: VectorFileWriter, entries: EntryWriter, index: consuming VectorIndexBuilder, spec: KeySpec) {
        self.vectors = vectors
        self.entries = entries
        self.index = index
        self.spec = spec
    }

    mutating func append(_ entry: Entry, _ vector: [Float]) throws {
        try vector.withUnsafeBufferPointer { try vectors.append(id: entry.id, $0) }
        waiting.append(entry)
        let start = normalised.count
        normalised += vector
        if spec.metric == .cosine {
            normalised.withUnsafeMutableBufferPointer {
                VectorMath.normalise(UnsafeMutableBufferPointer(rebasing: $0[start...]))
            }
        }
        written += 1
        lastID = entry.id
        if waiting.count == VersionBuilder.chunk { try flush() }
    }

    consuming func finish() throws -> VectorIndex {
        try flush()
        return index.freeze()
    }

    private mutating func flush() throws {
        try entries.append(waiting)
        waiting.removeAll(keepingCapacity: true)
        try normalised.withUnsafeBufferPointer { try index.add($0) }
        normalised.removeAll(keepingCapacity: true)
    }
}
