import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// Whatever finds the candidates: scores are exact, effort belongs to one search, and an exact search finds all.
struct PlannedIndexTests {
    private static let metrics = [Metric.cosine, .innerProduct]
    private static let plans: [IndexPlan] = [
        IndexPlan(.hnsw, links: 16), IndexPlan(.ivfFlat, lists: 64), IndexPlan(.ivfSQ8, lists: 64),
        IndexPlan(.ivfSQ4, lists: 64), IndexPlan(.ivfPQ, lists: 64, codeBytes: 8),
    ]
    private static let dim = 32
    private static let vectors = Vectors(clustered: 12_000, dim: dim, seed: 40)
    private static let queries = Vectors(clustered: 40, dim: dim, seed: 40)

    private static func file(_ vectors: Vectors, in folder: TemporaryDirectory) throws -> VectorFile {
        let path = folder.file(UUID().uuidString).path
        let writer = try VectorFileWriter(path: path, dim: vectors.dim, element: .f32)
        for row in 0..<vectors.count {
            try vectors[row].withUnsafeBufferPointer { try writer.append(id: Int64(row + 1), $0) }
        }
        try writer.finish()
        return try VectorFile(path: path)
    }

    private static func key(
        _ plan: IndexPlan, _ metric: Metric = .cosine, in folder: TemporaryDirectory
    ) throws -> KeyIndex {
        let file = try file(vectors, in: folder)
        let plan = plan.filled(rows: file.count, dim: file.dim)
        let index = try PlannedIndex.build(
            plan, vectors: file, metric: metric, at: folder.file(UUID().uuidString).path
        ) { _ in }
        return try KeyIndex(vectors: file, metric: metric, plan: plan, index: index)
    }

    private static func recall(_ found: [[KeyIndex.Hit]], _ truth: [[KeyIndex.Hit]]) -> Double {
        let shared = zip(found, truth).map { Set($0.map(\.row)).intersection($1.map(\.row)).count }
        return Double(shared.reduce(0, +)) / Double(truth.reduce(0) { $0 + $1.count })
    }

    @Test(arguments: plans, metrics)
    func scoresOfAnIndexAreExactAndEffortFindsMore(plan: IndexPlan, metric: Metric) throws {
        let key = try Self.key(plan, metric, in: TemporaryDirectory())
        #expect(!key.isExact)
        let queries = (0..<Self.queries.count).map { KeyQuery(Self.queries[$0][...], metric: metric) }
        let truth = try queries.map { try key.search($0, limit: 10, effort: SearchEffort(exact: true)) }
        let expected = bruteForce(Self.vectors, Self.queries, k: 10, cosine: metric == .cosine)
        for (truth, expected) in zip(truth, expected) { #expect(truth.map(\.row) == expected.map(\.row)) }
        let little = try queries.map { try key.search($0, limit: 10, effort: SearchEffort(efSearch: 10, nprobe: 1)) }
        let much = try queries.map { try key.search($0, limit: 10, effort: SearchEffort(efSearch: 800, nprobe: 64)) }
        for (query, hits) in zip(queries, little + much) {
            #expect(hits.count == 10)
            #expect(hits.allSatisfy { $0.score == key.score(query, row: $0.row) })
            #expect(hits == hits.sorted { ($1.score, $0.row) < ($0.score, $1.row) })
        }
        #expect(Self.recall(much, truth) >= Self.recall(little, truth))
        #expect(Self.recall(much, truth) > (metric == .cosine ? 0.97 : 0.9), "\(plan) \(metric)")
    }

    @Test(arguments: plans)
    func theSameVectorsGiveTheSameIndexFile(plan: IndexPlan) throws {
        let folder = try TemporaryDirectory()
        let file = try Self.file(Self.vectors, in: folder)
        let filled = plan.filled(rows: file.count, dim: file.dim)
        let files = try (0..<2).map { turn in
            let path = folder.file("\(turn).faiss")
            try PlannedIndex.build(filled, vectors: file, metric: .cosine, at: path.path) { _ in }.write(to: path.path)
            return try Data(contentsOf: path)
        }
        #expect(files[0] == files[1])
    }

    @Test(arguments: plans)
    func onlyRowsOfTheSetAreFoundHoweverManyThereAre(plan: IndexPlan) throws {
        let key = try Self.key(plan, in: TemporaryDirectory())
        for step in [2, 7, 40, 900] {
            let rows = RowSet(capacity: key.count) { $0 % step == 1 }
            for index in 0..<10 {
                let query = KeyQuery(Self.queries[index][...], metric: .cosine)
                let truth = try key.search(query, limit: 20, among: rows, effort: SearchEffort(exact: true))
                let all = try key.search(query, limit: key.count, effort: SearchEffort(exact: true))
                #expect(truth == Array(all.filter { rows.contains($0.row) }.prefix(20)), "step \(step)")
                let found = try key.search(
                    query, limit: 20, among: rows, effort: SearchEffort(efSearch: 256, nprobe: 32))
                #expect(found.count == min(20, rows.count))
                #expect(found.allSatisfy { rows.contains($0.row) })
                #expect(Self.recall([found], [truth]) >= 0.5, "step \(step), query \(index)")
            }
        }
    }

    @Test func effortBelongsToOneSearchAloneAlsoSideBySide() async throws {
        let folder = try TemporaryDirectory()
        for plan in [Self.plans[0], Self.plans[1]] {
            let key = try Self.key(plan, in: folder)
            let efforts = [
                SearchEffort(efSearch: 10, nprobe: 1), SearchEffort(efSearch: 400, nprobe: 48),
                SearchEffort(exact: true),
                SearchEffort(),
            ]
            let queries = (0..<Self.queries.count).map { KeyQuery(Self.queries[$0][...], metric: .cosine) }
            let alone = try efforts.map { effort in try queries.map { try key.search($0, limit: 10, effort: effort) } }
            let differ = try await withThrowingTaskGroup(of: Int.self) { group in
                for turn in 0..<8 {
                    group.addTask {
                        var differ = 0
                        for (index, query) in queries.enumerated() {
                            let effort = (index + turn) % efforts.count
                            let hits = try key.search(query, limit: 10, effort: efforts[effort])
                            if hits != alone[effort][index] { differ += 1 }
                        }
                        return differ
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(differ == 0, "\(plan)")
        }
    }

    @Test func whereMostRowsAreWantedTheSearchIsExact() throws {
        let key = try Self.key(Self.plans[1], in: TemporaryDirectory())
        let query = KeyQuery(Self.queries[0][...], metric: .cosine)
        let all = try key.search(query, limit: key.count, effort: SearchEffort(nprobe: 1))
        #expect(Set(all.map(\.row)) == Set(0..<key.count))
        #expect(all == all.sorted { ($1.score, $0.row) < ($0.score, $1.row) })
    }

    @Test func plansWithTooFewRowsHaveAsManyListsAsTheyCanLearn() {
        #expect(IndexPlan(.ivfFlat).filled(rows: 100, dim: 8).lists == 2)
        #expect(IndexPlan(.ivfFlat, lists: 1000).filled(rows: 3900, dim: 8).lists == 100)
        #expect(IndexPlan(.ivfFlat, lists: 4, nprobe: 3).filled(rows: 50, dim: 8).nprobe == 1)
        #expect(IndexPlan(.ivfPQ).filled(rows: 100_000, dim: 384).codeBytes == 48)
        #expect(IndexPlan(.ivfPQ).filled(rows: 100_000, dim: 7).codeBytes == 1)
    }
}
