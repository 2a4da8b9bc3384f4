import DatastoreCore
import TestSupport
import Testing

@testable import VectorIndex

/// Vectors in memory are scored as those of an index, and the best of them found whatever is skipped on the way.
struct FlatVectorsTests {
    @Test(arguments: [(Metric.cosine, Float(1)), (.cosine, 1e-20), (.innerProduct, 1), (.innerProduct, 1e18)])
    func theBestAreThoseOfALookAtEachVector(_ metric: Metric, _ scale: Float) throws {
        var random = SeededGenerator(seed: 5)
        for dim in [1, 7, 16, 33, 384] {
            var source = Vectors(clustered: 700, dim: dim, seed: UInt64(dim))
            source.values = source.values.map { $0 * scale }
            var flat = FlatVectors(dim: dim)
            for row in 0..<source.count { flat.append(row % 50 == 3 ? nil : source[row]) }
            // Equal vectors, whose order is that of their names.
            for row in 0..<100 { flat.append(source[row * 2 % 600 + 4]) }
            for _ in 0..<20 {
                let query = KeyQuery(
                    (0..<dim).map { _ in Float.random(in: -1...1, using: &random) * scale }[...], metric: metric)
                let wanted = Int.random(in: 1...4, using: &random)
                let counts = { (index: Int) in index % 50 != 3 && index % wanted == 0 }
                let limit = Int.random(in: 1...60, using: &random)
                var top = TopHits(limit: limit)
                flat.search(query, where: counts, into: &top) { 10_000 - $0 }
                let all = (0..<flat.count).filter(counts).map { (name: 10_000 - $0, score: flat.score(query, of: $0)) }
                let expected = all.sorted { $0.score != $1.score ? $0.score > $1.score : $0.name < $1.name }
                    .prefix(limit)
                let found = top.sorted()
                #expect(found.map(\.row) == expected.map(\.name))
                #expect(found.map(\.score) == expected.map(\.score))
                #expect(flat.score(query, of: 0) == query.score(of: source[0]))
            }
        }
    }

    @Test func twoAreOneEndToEnd() {
        var one = FlatVectors(dim: 2)
        one.append([1, 2])
        var next = FlatVectors(dim: 2)
        next.append([3, 4])
        next.append(nil)
        one.append(next)
        #expect(one.count == 3)
        #expect(one[1] == [3, 4])
        #expect(one[2] == [0, 0])
    }
}
