package import DatastoreCore
import DatastoreStorage
import Foundation
package import VectorIndex

/// One key of an open version: its original vectors and what searches them.
///
/// Thread-safe: everything in it is read-only.
package struct OpenKey: Sendable {
    package enum Index: Sendable {
        case dense(KeyIndex)
        case sparse(SparseIndex)
    }

    package let spec: KeySpec
    package let index: Index

    /// Opens the files of a key and checks them against each other.
    ///
    /// - Parameter isChecked: whether these very files were checked before.
    /// - Throws: `version_damaged`, `newer_format`, `FaissError`.
    init(_ key: Manifest.Key, in folder: VersionFolder, isChecked: Bool) throws {
        spec = key.spec
        let vectors = folder.path(key.vectors).path
        switch key.spec.kind {
        case .dense:
            let file = try VectorFile(path: vectors, isChecked: isChecked)
            guard file.dim == key.spec.dim else {
                throw DatastoreError(
                    .versionDamaged, "\(key.vectors) holds vectors of \(file.dim), the manifest says \(key.spec.dim)")
            }
            let codes = try key.codes.map { try CompactCodes(path: folder.path($0).path) }
            guard let name = key.index, key.plan.method != .exact else {
                index = .dense(try KeyIndex(vectors: file, metric: key.spec.metric, codes: codes))
                break
            }
            index = .dense(
                try KeyIndex(
                    vectors: file, metric: key.spec.metric, codes: codes, plan: key.plan,
                    index: CandidateIndex(contentsOf: folder.path(name).path, method: key.plan.method)))
        case .sparse:
            let file = try SparseVectorFile(path: vectors)
            guard file.terms == key.spec.dim else {
                throw DatastoreError(
                    .versionDamaged,
                    "\(key.vectors) is of a vocabulary of \(file.terms) terms, the manifest says \(key.spec.dim)")
            }
            guard let name = key.index else {
                throw DatastoreError(.versionDamaged, "the manifest names no postings of key \(key.spec.name)")
            }
            index = .sparse(
                try SparseIndex(
                    vectors: file, postings: PostingsFile(path: folder.path(name).path),
                    vocabulary: key.vocabulary.map { try Vocabulary(path: folder.path($0).path) }))
        }
        guard ids.count == folder.manifest.entries else {
            throw DatastoreError(
                .versionDamaged,
                "\(key.vectors) holds \(ids.count) vectors, the manifest says \(folder.manifest.entries)")
        }
    }

    package var dense: KeyIndex? {
        if case .dense(let index) = index { index } else { nil }
    }

    package var sparse: SparseIndex? {
        if case .sparse(let index) = index { index } else { nil }
    }

    /// Ids of the entries, ascending: row r has id `ids[r]`. Valid while the version is held.
    package var ids: UnsafeBufferPointer<Int64> {
        switch index {
        case .dense(let index): index.vectors.ids
        case .sparse(let index): index.vectors.ids
        }
    }

    /// One original vector.
    package func vector(row: Int) -> KeyVector {
        switch index {
        case .dense(let index): .dense(index.vectors.vector(row: row))
        case .sparse(let index): .sparse(index.vectors.vector(row: row))
        }
    }
}
