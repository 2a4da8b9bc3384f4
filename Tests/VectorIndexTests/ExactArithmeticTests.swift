import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// Scores in double: what is shown, compared and kept.
@Suite(.serialized) struct ExactArithmeticTests {
    @Test(arguments: [VectorFile.Element.f32, .f16], [Metric.cosine, .innerProduct])
    func scoresAreTheSameToTheLastBitWhateverTheInstructions(
        element: VectorFile.Element, metric: Metric
    ) throws {
        let folder = try TemporaryDirectory()
        defer { VectorIndex.useInstructions(nil) }
        for dim in Array(1...40) + [63, 64, 65, 383, 768, 1537] {
            VectorIndex.useInstructions(nil)
            var vectors = Vectors(clustered: 30, dim: dim, seed: UInt64(dim))
            // Half floats have denormals below 6e-5; floats below 1e-38.
            for place in 0..<dim { vectors.values[place] *= element == .f16 ? 1e-6 : 1e-40 }
            for place in dim..<2 * dim { vectors.values[place] *= element == .f16 ? 1e3 : 1e20 }
            let path = folder.file("\(dim)-\(element)").path
            let writer = try VectorFileWriter(path: path, dim: dim, element: element)
            for row in 0..<vectors.count {
                try vectors[row].withUnsafeBufferPointer { try writer.append(id: Int64(row + 1), $0) }
            }
            try writer.finish()
            let key = try KeyIndex(vectors: VectorFile(path: path), metric: metric)
            var scores: [[UInt32]] = []
            for name in VectorIndex.allInstructions where VectorIndex.useInstructions(name) {
                scores.append(
                    (0..<vectors.count).flatMap { one in
                        let query = KeyQuery(key.vectors.vector(row: one)[...], metric: metric)
                        return (0..<vectors.count).map { key.score(query, row: $0).bitPattern }
                    })
            }
            #expect(scores.allSatisfy { $0 == scores[0] }, "\(dim) numbers")
        }
    }
}
