import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// The pruned search gives the exact answer, in the exact order, whatever the weights are.
struct SparseIndexTests {
    private static let limits = [1, 2, 3, 10]

    // MARK: Many cases

    /// 5 × 45 indexes, 9 questions each: 2,025, and six limits for each.
    @Test(arguments: SparseWeights.allCases, 0..<45)
    func searchFindsWhatBruteForceFinds(weights: SparseWeights, seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed) + 100)
        let folder = try TemporaryDirectory()
        let terms = [1, 2, 5, 20, 300].randomElement(using: &random) ?? 1
        let count = [1, 2, 10, 130, 700].randomElement(using: &random) ?? 1
        let documents = (0..<count).map { _ in
            weights.vector(terms: terms, count: Int.random(in: 0...min(terms, 12), using: &random), &random)
        }
        let fixture = SparseFixture(documents: documents, terms: terms)
        let windowSize = [1, 3, 64, 100, 1 << 16].randomElement(using: &random) ?? 1
        let index = try fixture.open(in: folder, windowSize: windowSize)
        for turn in 0..<9 {
            let length = turn < 3 ? 1 : Int.random(in: 1...15, using: &random)
            let query = weights.vector(terms: terms, count: length, negative: turn % 3 == 2, &random)
            fixture.check(
                index, query, limits: Self.limits + [count, count + 5],
                "\(weights), seed \(seed), turn \(turn), \(count) rows of \(terms) terms, windows of \(windowSize)")
        }
    }

    /// Of the rows that count, the answer is what is left of the answer over all.
    @Test(arguments: SparseWeights.allCases, 0..<12)
    func aSearchAmongRowsFindsTheBestOfThem(weights: SparseWeights, seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed) + 900)
        let folder = try TemporaryDirectory()
        let (terms, count) = ([5, 60, 400][seed % 3], [40, 700, 3000][seed % 3])
        let documents = (0..<count).map { _ in
            weights.vector(terms: terms, count: Int.random(in: 0...min(terms, 12), using: &random), &random)
        }
        let index = try SparseFixture(documents: documents, terms: terms)
            .open(in: folder, windowSize: [64, 1000, 1 << 16][seed % 3])
        for turn in 0..<9 {
            let query = weights.vector(
                terms: terms, count: Int.random(in: 1...15, using: &random), negative: turn % 3 == 2, &random)
            let all = index.search(query, limit: count)
            let share = [0, 0.01, 0.3, 0.9, 1][turn % 5]
            let rows = RowSet(capacity: count) { _ in Double.random(in: 0..<1, using: &random) < share }
            for limit in [1, 3, 50, count] {
                let expected = all.filter { rows.contains($0.row) }.prefix(limit)
                #expect(index.search(query, limit: limit, among: rows) == Array(expected))
                #expect(index.scan(query, limit: limit, among: rows) == Array(expected))
            }
        }
    }

    @Test(arguments: SparseWeights.allCases, 0..<3)
    func manyRowsAreSearchedExactly(weights: SparseWeights, seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed) + 500)
        let folder = try TemporaryDirectory()
        let documents = (0..<2500).map { _ in
            weights.vector(terms: 400, count: Int.random(in: 0...20, using: &random), &random)
        }
        let fixture = SparseFixture(documents: documents, terms: 400)
        let index = try fixture.open(in: folder, windowSize: [900, 1 << 16][seed % 2])
        for turn in 0..<10 {
            let query = weights.vector(
                terms: 400, count: Int.random(in: 1...30, using: &random), negative: turn % 4 == 3, &random)
            fixture.check(index, query, limits: [1, 10, 100, 3000], "\(weights), seed \(seed), turn \(turn)")
        }
    }

    @Test func equalRowsComeInTheirOrder() throws {
        let folder = try TemporaryDirectory()
        var random = SeededGenerator(seed: 7)
        let distinct = (0..<3).map { _ in SparseWeights.any.vector(terms: 30, count: 8, &random) }
        let documents = (0..<1000).map { _ in distinct.randomElement(using: &random) ?? .empty }
        let fixture = SparseFixture(documents: documents, terms: 30)
        for windowSize in [10, 128, 1 << 16] {
            let index = try fixture.open(in: folder, windowSize: windowSize)
            for query in distinct {
                fixture.check(index, query, limits: [1, 5, 10, 300, 500, 1000], "windows of \(windowSize)")
            }
        }
    }

    @Test func rowsFarApartAreFound() throws {
        let folder = try TemporaryDirectory()
        // Distances of one, two and three bytes, in one block and at its edges.
        let places = [0, 1, 255, 256, 511, 1022, 65_535, 65_536, 131_071, 131_072, 200_000, 269_999]
        var documents = [SparseVector](repeating: .empty, count: 270_000)
        for (number, place) in places.enumerated() {
            documents[place] = SparseVector(ascending: [1, 3], values: [Float(number % 5 + 1), 0.5])
        }
        let fixture = SparseFixture(documents: documents, terms: 5)
        let name = "far"
        try fixture.write(name, in: folder)
        for windowSize in [1 << 16, 1000, 1 << 20] {
            let index = try SparseFixture.open(name, in: folder, windowSize: windowSize)
            for query in try [
                SparseVector(indices: [1], values: [2]), SparseVector(indices: [1, 3], values: [2, 1]),
                SparseVector(indices: [3], values: [1]), SparseVector(indices: [2], values: [1]),
            ] {
                fixture.check(index, query, limits: [1, 4, 100], "windows of \(windowSize)")
            }
        }
    }

    @Test func theSameFileComesOfSortingManyAndFewPostingsAtOnce() throws {
        let folder = try TemporaryDirectory()
        var random = SeededGenerator(seed: 8)
        let documents = (0..<500).map { _ in SparseWeights.any.vector(terms: 50, count: 9, &random) }
        try SparseFixture(documents: documents, terms: 50).write("many", in: folder)
        let vectors = try SparseVectorFile(path: folder.file("many.vectors").path)
        let whole = try Data(contentsOf: folder.file("many.postings"))
        for postings in [1, 100, 1500] {
            let file = folder.file("few-\(postings)")
            try PostingsWriter.write(vectors, to: file.path, postingsAtOnce: postings)
            #expect(try Data(contentsOf: file) == whole, "\(postings) at once")
        }
    }

    // MARK: What a score is

    @Test func termsOfNegativeWeightTakeAwayAndFindNothing() throws {
        let folder = try TemporaryDirectory()
        let documents = try [
            SparseVector(indices: [0, 1], values: [1, 1]), SparseVector(indices: [1], values: [4]),
            SparseVector(indices: [0], values: [1]), SparseVector(indices: [0, 1], values: [1, 5]), .empty,
        ]
        let index = try SparseFixture(documents: documents, terms: 3).open(in: folder)
        let hits = index.search(try SparseVector(indices: [0, 1], values: [2, -1]), limit: 10)
        #expect(hits.map(\.row) == [2, 0, 3])
        #expect(hits.map(\.score) == [2, 1, -3])
        #expect(index.search(try SparseVector(indices: [0, 1], values: [-2, -1]), limit: 10).isEmpty)
    }

    @Test func termsBeyondTheVocabularyAreLeftOut() throws {
        let folder = try TemporaryDirectory()
        let documents = try [SparseVector(indices: [0, 2], values: [1, 2])]
        let index = try SparseFixture(documents: documents, terms: 3).open(in: folder)
        let query = try SparseVector(indices: [2, 3, .max], values: [1, 9, 9])
        #expect(index.search(query, limit: 1).map(\.score) == [2])
        #expect(index.scan(query, limit: 1).map(\.score) == [2])
        #expect(index.score(query, row: 0) == 2)
        #expect(index.search(try SparseVector(indices: [3, .max], values: [9, 9]), limit: 1).isEmpty)
        // What is asked next does not see them either.
        #expect(index.search(try SparseVector(indices: [0], values: [1]), limit: 1).map(\.score) == [1])
    }

    @Test func matchesAddUpToTheScore() throws {
        let folder = try TemporaryDirectory()
        let documents = try [SparseVector(indices: [0, 2, 5, 6, 9], values: [1, 2, 3, 4, 1]), .empty]
        let index = try SparseFixture(documents: documents, terms: 10).open(in: folder)
        let query = try SparseVector(indices: [0, 1, 5, 6, 9], values: [2, 7, 4, -1, 2])
        let matches = index.matches(query, row: 0)
        #expect(matches.map(\.term) == [5, 0, 9, 6])
        #expect(matches.map(\.weight) == [12, 2, 2, -4])
        #expect(index.score(query, row: 0) == 12)
        #expect(index.matches(query, row: 1).isEmpty)
        #expect(index.score(query, row: 1) == 0)
    }

    @Test func nothingIsFoundInNothing() throws {
        let folder = try TemporaryDirectory()
        let query = try SparseVector(indices: [0], values: [1])
        let none = try SparseFixture(documents: [], terms: 1).open(in: folder)
        #expect(none.count == 0)
        #expect(none.search(query, limit: 5).isEmpty)
        #expect(none.scan(query, limit: 5).isEmpty)
        let empty = try SparseFixture(documents: [.empty, .empty], terms: 1).open(in: folder)
        #expect(empty.search(query, limit: 5).isEmpty)
        let one = try SparseFixture(documents: [query], terms: 1).open(in: folder)
        #expect(one.search(query, limit: 0).isEmpty)
        #expect(one.search(.empty, limit: 5).isEmpty)
        #expect(one.search(query, limit: .max).count == 1)
    }

    @Test func filesOfDifferentVectorsAreNotOneIndex() throws {
        let folder = try TemporaryDirectory()
        let vector = try SparseVector(indices: [0], values: [1])
        try SparseFixture(documents: [vector], terms: 3).write("a", in: folder)
        try SparseFixture(documents: [vector, vector], terms: 3).write("rows", in: folder)
        try SparseFixture(documents: [vector], terms: 4).write("terms", in: folder)
        let vectors = try SparseVectorFile(path: folder.file("a.vectors").path)
        for other in ["rows", "terms"] {
            let postings = try PostingsFile(path: folder.file("\(other).postings").path)
            #expect(throws: DatastoreError.self) { _ = try SparseIndex(vectors: vectors, postings: postings) }
        }
        try VocabularyWriter.write(["a", "b"], to: folder.file("words").path)
        let vocabulary = try Vocabulary(path: folder.file("words").path)
        #expect(throws: DatastoreError.self) {
            _ = try SparseIndex(
                vectors: vectors, postings: PostingsFile(path: folder.file("a.postings").path), vocabulary: vocabulary)
        }
    }

    @Test func searchesFromManyTasksGiveWhatOneGives() async throws {
        let folder = try TemporaryDirectory()
        var random = SeededGenerator(seed: 9)
        let documents = (0..<600).map { _ in SparseWeights.any.vector(terms: 60, count: 9, &random) }
        let index = try SparseFixture(documents: documents, terms: 60).open(in: folder)
        let queries = (0..<20).map { _ in SparseWeights.any.vector(terms: 60, count: 7, &random) }
        let alone = queries.map { index.search($0, limit: 10) }
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for turn in 0..<40 {
                        let number = (turn * 7 + task) % 20
                        #expect(index.search(queries[number], limit: 10) == alone[number])
                    }
                }
            }
        }
    }
}
