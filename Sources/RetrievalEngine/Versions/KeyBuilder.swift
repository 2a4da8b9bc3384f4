import DatastoreCore
import DatastoreStorage
import Foundation
import VectorIndex

/// Writes the files of one key of a version, row by row.
///
/// Blocking; not thread-safe.
final class KeyBuilder {
    private(set) var key: Manifest.Key
    private let folder: URL
    private let files: Files

    private enum Files {
        case dense(VectorFileWriter)
        case sparse(SparseVectorFileWriter)
    }

    /// - Parameters:
    ///   - isHalf: whether all vectors are 16-bit floats exactly.
    ///   - vocabulary: the words of a sparse key, where it has some; the file is linked into the version.
    init(_ spec: KeySpec, in folder: URL, isHalf: Bool, vocabulary: URL?) throws {
        self.folder = folder
        key = Manifest.Key(spec: spec, hasVocabulary: vocabulary != nil)
        let path = folder.appending(path: key.vectors).path
        switch spec.kind {
        case .dense:
            files = .dense(try VectorFileWriter(path: path, dim: spec.dim, element: isHalf ? .f16 : .f32))
        case .sparse:
            files = .sparse(try SparseVectorFileWriter(path: path, terms: spec.dim))
            if let vocabulary, let name = key.vocabulary {
                try FileManager.default.linkItem(at: vocabulary, to: folder.appending(path: name))
            }
        }
    }

    /// - Parameter vectors: the file of a dense key that has all its vectors.
    init(_ spec: KeySpec, in folder: URL, vectors: VectorFileWriter) {
        self.folder = folder
        key = Manifest.Key(spec: spec)
        files = .dense(vectors)
    }

    /// Appends one vector. Ids must ascend.
    func append(id: Int64, _ vector: KeyVector) throws {
        switch (files, vector) {
        case (.dense(let file), .dense(let values)):
            guard values.count == key.spec.dim else { throw mismatch(id) }
            try values.withUnsafeBufferPointer { try file.append(id: id, $0) }
        case (.sparse(let file), .sparse(let weights)):
            guard weights.indices.last.map({ Int($0) < key.spec.dim }) ?? true else { throw mismatch(id) }
            try file.append(id: id, weights)
        default: throw mismatch(id)
        }
    }

    /// Completes the files, the index among them.
    ///
    /// - Throws: `recall_gate_refused`.
    func finish(_ indexing: IndexBuild) throws {
        let vectors = folder.appending(path: key.vectors).path
        switch files {
        case .dense(let file):
            try file.finish()
            let original = try VectorFile(path: vectors)
            var codes: CompactCodes?
            if let name = key.codes {
                let path = folder.appending(path: name).path
                try CompactCodesWriter.write(original, metric: key.spec.metric, to: path) { rows in
                    try indexing.progress(.indexing, rows, Double(rows) / Double(original.count))
                }
                codes = try CompactCodes(path: path)
            }
            let made = try indexing.run(
                IndexBuild.Rows(spec: key.spec, vectors: original, codes: codes, folder: folder))
            key.setIndex(made.plan, reason: made.reason, recall: made.recall)
        case .sparse(let file):
            try file.finish()
            guard let name = key.index else { return }
            try PostingsWriter.write(SparseVectorFile(path: vectors), to: folder.appending(path: name).path)
        }
    }

    private func mismatch(_ id: Int64) -> DatastoreError {
        DatastoreError(.storageFailed, "the vector of entry \(id) is not one of key \"\(key.spec.name)\"")
    }
}
