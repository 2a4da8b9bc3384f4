import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// The FAISS handles: filled by one owner, read by everyone, never a crash.
struct FaissIndexTests {
    private static func index(_ vectors: Vectors) throws -> VectorIndex {
        var builder = try VectorIndexBuilder(dim: vectors.dim)
        try vectors.values.withUnsafeBufferPointer { try builder.add($0) }
        return builder.freeze()
    }

    private static func search(
        _ index: VectorIndex, _ query: [Float], k: Int, rows: Int? = nil
    ) throws -> (rows: [Int64], scores: [Float]) {
        var found = [Int64](repeating: -2, count: rows ?? k)
        var scores = [Float](repeating: .nan, count: k)
        try query.withUnsafeBufferPointer { query in
            try scores.withUnsafeMutableBufferPointer { scores in
                try found.withUnsafeMutableBufferPointer { try index.search(query, scores: scores, rows: $0) }
            }
        }
        return (found, scores)
    }

    @Test func whatIsAddedIsFoundByItsRow() throws {
        let vectors = Vectors(values: [1, 0, 0, 2, 3, 3], dim: 2)
        let index = try Self.index(vectors)
        #expect(index.count == 3)
        #expect(index.dim == 2)
        let all = try Self.search(index, [1, 0], k: 3)
        #expect(all.rows == [2, 0, 1])
        #expect(all.scores == [3, 1, 0])
        #expect(try Self.search(index, [0, 1], k: 1).rows == [2])
        #expect(try Self.search(index, [0, 1], k: 0).rows == [])
    }

    @Test func rowsAreNumberedAcrossCalls() throws {
        var builder = try VectorIndexBuilder(dim: 3)
        for row in 0..<10 {
            var vector: [Float] = [0, 0, 0]
            vector[row % 3] = Float(row + 1)
            try vector.withUnsafeBufferPointer { try builder.add($0) }
        }
        let none: [Float] = []
        try none.withUnsafeBufferPointer { try builder.add($0) }
        let index = builder.freeze()
        #expect(index.count == 10)
        #expect(try Self.search(index, [0, 1, 0], k: 3).rows == [7, 4, 1])
    }

    @Test func anEmptyIndexIsWrittenReadAndAskedForNothing() throws {
        let folder = try TemporaryDirectory()
        let builder = try VectorIndexBuilder(dim: 5)
        let index = builder.freeze()
        #expect(index.count == 0)
        try index.write(to: folder.file("empty").path)
        let read = try VectorIndex(contentsOf: folder.file("empty").path)
        #expect(read.count == 0)
        #expect(read.dim == 5)
        #expect(try Self.search(read, [1, 2, 3, 4, 5], k: 0).rows == [])
        #expect(throws: FaissError.self) { try Self.search(read, [1, 2, 3, 4, 5], k: 1) }
    }

    @Test(arguments: [1, 2, 4, 6, 7, 11])
    func numbersThatAreNoWholeVectorsAreRefused(count: Int) throws {
        var builder = try VectorIndexBuilder(dim: 5)
        let numbers = [Float](repeating: 1, count: count)
        let error = #expect(throws: FaissError.self) {
            try numbers.withUnsafeBufferPointer { try builder.add($0) }
        }
        #expect(error?.kind == .refused)
        #expect(error?.message.contains("got \(count) numbers") == true)
        #expect(builder.freeze().count == 0)
    }

    @Test(arguments: [0, -1, -384, Int.min])
    func anIndexOfNoDimensionsIsRefused(dim: Int) {
        #expect(throws: FaissError.self) {
            let builder = try VectorIndexBuilder(dim: dim)
            _ = builder.freeze()
        }
    }

    @Test(arguments: ["", "NoSuchIndex", "Flat,", "IVF", "PQ999999999999999999999", "HNSW\n"])
    func descriptionsThatFaissDoesNotKnowAreRefused(description: String) {
        #expect(throws: FaissError.self) {
            let builder = try VectorIndexBuilder(dim: 8, description: description)
            _ = builder.freeze()
        }
    }

    @Test func anIndexThatNeedsTrainingRefusesVectorsBeforeIt() throws {
        var builder = try VectorIndexBuilder(dim: 2, description: "IVF4,Flat")
        let vector: [Float] = [1, 2]
        #expect(throws: FaissError.self) { try vector.withUnsafeBufferPointer { try builder.add($0) } }
        #expect(builder.freeze().count == 0)
    }

    @Test func searchesOfAWrongSizeAreRefused() throws {
        let index = try Self.index(Vectors(clustered: 10, dim: 4, seed: 1))
        for query: [Float] in [[], [1], [1, 2, 3], [1, 2, 3, 4, 5], [Float](repeating: 1, count: 400)] {
            #expect(throws: FaissError.self) { try Self.search(index, query, k: 2) }
        }
        let query: [Float] = [1, 2, 3, 4]
        #expect(throws: FaissError.self) { try Self.search(index, query, k: 11) }
        #expect(throws: FaissError.self) { try Self.search(index, query, k: 3, rows: 2) }
        #expect(throws: FaissError.self) { try Self.search(index, query, k: 3, rows: 4) }
        #expect(try Self.search(index, query, k: 10).rows.sorted() == Array(0..<10))
    }

    // MARK: Files

    @Test(arguments: [(1, 1), (3, 7), (384, 50)])
    func whatIsWrittenIsReadBack(dim: Int, count: Int) throws {
        let folder = try TemporaryDirectory()
        let vectors = Vectors(clustered: count, dim: dim, seed: 2)
        let index = try Self.index(vectors)
        let path = folder.file("index.faiss").path
        try index.write(to: path)
        let read = try VectorIndex(contentsOf: path)
        #expect(read.count == count)
        #expect(read.dim == dim)
        for row in 0..<count {
            let before = try Self.search(index, vectors[row], k: count)
            let after = try Self.search(read, vectors[row], k: count)
            #expect(before.rows == after.rows)
            #expect(before.scores == after.scores)
        }
        // The same index gives the same bytes.
        try read.write(to: folder.file("again.faiss").path)
        #expect(try Data(contentsOf: folder.file("again.faiss")) == Data(contentsOf: folder.file("index.faiss")))
    }

    @Test func aFileThatIsCutAnywhereIsRefused() throws {
        let folder = try TemporaryDirectory()
        try Self.index(Vectors(clustered: 3, dim: 4, seed: 3)).write(to: folder.file("index").path)
        let whole = try Data(contentsOf: folder.file("index"))
        for length in 0..<whole.count {
            let path = try folder.write("cut", whole.prefix(length)).path
            #expect(throws: FaissError.self, "\(length) of \(whole.count) bytes") {
                _ = try VectorIndex(contentsOf: path)
            }
        }
    }

    @Test func whatIsNoIndexIsRefused() throws {
        let folder = try TemporaryDirectory()
        var random = SeededGenerator(seed: 4)
        var files = [
            Data(), Data([0]), Data("not an index at all".utf8), Data(repeating: 0xFF, count: 4096),
            Data(repeating: 0, count: 4096),
        ]
        for length in [3, 4, 5, 64, 5000] {
            files.append(Data((0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }))
        }
        for (number, bytes) in files.enumerated() {
            let path = try folder.write("garbage-\(number)", bytes).path
            #expect(throws: FaissError.self, "garbage \(number)") { _ = try VectorIndex(contentsOf: path) }
        }
        #expect(throws: FaissError.self) { _ = try VectorIndex(contentsOf: folder.file("absent").path) }
        #expect(throws: FaissError.self) { _ = try VectorIndex(contentsOf: folder.url.path) }
    }

    @Test func whereNothingCanBeWrittenIsAnError() throws {
        let folder = try TemporaryDirectory()
        let index = try Self.index(Vectors(clustered: 3, dim: 4, seed: 5))
        #expect(throws: FaissError.self) { try index.write(to: folder.file("no/such/folder/index").path) }
        #expect(throws: FaissError.self) { try index.write(to: folder.url.path) }
    }

    // MARK: Threads

    @Test func searchesFromManyTasksGiveWhatOneGives() async throws {
        let vectors = Vectors(clustered: 2000, dim: 48, seed: 6)
        let queries = Vectors(clustered: 40, dim: 48, seed: 7)
        let index = try Self.index(vectors)
        let alone = try (0..<queries.count).map { try Self.search(index, queries[$0], k: 200) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<16 {
                group.addTask {
                    for turn in 0..<queries.count {
                        let query = (turn + task * 7) % queries.count
                        let found = try Self.search(index, queries[query], k: 200)
                        #expect(found.rows == alone[query].rows)
                        #expect(found.scores == alone[query].scores)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func anIndexOutlivesItsBuilderAndItsFile() throws {
        let folder = try TemporaryDirectory()
        let path = folder.file("index").path
        let read = try {
            try Self.index(Vectors(values: [1, 2], dim: 1)).write(to: path)
            return try VectorIndex(contentsOf: path)
        }()
        try FileManager.default.removeItem(atPath: path)
        #expect(try Self.search(read, [1], k: 2).rows == [1, 0])
    }
}
