import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// The scan of the original vectors: all of them or a set, whatever the sizes, in half floats and in floats.
struct ExactScanTests {
    private static func key(
        _ vectors: Vectors, _ metric: Metric, _ element: VectorFile.Element, in folder: TemporaryDirectory
    ) throws -> KeyIndex {
        let path = folder.file(UUID().uuidString).path
        let writer = try VectorFileWriter(path: path, dim: vectors.dim, element: element)
        for row in 0..<vectors.count {
            try vectors[row].withUnsafeBufferPointer { try writer.append(id: Int64(row + 1), $0) }
        }
        try writer.finish()
        return try KeyIndex(vectors: VectorFile(path: path), metric: metric)
    }

    @Test(arguments: [Metric.cosine, .innerProduct], [VectorFile.Element.f32, .f16])
    func amongASetOfRowsTheNearestOfThemAreFound(metric: Metric, element: VectorFile.Element) throws {
        let folder = try TemporaryDirectory()
        var random = SeededGenerator(seed: 71)
        for turn in 0..<60 {
            let dim = Int.random(in: 1...130, using: &random)
            let count = Int.random(in: 1...700, using: &random)
            var vectors = Vectors(clustered: count, dim: dim, seed: random.next())
            if element == .f16 { vectors = Vectors(values: vectors.values.map { Float(Float16($0)) }, dim: dim) }
            let key = try Self.key(vectors, metric, element, in: folder)
            let share = [0.0, 0.02, 0.3, 0.9, 1][turn % 5]
            let members = (0..<count).map { _ in Double.random(in: 0..<1, using: &random) < share }
            let rows = RowSet(capacity: count) { members[$0] }
            #expect(rows.count == members.count { $0 })
            let query = Vectors(clustered: 1, dim: dim, seed: random.next())
            let expected = bruteForce(vectors, query, k: count, cosine: metric == .cosine)[0].filter { members[$0.row] }
            for limit in [1, 3, count / 2 + 1, count + 3] {
                let hits = try key.search(KeyQuery(query[0][...], metric: metric), limit: limit, among: rows)
                #expect(
                    hits.map(\.row) == expected.prefix(limit).map(\.row),
                    "turn \(turn), dim \(dim), \(rows.count) of \(count), limit \(limit)")
            }
        }
    }

    @Test func aSetOfAnotherVersionIsRefused() throws {
        let key = try Self.key(Vectors(clustered: 10, dim: 4, seed: 1), .cosine, .f32, in: TemporaryDirectory())
        let query = KeyQuery([1, 2, 3, 4][...], metric: .cosine)
        for capacity in [9, 11, 640] {
            let rows = RowSet(capacity: capacity) { _ in true }
            #expect(throws: FaissError.self) { try key.search(query, limit: 3, among: rows) }
        }
        #expect(throws: FaissError.self) { try key.search(KeyQuery([1, 2, 3][...], metric: .cosine), limit: 3) }
    }

    /// Sizes that 32 bits cannot multiply stand beside ordinary ones: only they take the long way.
    @Test(arguments: [Metric.cosine, .innerProduct])
    func extremeVectorsAmongOrdinaryOnesAreRankedRight(metric: Metric) throws {
        var random = SeededGenerator(seed: 72)
        for turn in 0..<30 {
            var vectors = Vectors(clustered: 300, dim: 24, seed: random.next())
            for row in stride(from: turn % 15, to: 300, by: 15) {
                let scale: Float = [1e-30, 1e-42, 1e15, 1e30][Int.random(in: 0..<4, using: &random)]
                for place in row * 24..<(row + 1) * 24 { vectors.values[place] *= scale }
            }
            let key = try Self.key(vectors, metric, .f32, in: TemporaryDirectory())
            let query = Vectors(clustered: 1, dim: 24, seed: random.next())
            let expected = bruteForce(vectors, query, k: 300, cosine: metric == .cosine)[0]
            for limit in [1, 7, 50, 300] {
                let hits = try key.search(KeyQuery(query[0][...], metric: metric), limit: limit)
                #expect(hits.map(\.row) == expected.prefix(limit).map(\.row), "turn \(turn), limit \(limit)")
            }
        }
    }

    @Test func setsOfRowsCountAndIntersect() {
        let even = RowSet(capacity: 130) { $0 % 2 == 0 }
        let third = RowSet(capacity: 130) { $0 % 3 == 0 }
        #expect(even.count == 65)
        let shared = even.intersection(third)
        let both = (0..<130).filter { shared.contains($0) }
        #expect(both == (0..<130).filter { $0 % 6 == 0 })
        #expect(even.intersection(third).count == both.count)
        #expect(!even.contains(-1))
        #expect(!even.contains(130))
        #expect(even.contains(128))
    }
}
