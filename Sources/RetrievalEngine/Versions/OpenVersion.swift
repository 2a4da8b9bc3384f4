package import DatastoreCore
package import DatastoreStorage
import Foundation
package import VectorIndex

/// A version ready to answer: for each key its index and its original vectors, and the texts, checked against each other.
///
/// Thread-safe: everything in it is read-only. Files stay open until the last query that holds it ends.
package final class OpenVersion: Sendable {
    package let manifest: Manifest
    /// In the order of the datastore's keys; one at least.
    package let keys: [OpenKey]
    package let entries: EntryReader
    /// The rows that filters let through.
    let filters: VersionFilters

    /// Blocks while the files are opened. Of a folder that was known only what opening itself takes is done: that these very
    /// files belong together was seen before.
    ///
    /// - Throws: `version_damaged` when vectors, index and texts are not of the same entries, `index_failed` when FAISS
    ///   cannot read the index.
    package init(_ folder: VersionFolder) throws {
        let id = folder.manifest.id
        guard !folder.manifest.keys.isEmpty else {
            throw DatastoreError(.versionDamaged, "\(id): \(Manifest.fileName) names no key")
        }
        var file = ""
        do {
            keys = try folder.manifest.keys.map {
                file = $0.index ?? $0.vectors
                return try OpenKey($0, in: folder, isChecked: folder.wasKnown)
            }
            for key in keys.dropFirst() where !folder.wasKnown && !key.ids.elementsEqual(keys[0].ids) {
                throw DatastoreError(
                    .versionDamaged,
                    "the vectors of \(keys[0].spec.name) and \(key.spec.name) are not of the same entries")
            }
            entries = try EntryReader(folder.entries)
            if !folder.wasKnown { try entries.check(ids: keys[0].ids) }
        } catch let error as DatastoreError {
            throw DatastoreError(error.code, "\(id): \(error.detail)")
        } catch let error as FaissError {
            // Its checksum was right, so it is not the file that is wrong.
            throw DatastoreError(.indexFailed, "\(id): \(file): \(error.message)")
        }
        filters = VersionFilters(entries)
        manifest = folder.manifest
    }

    package var id: VersionID { manifest.id }

    /// Ids of the entries, ascending; rows of all keys are in this order. Valid while this version is held.
    package var ids: UnsafeBufferPointer<Int64> { keys[0].ids }
    package var count: Int { ids.count }

    /// The row of an entry, nil when it is not here.
    package func row(ofID id: Int64) -> Int? {
        switch keys[0].index {
        case .dense(let index): index.vectors.row(ofID: id)
        case .sparse(let index): index.vectors.row(ofID: id)
        }
    }

    /// Has mapped what every search reads, so that the first does not do it page by page. Blocks for some milliseconds.
    func warm() {
        for key in keys { key.dense?.warm() }
    }

    package func key(_ name: String) -> OpenKey? { keys.first { $0.spec.name == name } }

    /// The original vectors of a row, in the order of the keys.
    package func vectors(row: Int) -> [KeyVector] { keys.map { $0.vector(row: row) } }
}
