import DatastoreCore
import Foundation
import VectorIndex

/// One datastore's files to import, and the same vectors open for search in this process.
struct Dataset {
    static let metric = Metric.cosine

    let files: DatasetFiles
    /// FAISS alone, over the normalised vectors, to compare with.
    let index: VectorIndex
    /// The engine's own step: a scan of the original vectors, then exact scores.
    let key: KeyIndex

    var name: String { files.name }
    var rows: Int { files.rows }

    /// Makes the vectors once and streams them to all their places.
    init(name: String, rows: Int, dim: Int, seed: UInt64, folder: URL) throws {
        let original = folder.appending(path: "\(name).vectors").path
        let vectorFile = try VectorFileWriter(path: original, dim: dim, element: .f32)
        var builder = try VectorIndexBuilder(dim: dim)
        files = try DatasetFiles(name: name, rows: rows, dim: dim, seed: seed, folder: folder) { first, part in
            for from in stride(from: 0, to: part.count, by: dim) {
                let vector = UnsafeMutableBufferPointer(rebasing: part[from..<from + dim])
                try vectorFile.append(id: Int64(first + from / dim + 1), UnsafeBufferPointer(vector))
                VectorMath.normalise(vector)
            }
            try builder.add(UnsafeBufferPointer(part))
        }
        try vectorFile.finish()
        index = builder.freeze()
        key = try KeyIndex(vectors: VectorFile(path: original), metric: Self.metric)
    }
}
