package import DatastoreCore
package import DatastoreStorage
import Foundation
import Synchronization
import VectorIndex

/// What changed between two versions.
extension CapstanEngine {
    /// Compares two versions of a datastore, entry by entry, in the order of ids: fields by what they say, vectors bit by
    /// bit. Reads both once; memory does not grow with them. Stops when its task is cancelled.
    ///
    /// - Parameters:
    ///   - samples: entries of each kind to show.
    /// - Throws: `unknown_version`, `version_removed`, `version_damaged`, `newer_format`; `overloaded` when others wait.
    package func compare(_ datastore: String, from: String, to: String, samples: Int) async throws -> VersionDiff {
        let task = CancelledTask()
        return try await withTaskCancellationHandler {
            try await inspecting { [self] in
                let versions = try [from, to].map { try open(catalog.version($0, of: datastore).id) }
                return try VersionComparison(old: versions[0], new: versions[1], directory: directory, samples: samples)
                    .run {
                        if task.isCancelled.load(ordering: .relaxed) { throw CancellationError() }
                        try checkGrace()
                    }
            }
        } onCancel: {
            task.isCancelled.store(true, ordering: .relaxed)
        }
    }
}

/// What a task that waits tells the thread that works for it.
private final class CancelledTask: Sendable {
    let isCancelled = Atomic(false)
}

/// One walk over the ids of two versions, side by side.
private struct VersionComparison {
    let old: OpenVersion
    let new: OpenVersion
    let directory: DataDirectory
    let samples: Int

    private static let chunk = 8192

    func run(checkpoint: () throws -> Void) throws -> VersionDiff {
        var diff = VersionDiff(datastore: new.id.datastore, from: old.id.number, to: new.id.number)
        guard old.id != new.id else {
            diff.unchanged = new.count
            return diff
        }
        let fields = try EntryComparison(
            old: directory.version(old.id).appending(path: VersionFolder.entriesFile),
            new: directory.version(new.id).appending(path: VersionFolder.entriesFile))
        var added: [Int64] = []
        var removed: [Int64] = []
        var replaced: [Int64] = []
        var rows = (old: 0, new: 0)
        while rows.old < old.count || rows.new < new.count {
            try checkpoint()
            // Both up to the same id: the end of a chunk of the one that is behind.
            let ends = [(old, rows.old), (new, rows.new)].compactMap { version, row in
                row < version.count ? version.ids[min(row + Self.chunk, version.count) - 1] : nil
            }
            guard let end = ends.min(),
                let start = [(old, rows.old), (new, rows.new)].compactMap({ version, row in
                    row < version.count ? version.ids[row] : nil
                }).min()
            else { break }
            let changed = Set(try fields.changedIDs(in: start...end))
            while true {
                let left = rows.old < old.count && old.ids[rows.old] <= end ? old.ids[rows.old] : Int64.max
                let right = rows.new < new.count && new.ids[rows.new] <= end ? new.ids[rows.new] : Int64.max
                guard min(left, right) < Int64.max else { break }
                if left < right {
                    diff.removed += 1
                    if removed.count < samples { removed.append(left) }
                    rows.old += 1
                } else if right < left {
                    diff.added += 1
                    if added.count < samples { added.append(right) }
                    rows.new += 1
                } else {
                    if changed.contains(left) || !changedKeys(rows.old, rows.new).isEmpty {
                        diff.replaced += 1
                        if replaced.count < samples { replaced.append(left) }
                    } else {
                        diff.unchanged += 1
                    }
                    rows.old += 1
                    rows.new += 1
                }
            }
        }
        diff.samples.added = try new.entries.entries(added).map(VersionDiff.Entry.init)
        diff.samples.removed = try old.entries.entries(removed).map(VersionDiff.Entry.init)
        diff.samples.replaced = try zip(old.entries.entries(replaced), new.entries.entries(replaced)).map {
            before, after in
            let keys = try changedKeys(row(of: after.id, in: old), row(of: after.id, in: new))
            return VersionDiff.Replacement(before: before, after: after, keys: keys)
        }
        return diff
    }

    private func row(of id: Int64, in version: OpenVersion) throws -> Int {
        guard let row = version.row(ofID: id) else {
            throw DatastoreError(.versionDamaged, "\(version.id): entry \(id) has no vector")
        }
        return row
    }

    /// Names of the keys whose vectors of an entry differ, by its rows in both.
    private func changedKeys(_ oldRow: Int, _ newRow: Int) -> [String] {
        new.keys.filter { key in
            guard let before = old.key(key.spec.name) else { return true }
            switch (before.index, key.index) {
            case (.dense(let before), .dense(let after)):
                return !after.vectors.holds(newRow, sameAs: oldRow, of: before.vectors)
            case (.sparse(let before), .sparse(let after)):
                return before.vectors.vector(row: oldRow) != after.vectors.vector(row: newRow)
            default: return true
            }
        }.map(\.spec.name)
    }
}
