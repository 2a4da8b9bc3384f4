import DatastoreCore
import DatastoreStorage
import Foundation
import Synchronization
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
    /// The words of sparse keys, by name.
    let vocabularies: [String: URL]
    /// What makes the indexes.
    let indexing: IndexBuild
    /// Says whether an entry stays; nil keeps all.
    var keeps: ((Entry, [KeyVector]) throws -> Bool)?
    /// Called between chunks; throws to stop the build.
    let checkpoint: (_ entriesSeen: Int) throws -> Void

    static let chunk = 1024

    /// Writes entries, vectors and indexes into `folder`.
    ///
    /// - Returns: the manifest, with or without the checksums of the files; `VersionPublisher` adds those.
    func build() throws -> Manifest {
        guard !datastore.keys.isEmpty else {
            throw DatastoreError(.internalError, "datastore \"\(datastore.name)\" has no key")
        }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        if let manifest = try buildOfRun() { return manifest }
        let layouts = try pending.layouts(through: through)
        let keys = try datastore.keys.enumerated().map { position, spec in
            try KeyBuilder(
                spec, in: folder, isHalf: isHalf(position, layouts), vocabulary: vocabularies[spec.name])
        }
        let entries = try EntryWriter(folder.appending(path: VersionFolder.entriesFile))
        var rows = RowSink(keys: keys, entries: entries)
        let counts = try walk { entry, vectors in try rows.append(entry, vectors) }
        try rows.finish()
        for key in keys { try key.finish(indexing) }
        return manifest(keys, entries: rows.written, counts, lastID: max(rows.lastID, counts.lastID))
    }

    private func manifest(_ keys: [KeyBuilder], entries: Int, _ counts: Counts, lastID: Int64) -> Manifest {
        Manifest(
            id: id, kind: datastore.kind, entries: entries, keys: keys.map(\.key), files: [],
            lineage: Manifest.Lineage(
                baseVersion: base?.id.number, jobID: jobID, pendingThrough: through,
                lastEntryID: lastID, added: counts.added, replaced: counts.replaced,
                removed: keeps == nil && counts.removed == 0 ? nil : counts.removed),
            tools: ["capstan": Release.version, "faiss": VectorIndex.faissVersion], createdAt: Date())
    }

    /// Makes the first version of a datastore when all that is pending is one run: the file of the vectors gets a second
    /// name here and is completed, and the texts are copied from database to database meanwhile.
    ///
    /// - Returns: nil when it is not so, and nothing was done.
    private func buildOfRun() throws -> Manifest? {
        guard base == nil, keeps == nil, datastore.keys.count == 1, let spec = datastore.keys.first,
            spec.kind == .dense,
            let run = try pending.run(through: through), run.dim == spec.dim, run.offset == VectorFile.headerSize
        else { return nil }
        let vectors = folder.appending(path: Manifest.Key(spec: spec).vectors)
        guard try pending.link(run, to: vectors) else { return nil }
        let isStopped = Atomic<Bool>(false)
        let texts = folder.appending(path: VersionFolder.entriesFile)
        let copying = SideWork { [pending] in
            let entries = try EntryWriter(texts)
            try entries.append(run, of: pending) { _ in
                if isStopped.load(ordering: .relaxed) { throw CancellationError() }
            }
            try entries.finish()
            return try FileDigest.of(texts)
        }
        do {
            try checkpoint(0)
            let key = KeyBuilder(
                spec, in: folder,
                vectors: try VectorFileWriter(
                    completing: vectors.path, dim: run.dim, element: run.isHalfPrecision ? .f16 : .f32, ids: run.ids))
            try checkpoint(run.ids.count / 2)
            try key.finish(indexing)
            var counts = Counts()
            counts.added = run.ids.count
            var manifest = manifest([key], entries: run.ids.count, counts, lastID: run.ids.upperBound)
            manifest.files = try key.key.files.map { try FileDigest.of(folder.appending(path: $0)) }
            manifest.files.insert(try copying.value(), at: 0)
            try checkpoint(run.ids.count)
            return manifest
        } catch {
            isStopped.store(true, ordering: .relaxed)
            _ = try? copying.value()
            throw error
        }
    }

    /// Whether the vectors of a key can all be kept as 16-bit floats.
    private func isHalf(_ position: Int, _ layouts: [PendingLayout]) -> Bool {
        if let base, base.keys[position].dense?.vectors.element == .f32 { return false }
        return layouts.allSatisfy { layout in
            guard position < layout.parts.count, case .dense(_, let half) = layout.parts[position] else { return false }
            return half
        }
    }

    struct Counts {
        var added = 0
        var replaced = 0
        /// Deleted, or not kept.
        var removed = 0
        /// The largest id that came by, also of an entry that did not stay.
        var lastID: Int64 = 0
    }

    /// Gives the entries that stay, in the order of their ids: base and changes are walked side by side.
    func walk(_ body: (Entry, [KeyVector]) throws -> Void) throws -> Counts {
        var counts = Counts()
        counts.lastID = base?.manifest.lineage.lastEntryID ?? 0
        var seen = 0
        func take(_ entry: Entry, _ vectors: [KeyVector]) throws {
            counts.lastID = max(counts.lastID, entry.id)
            seen += 1
            if seen % Self.chunk == 0 { try checkpoint(seen) }
            if let keeps, try !keeps(entry, vectors) {
                counts.removed += 1
            } else {
                try body(entry, vectors)
            }
        }
        func copy(_ range: Range<Int>) throws {
            guard let base, !range.isEmpty else { return }
            for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.chunk) {
                let chunk = start..<min(start + Self.chunk, range.upperBound)
                let entries = try base.entries.entries(base.ids[chunk].map { $0 })
                for (row, entry) in zip(chunk, entries) { try take(entry, base.vectors(row: row)) }
            }
        }
        var next = 0
        let count = base?.count ?? 0
        try pending.forEachEntry(through: through) { change in
            var end = next
            while end < count, let id = base?.ids[end], id < change.entry.id { end += 1 }
            try copy(next..<end)
            next = end
            let isInBase = end < count && base?.ids[end] == change.entry.id
            if isInBase { next += 1 }
            if change.isDeletion {
                // Its id is not given again.
                counts.lastID = max(counts.lastID, change.entry.id)
                if isInBase { counts.removed += 1 }
                return
            }
            if isInBase { counts.replaced += 1 } else { counts.added += 1 }
            try take(change.entry, change.vectors.map(\.vector))
        }
        try copy(next..<count)
        return counts
    }
}

/// Where the rows of a version go: texts to the database, vectors to the files of their keys.
private struct RowSink {
    private let keys: [KeyBuilder]
    private let entries: EntryWriter
    private var waiting: [Entry] = []
    private(set) var written = 0
    private(set) var lastID: Int64 = 0

    init(keys: [KeyBuilder], entries: EntryWriter) {
        self.keys = keys
        self.entries = entries
    }

    mutating func append(_ entry: Entry, _ vectors: [KeyVector]) throws {
        guard vectors.count == keys.count else {
            throw DatastoreError(
                .storageFailed, "entry \(entry.id) has \(vectors.count) vectors, expected \(keys.count)")
        }
        for (key, vector) in zip(keys, vectors) { try key.append(id: entry.id, vector) }
        waiting.append(entry)
        written += 1
        lastID = entry.id
        if waiting.count == VersionBuilder.chunk { try flush() }
    }

    mutating func finish() throws {
        try flush()
        try entries.finish()
    }

    private mutating func flush() throws {
        try entries.append(waiting)
        waiting.removeAll(keepingCapacity: true)
    }
}
