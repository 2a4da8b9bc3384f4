import DatastoreCore
import DatastoreStorage
import Foundation
import VectorIndex

/// Writes the files of one key of a version, row by row.
///
/// Blocking; not thread-safe.
final class KeyBuilder {
    let key: Manifest.Key
    private let folder: URL
    private var files: Files

    private enum Files {
        case dense(VectorFileWriter, DenseIndex)
        case sparse(SparseVectorFileWriter)
    }

    /// - Parameters:
    ///   - isHalf: whether all vectors are 16-bit floats exactly.
    ///   - capacity: rows that will come at most.
    ///   - vocabulary: the words of a sparse key, where it has some; the file is linked into the version.
    init(_ spec: KeySpec, in folder: URL, isHalf: Bool, capacity: Int, vocabulary: URL?) throws {
        self.folder = folder
        key = Manifest.Key(spec: spec, hasVocabulary: vocabulary != nil)
        let path = folder.appending(path: key.vectors).path
        switch spec.kind {
        case .dense:
            files = .dense(
                try VectorFileWriter(path: path, dim: spec.dim, element: isHalf ? .f16 : .f32),
                try DenseIndex(spec, capacity: capacity))
        case .sparse:
            files = .sparse(try SparseVectorFileWriter(path: path, terms: spec.dim))
            if let vocabulary, let name = key.vocabulary {
                try FileManager.default.linkItem(at: vocabulary, to: folder.appending(path: name))
            }
        }
    }

    /// Appends one vector. Ids must ascend.
    func append(id: Int64, _ vector: KeyVector) throws {
        switch (files, vector) {
        case (.dense(let file, let index), .dense(let values)):
            guard values.count == key.spec.dim else { throw mismatch(id) }
            try values.withUnsafeBufferPointer { try file.append(id: id, $0) }
            try index.append(values)
        case (.sparse(let file), .sparse(let weights)):
            guard weights.indices.last.map({ Int($0) < key.spec.dim }) ?? true else { throw mismatch(id) }
            try file.append(id: id, weights)
        default: throw mismatch(id)
        }
    }

    /// Completes the files.
    func finish() throws {
        let index = folder.appending(path: key.index).path
        switch files {
        case .dense(let file, let builder):
            try builder.finish(index)
            try file.finish()
        case .sparse(let file):
            try file.finish()
            try PostingsWriter.write(SparseVectorFile(path: folder.appending(path: key.vectors).path), to: index)
        }
    }

    private func mismatch(_ id: Int64) -> DatastoreError {
        DatastoreError(.storageFailed, "the vector of entry \(id) is not one of key \"\(key.spec.name)\"")
    }
}

/// Fills a FAISS index with vectors, normalised where the metric is cosine.
private final class DenseIndex {
    private let spec: KeySpec
    private var builder: VectorIndexBuilder?
    private var waiting: [Float] = []

    init(_ spec: KeySpec, capacity: Int) throws {
        self.spec = spec
        builder = try VectorIndexBuilder(dim: spec.dim, capacity: capacity)
    }

    func append(_ vector: [Float]) throws {
        let start = waiting.count
        waiting += vector
        if spec.metric == .cosine {
            waiting.withUnsafeMutableBufferPointer {
                VectorMath.normalise(UnsafeMutableBufferPointer(rebasing: $0[start...]))
            }
        }
        if waiting.count >= VersionBuilder.chunk * spec.dim { try flush() }
    }

    func finish(_ path: String) throws {
        try flush()
        guard let builder = builder.take() else { return }
        try builder.freeze().write(to: path)
    }

    private func flush() throws {
        try waiting.withUnsafeBufferPointer { try builder?.add($0) }
        waiting.removeAll(keepingCapacity: true)
    }
}
