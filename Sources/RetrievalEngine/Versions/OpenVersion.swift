package import DatastoreCore
package import DatastoreStorage
import Foundation
package import VectorIndex

/// A version ready to answer: its index, its original vectors and its texts, checked against each other.
///
/// Thread-safe: everything in it is read-only. Files stay open until the last query that holds it ends.
package final class OpenVersion: Sendable {
    package let manifest: Manifest
    package let key: KeyIndex
    package let entries: EntryReader

    /// Blocks while the files are opened.
    ///
    /// - Throws: `version_damaged` when vectors, index and texts are not of the same entries, `index_failed` when FAISS
    ///   cannot read the index.
    package init(_ folder: VersionFolder) throws {
        let id = folder.manifest.id
        guard let key = folder.manifest.keys.first else {
            throw DatastoreError(.versionDamaged, "\(id): \(Manifest.fileName) names no key")
        }
        do {
            let vectors = try VectorFile(path: folder.path(key.vectors).path)
            guard vectors.count == folder.manifest.entries, vectors.dim == key.spec.dim else {
                throw DatastoreError(
                    .versionDamaged,
                    "\(key.vectors) holds \(vectors.count) vectors of \(vectors.dim), "
                        + "the manifest says \(folder.manifest.entries) of \(key.spec.dim)")
            }
            let index = try VectorIndex(contentsOf: folder.path(key.index).path)
            self.key = try KeyIndex(index: index, vectors: vectors, metric: key.spec.metric)
            entries = try EntryReader(folder.entries)
            try entries.check(ids: vectors.ids)
        } catch let error as DatastoreError {
            throw DatastoreError(error.code, "\(id): \(error.detail)")
        } catch let error as FaissError {
            // Its checksum was right, so it is not the file that is wrong.
            throw DatastoreError(.indexFailed, "\(id): \(key.index): \(error.message)")
        }
        manifest = folder.manifest
    }

    package var id: VersionID { manifest.id }
    package var spec: KeySpec { manifest.keys[0].spec }
}
