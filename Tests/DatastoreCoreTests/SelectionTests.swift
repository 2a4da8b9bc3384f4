import DatastoreCore
import Testing

/// Draws that the Python of `Selection.apply`'s comment reproduces; the expected values are Python's.
struct SelectionTests {
    private typealias Case = (
        ranked: Int, k: Int, method: Selection.Method, from: Int?, order: Selection.Order, seed: UInt64, taken: [Int]
    )

    private static let cases: [Case] = [
        (20, 4, .sample, nil, .score, 0, [2, 7, 14, 15]),
        (20, 4, .sample, nil, .score, 7, [1, 6, 10, 14]),
        (20, 4, .sample, nil, .reverse, 7, [14, 10, 6, 1]),
        (20, 4, .sample, nil, .permute, 7, [14, 10, 1, 6]),
        (20, 4, .topAndSample, nil, .reverse, 7, [14, 6, 2, 0]),
        (20, 4, .topAndSample, 7, .permute, .max, [0, 6, 3, 1]),
        (3, 4, .sample, nil, .permute, 1, [2, 0, 1]),
        (20, 4, .top, nil, .score, 9, [0, 1, 2, 3]),
        (20, 4, .top, nil, .permute, 9, [1, 0, 3, 2]),
        (20, 4, .top, nil, .reverse, 9, [3, 2, 1, 0]),
        (20, 4, .sample, 2, .score, 3, [0, 1]),
        (20, 1, .topAndSample, nil, .permute, 3, [0]),
        (100, 5, .sample, 100, .score, 123_456_789, [0, 13, 20, 48, 53]),
        (0, 4, .sample, nil, .permute, 5, []),
    ]

    @Test func drawsAreThoseOfPython() {
        for (ranked, k, method, from, order, seed, taken) in Self.cases {
            let selection = Selection(method: method, from: from, order: order, seed: seed)
            #expect(selection.apply(to: Array(0..<ranked), k: k) == taken, "\(selection)")
        }
    }

    @Test func theGeneratorIsSplitMix64() {
        var generator = SplitMix64(seed: 0)
        #expect(
            (0..<3).map { _ in generator.next() }
                == [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F])
        generator = SplitMix64(seed: 42)
        #expect((0..<12).map { _ in generator.next(below: 10) } == [7, 1, 2, 3, 0, 8, 2, 8, 3, 6, 2, 4])
    }

    @Test func eachIndexIsDrawnAsOften() {
        var counts = [Int](repeating: 0, count: 8)
        for seed in 0..<8000 {
            for index in Selection(method: .sample, from: 8, seed: UInt64(seed)).apply(to: Array(0..<8), k: 2) {
                counts[index] += 1
            }
        }
        #expect(counts.allSatisfy { (1800...2200).contains($0) }, "\(counts)")
    }

    @Test func thePoolIsWhatIsDrawnFrom() {
        #expect(Selection(from: 50).pool(k: 4) == 4)
        #expect(Selection(method: .sample).pool(k: 4) == 16)
        #expect(Selection(method: .sample, from: 50).pool(k: 4) == 50)
        #expect(Selection(method: .topAndSample, from: 2).pool(k: 4) == 4)
        #expect(Selection(method: .sample).pool(k: .max) == .max)
    }

    @Test func numbersOutOfRangeTakeNothing() {
        for method in Selection.Method.allCases {
            for k in [0, -1, .min] {
                #expect(Selection(method: method, order: .permute).apply(to: [1, 2, 3], k: k) == [])
            }
            #expect(Selection(method: method, order: .permute).apply(to: [1, 2, 3], k: .max).sorted() == [1, 2, 3])
        }
        #expect(Selection(method: .sample, from: -5).apply(to: [1, 2, 3], k: 2) == [])
    }
}
