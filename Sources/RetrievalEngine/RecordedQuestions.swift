import DatastoreCore
import DatastoreStorage
import Foundation
import Synchronization
import VectorIndex

/// A sample of the questions that were asked, for each dense key of each datastore: what recall is measured with where the
/// owner gives nothing. Vectors alone, of equal chance each (Vitter's algorithm R).
///
/// Thread-safe. In memory until `save`: a crash loses what was asked since.
final class RecordedQuestions: Sendable {
    /// Questions kept for each key; 0 records none.
    private let capacity: Int
    private let samples = Mutex<[Key: Sample]>([:])

    private struct Key: Hashable {
        let datastore: String
        let key: String
    }

    private struct Sample {
        var vectors: [[Float]] = []
        var seen = 0
        var isSaved = true

        /// In place: a copy of the sample for each question would cost more than most of what a question does.
        mutating func take(_ vector: () -> [Float], _ capacity: Int) {
            seen += 1
            if vectors.count < capacity {
                vectors.append(vector())
            } else {
                let place = Int.random(in: 0..<seen)
                guard place < capacity else { return }
                vectors[place] = vector()
            }
            isSaved = false
        }
    }

    init(capacity: Int) {
        self.capacity = capacity
    }

    func record(_ vector: @autoclosure () -> [Float], datastore: String, key: String) {
        guard capacity > 0 else { return }
        samples.withLock { $0[Key(datastore: datastore, key: key), default: Sample()].take(vector, capacity) }
    }

    func forget(datastore: String) {
        samples.withLock { samples in samples = samples.filter { $0.key.datastore != datastore } }
    }

    /// Writes the samples that have changed. Blocks. Where few were asked since the start, the sample of before stays.
    func save(to directory: DataDirectory) throws {
        let changed = samples.withLock { samples in
            let changed = samples.filter { !$0.value.isSaved }
            for key in changed.keys { samples[key]?.isSaved = true }
            return changed
        }
        for (key, sample) in changed {
            let file = directory.questions(ofKey: key.key, datastore: key.datastore, .recorded)
            guard FileManager.default.fileExists(atPath: file.deletingLastPathComponent().path) else { continue }
            if sample.vectors.count < capacity / 4, FileManager.default.fileExists(atPath: file.path) { continue }
            let dim = sample.vectors.first?.count ?? 0
            let writer = try NumpyRowWriter(path: file.path, partialPath: file.path + ".partial")
            let same = sample.vectors.filter { $0.count == dim }
            try writer.begin(rows: same.count, dim: dim)
            for vector in same { try vector.withUnsafeBytes { try writer.write($0) } }
            try writer.finish()
        }
    }
}
