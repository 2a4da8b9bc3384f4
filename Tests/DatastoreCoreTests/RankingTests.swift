import DatastoreCore
import Testing

/// Rankings that become one, and results that differ.
struct RankingTests {
    @Test func reciprocalRanksAreSummed() {
        let fused = ReciprocalRankFusion.fuse(
            [["a", "b", "c"], ["c", "d", "a"]], weights: [1, 0.5], constant: 60, depth: 100, ties: <)
        #expect(fused.map(\.item) == ["a", "c", "b", "d"])
        #expect(fused.map(\.score) == [1 / 61.0 + 0.5 / 63, 1 / 63.0 + 0.5 / 61, 1 / 62.0, 0.5 / 62])
    }

    @Test func onlyTheFirstOfEachRankingCount() {
        let fused = ReciprocalRankFusion.fuse(
            [[1, 2, 3], [3, 3, 2]], weights: [1, 1], constant: 0, depth: 2, ties: >)
        // 2 and 3: 1/2 and 1; the second 3 counts no more.
        #expect(fused.map(\.item) == [3, 1, 2])
        #expect(fused.map(\.score) == [1, 1, 0.5])
    }

    @Test func fusionOfNothingIsNothing() {
        #expect(ReciprocalRankFusion.fuse([] as [[Int]], weights: [], constant: 60, depth: 10, ties: <).isEmpty)
        #expect(ReciprocalRankFusion.fuse([[1]], weights: [1], constant: 60, depth: -1, ties: <).isEmpty)
        #expect(ReciprocalRankFusion.fuse([[1]], weights: [], constant: .max, depth: .max, ties: <).map(\.item) == [1])
    }

    /// Items on a line, the nearer the more similar.
    private static let places: [Double] = [0, 0.1, 0.2, 5, 5.1, 9]
    private static let relevance: [Double] = [0.9, 0.89, 0.888, 0.5, 0.52, 0.1]

    private static func similarity(_ first: Int, _ second: Int) -> Double { -abs(places[first] - places[second]) / 10 }

    @Test func varietyCostsRelevance() {
        func taken(_ lambda: Float, _ k: Int = 6) -> [Int] {
            MaximalMarginalRelevance.select(
                relevance: Self.relevance, lambda: lambda, k: k, similarity: Self.similarity)
        }
        #expect(taken(1) == [0, 1, 2, 4, 3, 5])
        #expect(taken(0.5, 3) == [0, 4, 2])
        // Variety alone: the first of equals, then what is farthest from those taken.
        #expect(taken(0, 3) == [0, 5, 3])
        #expect(taken(0.3, 0) == [])
        #expect(taken(0.3, -1) == [])
        #expect(taken(0.3, .max).sorted() == [0, 1, 2, 3, 4, 5])
    }

    @Test(arguments: [0, 0.25, 0.5, 0.75, 1] as [Float])
    func greedyChoiceIsThatOfTheDefinition(lambda: Float) {
        var generator = SplitMix64(seed: 3)
        for _ in 0..<50 {
            let count = 1 + generator.next(below: 12)
            func numbers(_ count: Int) -> [Double] { (0..<count).map { _ in Double(generator.next(below: 20)) / 20 } }
            let relevance = numbers(count)
            let table = numbers(count * count)
            func similarity(_ first: Int, _ second: Int) -> Double {
                table[min(first, second) * count + max(first, second)] - 0.5
            }
            var expected: [Int] = []
            while expected.count < min(5, count) {
                let values = relevance.indices.map { index -> Double in
                    if expected.contains(index) { return -.infinity }
                    let largest = expected.map { similarity(index, $0) }.max()
                    return Double(lambda) * relevance[index] - (largest.map { (1 - Double(lambda)) * $0 } ?? 0)
                }
                expected.append(values.indices.reduce(0) { values[$1] > values[$0] ? $1 : $0 })
            }
            var calls = 0
            let taken = MaximalMarginalRelevance.select(relevance: relevance, lambda: lambda, k: 5) { first, second in
                calls += 1
                return similarity(first, second)
            }
            #expect(taken == expected)
            #expect(calls <= 4 * count)
        }
    }
}
