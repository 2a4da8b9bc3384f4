import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// The search of a graph that FAISS built, and the file of its links.
struct GraphIndexTests {
    private static let dim = 48
    private static let vectors = Vectors(clustered: 20_000, dim: dim, seed: 50)
    private static let queries = Vectors(clustered: 200, dim: dim, seed: 51)
    private static let plan = IndexPlan(.hnsw, links: 16, efSearch: 64)

    private static func file(
        _ vectors: Vectors, _ element: VectorFile.Element = .f32, in folder: TemporaryDirectory
    ) throws -> VectorFile {
        let path = folder.file(UUID().uuidString).path
        let writer = try VectorFileWriter(path: path, dim: vectors.dim, element: element)
        for row in 0..<vectors.count {
            try vectors[row].withUnsafeBufferPointer { try writer.append(id: Int64(row + 1), $0) }
        }
        try writer.finish()
        return try VectorFile(path: path)
    }

    /// As FAISS keeps it, vectors and all.
    private static func faiss(_ vectors: Vectors, links: Int = 16) throws -> VectorIndex {
        var builder = try VectorIndexBuilder(dim: vectors.dim, description: "HNSW\(links),Flat")
        builder.setEfConstruction(80)
        for row in 0..<vectors.count {
            var vector = vectors[row]
            VectorMath.normalise(&vector)
            try vector.withUnsafeBufferPointer { try builder.add($0) }
        }
        return builder.freeze()
    }

    private static func hits(
        _ key: KeyIndex, _ queries: Vectors, effort: SearchEffort, limit: Int = 10
    ) throws -> [[KeyIndex.Hit]] {
        try (0..<queries.count).map {
            try key.search(KeyQuery(queries[$0][...], metric: key.metric), limit: limit, effort: effort)
        }
    }

    private static func recall(_ found: [[KeyIndex.Hit]], _ truth: [[KeyIndex.Hit]]) -> Double {
        let shared = zip(found, truth).map { Set($0.map(\.row)).intersection($1.map(\.row)).count }
        return Double(shared.reduce(0, +)) / Double(truth.reduce(0) { $0 + $1.count })
    }

    @Test func theSameEffortFindsAsMuchAsFaissDoes() throws {
        let file = try Self.file(Self.vectors, in: TemporaryDirectory())
        let faiss = try Self.faiss(Self.vectors)
        let graph = try #require(try GraphIndex(faiss))
        let theirs = try KeyIndex(vectors: file, metric: .cosine, plan: Self.plan, index: .faiss(faiss))
        let ours = try KeyIndex(vectors: file, metric: .cosine, plan: Self.plan, index: .graph(graph))
        let truth = try Self.hits(ours, Self.queries, effort: SearchEffort(exact: true))
        for efSearch in [24, 32, 64, 128, 300] {
            let effort = SearchEffort(efSearch: efSearch)
            let (own, other) = (
                Self.recall(try Self.hits(ours, Self.queries, effort: effort), truth),
                Self.recall(try Self.hits(theirs, Self.queries, effort: effort), truth)
            )
            #expect(own >= other - 0.01, "ef_search \(efSearch): \(own), FAISS \(other)")
        }
    }

    @Test(arguments: [VectorFile.Element.f32, .f16], [Metric.cosine, .innerProduct])
    func theSameQuestionFindsTheSameWithAnyInstructionsUpToRounding(
        element: VectorFile.Element, metric: Metric
    ) throws {
        let file = try Self.file(Self.vectors, element, in: TemporaryDirectory())
        let index = try PlannedIndex.build(Self.plan, vectors: file, metric: metric, at: "") { _ in }
        let key = try KeyIndex(vectors: file, metric: metric, plan: Self.plan, index: index)
        let effort = SearchEffort(efSearch: 100)
        let once = try Self.hits(key, Self.queries, effort: effort)
        #expect(try Self.hits(key, Self.queries, effort: effort) == once)
        defer { VectorIndex.useInstructions(nil) }
        for name in VectorIndex.allInstructions where VectorIndex.useInstructions(name) {
            let found = try Self.hits(key, Self.queries, effort: effort)
            #expect(Self.recall(found, once) > 0.999, "\(name)")
        }
    }

    @Test func theFileHasTheLinksAloneAndFindsTheSame() throws {
        let folder = try TemporaryDirectory()
        let file = try Self.file(Self.vectors, in: folder)
        let built = try PlannedIndex.build(Self.plan, vectors: file, metric: .cosine, at: "") { _ in }
        let path = folder.file("text.graph").path
        try built.write(to: path)
        #expect(try Data(contentsOf: URL(filePath: path)).count < Self.vectors.count * (2 * 16 + 8) * 4)
        let read = try CandidateIndex(contentsOf: path, method: .hnsw)
        guard case .graph = read else {
            Issue.record("got \(read)")
            return
        }
        let keys = try [built, read].map {
            try KeyIndex(vectors: file, metric: .cosine, plan: Self.plan, index: $0)
        }
        let found = try keys.map { try Self.hits($0, Self.queries, effort: SearchEffort()) }
        #expect(found[0] == found[1])
        try read.write(to: folder.file("again.graph").path)
        #expect(
            try Data(contentsOf: folder.file("again.graph")) == Data(contentsOf: folder.file("text.graph")))
    }

    @Test func aGraphInAFileOfFaissAsOlderReleasesWroteFindsTheSame() throws {
        let folder = try TemporaryDirectory()
        let vectors = Vectors(clustered: 3000, dim: Self.dim, seed: 52)
        let file = try Self.file(vectors, in: folder)
        let faiss = try Self.faiss(vectors)
        let path = folder.file("text.faiss").path
        try faiss.write(to: path)
        let graph = try #require(try GraphIndex(faiss))
        let found = try [CandidateIndex(contentsOf: path, method: .hnsw), .graph(graph)].map {
            try Self.hits(
                KeyIndex(vectors: file, metric: .cosine, plan: Self.plan, index: $0), Self.queries,
                effort: SearchEffort())
        }
        #expect(found[0] == found[1])
    }

    @Test func vectorsThat32BitsCannotMultiplyAreFoundByTheirExactScores() throws {
        var vectors = Vectors(clustered: 2000, dim: 24, seed: 53)
        let extreme = Array(stride(from: 0, to: 2000, by: 40))
        for (turn, row) in extreme.enumerated() {
            for place in row * 24..<(row + 1) * 24 { vectors.values[place] *= turn % 2 == 0 ? 1e-25 : 1e25 }
        }
        let file = try Self.file(vectors, in: TemporaryDirectory())
        let index = try PlannedIndex.build(Self.plan, vectors: file, metric: .cosine, at: "") { _ in }
        let key = try KeyIndex(vectors: file, metric: .cosine, plan: Self.plan, index: index)
        let missed = try extreme.filter { row in
            let query = KeyQuery(vectors[row][...], metric: .cosine)
            return try key.search(query, limit: 5, effort: SearchEffort(efSearch: 100)).first?.row != row
        }
        #expect(missed.count <= 1, "\(missed)")
    }

    @Test(arguments: [1, 2, 3, 40])
    func fewRowsAreFoundAll(count: Int) throws {
        let vectors = Vectors(clustered: count, dim: 7, seed: 54)
        let file = try Self.file(vectors, in: TemporaryDirectory())
        let index = try PlannedIndex.build(Self.plan, vectors: file, metric: .cosine, at: "") { _ in }
        let key = try KeyIndex(vectors: file, metric: .cosine, plan: Self.plan, index: index)
        let found = try key.search(KeyQuery(vectors[0][...], metric: .cosine), limit: count)
        #expect(Set(found.map(\.row)) == Set(0..<count))
    }

    /// Sums are checked before; what has the right sums may still be made to do harm.
    @Test func aWrongFileIsRefusedOrSearchedWithoutHarm() throws {
        let folder = try TemporaryDirectory()
        let vectors = Vectors(clustered: 300, dim: 8, seed: 55)
        let file = try Self.file(vectors, in: folder)
        let path = folder.file("sound.graph")
        try PlannedIndex.build(IndexPlan(.hnsw, links: 4), vectors: file, metric: .cosine, at: "") { _ in }
            .write(to: path.path)
        let sound = try Data(contentsOf: path)
        var random = SeededGenerator(seed: 56)
        func open(_ data: Data) throws -> GraphIndex {
            let path = folder.file(UUID().uuidString)
            try data.write(to: path)
            return try GraphIndex(path: path.path)
        }
        for _ in 0..<60 {
            let cut = sound.prefix(Int.random(in: 0..<sound.count, using: &random))
            let error = #expect(throws: DatastoreError.self) { try open(Data(cut)) }
            #expect(error?.code == .versionDamaged)
        }
        let query = KeyQuery(vectors[0][...], metric: .cosine)
        for turn in 0..<300 {
            var data = sound
            for _ in 0..<(turn < 100 ? 1 : 40) {
                let place = Int.random(in: turn % 2 == 0 ? 8..<64 : 64..<data.count, using: &random)
                data[place] = UInt8.random(in: 0...255, using: &random)
            }
            guard let graph = try? open(data),
                let key = try? KeyIndex(vectors: file, metric: .cosine, plan: Self.plan, index: .graph(graph))
            else { continue }
            let hits = try key.search(query, limit: 10)
            #expect(hits.count == 10)
        }
        var newer = sound
        newer[8] = 2
        let error = #expect(throws: DatastoreError.self) { try open(newer) }
        #expect(error?.code == .newerFormat)
    }
}
