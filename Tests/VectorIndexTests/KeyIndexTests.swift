import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// A search gives the exact answer, in the exact order, whatever the vectors are.
struct KeyIndexTests {
    private static func open(
        _ vectors: Vectors, metric: Metric, element: VectorFile.Element = .f32, in folder: TemporaryDirectory
    ) throws -> KeyIndex {
        let path = folder.file(UUID().uuidString).path
        let writer = try VectorFileWriter(path: path, dim: vectors.dim, element: element)
        for row in 0..<vectors.count {
            try vectors[row].withUnsafeBufferPointer { try writer.append(id: Int64(row + 1), $0) }
        }
        try writer.finish()
        return try KeyIndex(vectors: VectorFile(path: path), metric: metric)
    }

    private static func check(
        _ vectors: Vectors, _ queries: Vectors, metric: Metric, k: [Int], element: VectorFile.Element = .f32,
        _ what: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let folder = try TemporaryDirectory()
        let key = try open(vectors, metric: metric, element: element, in: folder)
        let expected = bruteForce(vectors, queries, k: vectors.count, cosine: metric == .cosine)
        for query in 0..<queries.count {
            let prepared = KeyQuery(queries[query][...], metric: metric)
            for k in k {
                let hits = try key.search(prepared, limit: k)
                let wanted = expected[query].prefix(k)
                #expect(
                    hits.map(\.row) == wanted.map(\.row), "\(what), query \(query), k \(k)",
                    sourceLocation: sourceLocation)
                #expect(
                    zip(hits, wanted).allSatisfy { abs($0.score - $1.score) <= 1e-6 * max(1, abs($1.score)) },
                    "\(what), query \(query), k \(k)", sourceLocation: sourceLocation)
            }
        }
    }

    private static let metrics = [Metric.cosine, .innerProduct]

    // MARK: Many cases

    @Test(arguments: metrics, 0..<8)
    func searchFindsWhatExactSearchFinds(metric: Metric, seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed) + 1000)
        for turn in 0..<25 {
            let dim = Int.random(in: 1...100, using: &random)
            let count = turn == 0 ? 1 : Int.random(in: 1...500, using: &random)
            // One dimension has nothing but ties under cosine; clusters of zero cannot occur.
            let vectors = Vectors(clustered: count, dim: dim, seed: random.next())
            let queries = Vectors(clustered: 3, dim: dim, seed: random.next())
            let k = [1, 2, Int.random(in: 1...count, using: &random), count, count + 1, count + 5]
            try Self.check(
                vectors, queries, metric: metric, k: k, "dim \(dim), count \(count), seed \(seed), turn \(turn)")
        }
    }

    @Test(arguments: metrics, 0..<6)
    func equalVectorsComeInTheOrderOfTheirRows(metric: Metric, seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed) + 2000)
        for turn in 0..<25 {
            let dim = Int.random(in: 1...40, using: &random)
            let count = Int.random(in: 2...400, using: &random)
            // A few distinct vectors, each many times: far more equal ones than the search has candidates to spare.
            let distinct = Vectors(clustered: Int.random(in: 1...6, using: &random), dim: dim, seed: random.next())
            var vectors = Vectors(values: [], dim: dim)
            for _ in 0..<count { vectors.values += distinct[Int.random(in: 0..<distinct.count, using: &random)] }
            var queries = Vectors(clustered: 1, dim: dim, seed: random.next())
            queries.values += distinct[0]
            let k = [1, 2, 5, count / 2, count - 1, count, count + 5].filter { $0 > 0 }
            try Self.check(vectors, queries, metric: metric, k: k, "dim \(dim), count \(count), turn \(turn)")
        }
    }

    @Test(arguments: metrics)
    func tiesAtTheBoundaryGoToTheLowestRows(metric: Metric) throws {
        let query: [Float] = [1, 2, 3]
        // Twenty that are nearer, then a hundred that are equal, then some that are far, in mixed order.
        var random = SeededGenerator(seed: 3)
        var kinds = [Int](repeating: 0, count: 20) + [Int](repeating: 1, count: 100) + [Int](repeating: 2, count: 30)
        kinds.shuffle(using: &random)
        let vectors = Vectors(
            values: kinds.flatMap { kind -> [Float] in
                switch kind {
                case 0: [2, 4, 6]
                case 1: [1, 2, 2.5]
                default: [-1, 0, 1]
                }
            }, dim: 3)
        let folder = try TemporaryDirectory()
        let key = try Self.open(vectors, metric: metric, in: folder)
        let order = kinds.indices.sorted { (kinds[$0], $0) < (kinds[$1], $1) }
        for k in 0...155 {
            let hits = try key.search(KeyQuery(query[...], metric: metric), limit: k)
            #expect(hits.map(\.row) == Array(order.prefix(k)), "k \(k)")
        }
    }

    enum Nearness: String, Sendable, CaseIterable {
        case oneUlp
        case tenMillionth
    }

    @Test(arguments: metrics, Nearness.allCases)
    func vectorsThatHardlyDifferAreToldApart(metric: Metric, nearness: Nearness) throws {
        var random = SeededGenerator(seed: 4)
        for turn in 0..<30 {
            let dim = Int.random(in: 2...64, using: &random)
            let centre = Vectors(clustered: 1, dim: dim, seed: random.next())[0]
            var vectors = Vectors(values: [], dim: dim)
            for _ in 0..<300 {
                var vector = centre
                let component = Int.random(in: 0..<dim, using: &random)
                let isUp = Bool.random(using: &random)
                switch nearness {
                case .oneUlp: vector[component] = isUp ? vector[component].nextUp : vector[component].nextDown
                case .tenMillionth: vector[component] += isUp ? 1e-7 : -1e-7
                }
                vectors.values += vector
            }
            var queries = Vectors(clustered: 1, dim: dim, seed: random.next())
            queries.values += centre
            try Self.check(vectors, queries, metric: metric, k: [1, 4, 50, 300], "dim \(dim), turn \(turn)")
        }
    }

    // MARK: Sizes of numbers

    private static let scales: [Float] = [
        1e-20, 1e-38, .leastNonzeroMagnitude * 700, .leastNonzeroMagnitude, 1e18, 1e30, .greatestFiniteMagnitude,
    ]

    /// Vectors of one size each; multiplied in double, so that the smallest keep some direction.
    private static func scaled(_ vectors: Vectors, by scale: Float) -> Vectors {
        let largest = vectors.values.map { abs($0) }.max() ?? 1
        return Vectors(values: vectors.values.map { $0 / largest * scale }, dim: vectors.dim)
    }

    @Test(arguments: scales)
    func cosineDoesNotDependOnTheSizeOfTheNumbers(scale: Float) throws {
        for dim in [2, 7, 33] {
            let vectors = Self.scaled(Vectors(clustered: 200, dim: dim, seed: 5), by: scale)
            let queries = Vectors(clustered: 4, dim: dim, seed: 6)
            // The smallest of all are zero where they were rounded down; those are refused before they come here.
            var sound = Vectors(values: [], dim: dim)
            for row in 0..<vectors.count where vectors[row].contains(where: { $0 != 0 }) {
                sound.values += vectors[row]
            }
            try #require(sound.count > 0)
            try Self.check(sound, queries, metric: .cosine, k: [1, 5, 200], "scale \(scale), dim \(dim)")
            // With components of -1, 0 and 1 only, many are orthogonal: exact zeros, which brute force rounds apart.
            if scale != .leastNonzeroMagnitude {
                try Self.check(
                    sound, Self.scaled(queries, by: scale), metric: .cosine, k: [1, 5, 200],
                    "query scale \(scale), dim \(dim)")
            }
        }
    }

    @Test func cosineComparesVectorsOfEverySizeWithEachOther() throws {
        var random = SeededGenerator(seed: 7)
        let base = Vectors(clustered: 300, dim: 20, seed: 8)
        var vectors = Vectors(values: [], dim: 20)
        for row in 0..<300 {
            let scales: [Float] = [1, 1e-20, 1e-30, 1e18, 1e30, 0.001]
            let scale = scales.randomElement(using: &random) ?? 1
            vectors.values += base[row].map { $0 * scale }
        }
        try Self.check(
            vectors, Vectors(clustered: 5, dim: 20, seed: 9), metric: .cosine, k: [1, 10, 299, 300], "mixed sizes")
    }

    @Test func innerProductsOfVectorsOfManySizesAreExact() throws {
        var random = SeededGenerator(seed: 10)
        for turn in 0..<20 {
            let dim = Int.random(in: 1...50, using: &random)
            let base = Vectors(clustered: 300, dim: dim, seed: random.next())
            var vectors = Vectors(values: [], dim: dim)
            for row in 0..<300 {
                let scale =
                    Float.random(in: 0...1, using: &random) < 0.1 ? 1000 : Float.random(in: 0...2, using: &random)
                vectors.values += base[row].map { $0 * scale }
            }
            vectors.values += [Float](repeating: 0, count: dim)
            try Self.check(
                vectors, Vectors(clustered: 3, dim: dim, seed: random.next()), metric: .innerProduct,
                k: [1, 4, 40, 301], "turn \(turn), dim \(dim)")
        }
    }

    @Test func innerProductsThatCancelAreExact() throws {
        // Large parts that cancel leave a small rest, which 32-bit sums lose.
        var random = SeededGenerator(seed: 11)
        var vectors = Vectors(values: [], dim: 5)
        for _ in 0..<300 {
            let large = Float(Int.random(in: 1...1000, using: &random) * 1024)
            vectors.values += [large, -large, large, -large, Float.random(in: -1...1, using: &random)]
        }
        try Self.check(
            vectors, Vectors(values: [1, 1, 1, 1, 1], dim: 5), metric: .innerProduct, k: [1, 7, 150, 300], "cancelling")
    }

    @Test(arguments: [Float(1e19), 1e25, 1e38])
    func innerProductsBeyondTheRangeOfFloatsAreOrdered(scale: Float) throws {
        // The products do not fit 32 bits, their sums may: rows of every sign, and one that cancels to a small number.
        let folder = try TemporaryDirectory()
        var values: [Float] = []
        for row in 0..<60 {
            values +=
                row % 3 == 0 ? [scale, -scale, Float(row)] : row % 3 == 1 ? [scale, scale, 0] : [-scale, -scale, 0]
        }
        let key = try Self.open(Vectors(values: values, dim: 3), metric: .innerProduct, in: folder)
        let query = KeyQuery([scale, scale, 1][...], metric: .innerProduct)
        let expected =
            (0..<60).filter { $0 % 3 == 1 } + (0..<60).filter { $0 % 3 == 0 }.reversed()
            + (0..<60).filter { $0 % 3 == 2 }
        for k in [1, 5, 20, 21, 30, 45, 60] {
            let hits = try key.search(query, limit: k)
            #expect(hits.map(\.row) == Array(expected.prefix(k)), "k \(k)")
            #expect(hits.allSatisfy { $0.score.isFinite })
        }
    }

    @Test func innerProductsBelowTheRangeOfFloatsAreOrdered() throws {
        // Sums of products that are denormal: a 32-bit sum loses most of each.
        var random = SeededGenerator(seed: 12)
        for turn in 0..<10 {
            let dim = 48
            let vectors = Vectors(
                values: (0..<200 * dim).map { _ in Float.random(in: -1e-22...1e-22, using: &random) }, dim: dim)
            let queries = Vectors(
                values: (0..<3 * dim).map { _ in Float.random(in: -1e-22...1e-22, using: &random) }, dim: dim)
            try Self.check(vectors, queries, metric: .innerProduct, k: [1, 4, 60, 200], "turn \(turn)")
        }
    }

    // MARK: Real vectors

    @Test(arguments: TestData.captionSamples, [VectorFile.Element.f16, .f32])
    func theSamplesAreSearchedExactly(sample: String, element: VectorFile.Element) throws {
        let folder = TestData.samples.appending(path: sample)
        let vectors = try Vectors(npy: folder.appending(path: "captions.f16.npy"))
        let questions = try Vectors(npy: folder.appending(path: "questions.f16.npy"))
        #expect(questions.count == 120)
        try Self.check(
            vectors, questions, metric: .cosine, k: [1, 4, 50, vectors.count + 1], element: element, sample)
    }

    @Test(.enabled(if: TestData.hasShared, "no real data at CAPSTAN_TEST_DATA"))
    func fiftyThousandCaptionsAreSearchedExactly() throws {
        let folder = TestData.shared.appending(path: "sets")
        let vectors = try Vectors(npy: folder.appending(path: "coco50k.f16.npy"))
        var questions = try Vectors(npy: folder.appending(path: "coco50k.queries.f16.npy"))
        questions.values = Array(questions.values.prefix(200 * questions.dim))
        let temporary = try TemporaryDirectory()
        let key = try Self.open(vectors, metric: .cosine, element: .f16, in: temporary)
        let expected = bruteForce(vectors, questions, k: 10)
        for question in 0..<questions.count {
            let hits = try key.search(KeyQuery(questions[question][...], metric: .cosine), limit: 10)
            #expect(hits.map(\.row) == expected[question].map(\.row), "question \(question)")
        }
    }

    // MARK: The rest

    @Test func searchesFromManyTasksGiveWhatOneGives() async throws {
        let folder = try TemporaryDirectory()
        let vectors = Vectors(clustered: 500, dim: 24, seed: 13)
        let key = try Self.open(vectors, metric: .cosine, in: folder)
        let queries = Vectors(clustered: 30, dim: 24, seed: 14)
        let alone = try (0..<30).map { try key.search(KeyQuery(queries[$0][...], metric: .cosine), limit: 25) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<12 {
                group.addTask {
                    for turn in 0..<30 {
                        let query = (turn * 7 + task) % 30
                        let hits = try key.search(KeyQuery(queries[query][...], metric: .cosine), limit: 25)
                        #expect(hits == alone[query])
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func nothingIsFoundInNothing() throws {
        let folder = try TemporaryDirectory()
        let empty = try Self.open(Vectors(values: [], dim: 3), metric: .cosine, in: folder)
        #expect(try empty.search(KeyQuery([1, 2, 3][...], metric: .cosine), limit: 5).isEmpty)
        let some = try Self.open(Vectors(values: [1, 2, 3], dim: 3), metric: .cosine, in: folder)
        #expect(try some.search(KeyQuery([1, 2, 3][...], metric: .cosine), limit: 0).isEmpty)
        let hits = try some.search(KeyQuery([2, 4, 6][...], metric: .cosine), limit: 5)
        #expect(hits.map(\.row) == [0])
        #expect(hits.map(\.score) == [1])
    }

    @Test func indexAndVectorsOfDifferentRowsAreRefused() throws {
        let folder = try TemporaryDirectory()
        func file(_ vectors: Vectors) throws -> VectorFile {
            let path = folder.file(UUID().uuidString).path
            let writer = try VectorFileWriter(path: path, dim: vectors.dim, element: .f32)
            for row in 0..<vectors.count {
                try vectors[row].withUnsafeBufferPointer { try writer.append(id: Int64(row), $0) }
            }
            try writer.finish()
            return try VectorFile(path: path)
        }
        func index(_ vectors: Vectors) throws -> VectorIndex {
            var builder = try VectorIndexBuilder(dim: vectors.dim)
            try vectors.values.withUnsafeBufferPointer { try builder.add($0) }
            return builder.freeze()
        }
        let four = Vectors(clustered: 4, dim: 6, seed: 15)
        let others = [Vectors(clustered: 3, dim: 6, seed: 15), Vectors(clustered: 4, dim: 5, seed: 15)]
        for other in others {
            for (index, file) in [(try index(four), try file(other)), (try index(other), try file(four))] {
                do {
                    _ = try KeyIndex(vectors: file, metric: .cosine, plan: IndexPlan(.hnsw), index: .faiss(index))
                    Issue.record("\(index.count)×\(index.dim) was taken for \(file.count)×\(file.dim)")
                } catch let error as DatastoreError {
                    #expect(error.code == .versionDamaged)
                }
            }
        }
    }

    @Test func normalisingGivesLengthOneAndLeavesZeroAlone() {
        var zero: [Float] = [0, -0.0, 0]
        VectorMath.normalise(&zero)
        #expect(zero == [0, 0, 0])
        var random = SeededGenerator(seed: 16)
        for scale in Self.scales {
            var vector = (0..<9).map { _ in Float.random(in: 0.5...1, using: &random) * scale }
            if scale == .leastNonzeroMagnitude { vector = vector.map { _ in scale } }
            VectorMath.normalise(&vector)
            let norm = vector.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            #expect(abs(norm - 1) < 1e-6, "scale \(scale)")
        }
        var empty: [Float] = []
        VectorMath.normalise(&empty)
        #expect(empty.isEmpty)
    }
}
