import DatastoreCore
import Foundation
import TestSupport
import Testing

@testable import RetrievalEngine

/// Lexical and fused questions with filters over entries that are added, replaced and deleted, against a plain look at
/// what is there.
struct HybridChangesTests {
    private struct Row {
        var row: TestRow
        var terms: [Int: Float]

        init(_ number: Int, _ random: inout SeededGenerator) {
            let vector = (0..<6).map { _ in Float.random(in: -1...1, using: &random) }
            var terms: [Int: Float] = [:]
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                terms[Int.random(in: 0..<40, using: &random)] = Float(Int.random(in: 1...64, using: &random)) / 16
            }
            self.terms = terms
            let numbers = terms.keys.sorted()
            row = TestRow(
                "text \(number) \(Int.random(in: 0..<1000, using: &random))", vector, id: "r\(number)",
                imageID: "i\(number / 3)",
                more: [
                    "lang": .string(Bool.random(using: &random) ? "en" : "de"),
                    "vectors": .object([
                        "lexical": .object([
                            "indices": .array(numbers.map { .integer(Int64($0)) }),
                            "values": .array(numbers.map { .number(Double(terms[$0] ?? 0)) }),
                        ])
                    ]),
                ])
        }
    }

    private static func cosine(_ a: [Float], _ b: [Float]) -> Float {
        var (dot, x, y) = (0.0, 0.0, 0.0)
        for (p, q) in zip(a, b) {
            dot += Double(p) * Double(q)
            x += Double(p) * Double(p)
            y += Double(q) * Double(q)
        }
        return Float(dot / (x.squareRoot() * y.squareRoot()))
    }

    /// The first `k` by score of those that a ranking has.
    private static func ranked(_ scores: [Int64: Double], _ k: Int) -> [Int64] {
        scores.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }.prefix(k).map(\.key)
    }

    @Test(arguments: [UInt64(1), 2])
    func lexicalAndFusedAnswersAreOfWhatIsThere(_ seed: UInt64) async throws {
        let harness = try EngineHarness()
        var random = SeededGenerator(seed: seed)
        try await harness.run { engine in
            _ = try await engine.createDatastore(
                CreateDatastoreRequest(
                    name: "d", kind: .captions,
                    keys: [
                        KeySpec(name: "text", dim: 6, metric: .cosine),
                        KeySpec(name: "lexical", terms: 40, pruning: SparsePruning(threshold: 0)),
                    ]))
            var there: [Int64: Row] = [:]
            var rows: [Row] = []
            for number in 0..<300 { rows.append(Row(number, &random)) }
            try await engine.importRows(rows[..<200].map(\.row), into: "d")
            for number in 0..<200 { there[Int64(number + 1)] = rows[number] }
            try await engine.bind("street", "d")
            for _ in 0..<3 {
                for _ in 0..<20 {
                    let number = Int.random(in: 0..<300, using: &random)
                    if Bool.random(using: &random) {
                        let told = try await engine.deleteEntries(
                            Data("{\"external_id\": \"r\(number)\"}".utf8), of: "d")
                        if let id = told.entries[0].id { there[id] = nil }
                    } else {
                        let row = Row(number, &random)
                        let told = try await engine.addEntries(row.row.json(), to: "d")
                        there[try #require(told.entries[0].id)] = row
                    }
                }
                for turn in 0..<30 {
                    try await ask(engine, there, turn, &random)
                }
                try await engine.build("d")
                for turn in 0..<9 { try await ask(engine, there, turn, &random) }
            }
        }
    }

    private func ask(
        _ engine: CapstanEngine, _ there: [Int64: Row], _ turn: Int, _ random: inout SeededGenerator
    ) async throws {
        let query = (0..<6).map { _ in Float.random(in: -1...1, using: &random) }
        var asked: [Int: Float] = [:]
        for _ in 0..<3 {
            asked[Int.random(in: 0..<40, using: &random)] = Float(Int.random(in: 1...32, using: &random)) / 8
        }
        let numbers = try SparseVector(
            indices: asked.keys.map { UInt32($0) }, values: asked.keys.map { asked[$0] ?? 0 })
        let filter = [nil, QueryFilter(lang: ["de"]), QueryFilter(imageIDs: ["i3", "i50", "i70"])][turn % 3]
        let excluded = "i\(Int.random(in: 0..<100, using: &random))"
        let passing = there.filter {
            EntryModel.passes($0.value.row, filter) && $0.value.row.imageID != excluded
        }
        let dense = passing.mapValues { Double(Self.cosine(query, $0.row.vector)) }
        let matching = passing.filter { $0.value.terms.keys.contains { asked[$0] != nil } }
        func weight(_ row: Row) -> Double {
            Double(
                Float(row.terms.keys.sorted().reduce(0.0) { $0 + Double(row.terms[$1] ?? 0) * Double(asked[$1] ?? 0) }))
        }
        let lexical = matching.mapValues(weight)
        let k = [5, 20, 400][Int.random(in: 0..<3, using: &random)]
        func results(_ input: QueryInput, _ fusion: Fusion?) async throws -> QueryAnswer {
            try await engine.answer(
                QueryRequest(
                    query: input,
                    options: QueryOptions(
                        k: k, excludeImageIDs: [excluded], filter: filter, includePending: true, fusion: fusion)),
                of: "street")
        }
        let byTerms = try await results(.lexical(.numbers(numbers)), nil)
        #expect(byTerms.results.map(\.id) == Self.ranked(lexical, k))
        if byTerms.results.count < k, filter != nil {
            #expect(byTerms.shortfall?.reasons.contains(.filter) == true)
        }
        let sum = try await results(
            .fused(.vector(query), .numbers(numbers)), Fusion(method: .sum, lexicalWeight: 0.25))
        let sums = passing.keys.map { ($0, Double(Float(1 * (dense[$0] ?? 0) + 0.25 * (lexical[$0] ?? 0)))) }
        #expect(sum.results.map(\.id) == Self.ranked(Dictionary(uniqueKeysWithValues: sums), k))
        for result in sum.results {
            #expect(abs(Double(result.scores?["text"] ?? 9) - (dense[result.id] ?? 0)) < 1e-6)
            #expect(abs(Double(result.scores?["lexical"] ?? 9) - (lexical[result.id] ?? 0)) < 1e-5)
        }
        let depth = max(30, k)
        let fused = try await results(.fused(.vector(query), .numbers(numbers)), Fusion(method: .rrf, depth: depth))
        var shares: [Int64: Double] = [:]
        for ranking in [Self.ranked(dense, depth), Self.ranked(lexical, depth)] {
            for (rank, id) in ranking.enumerated() { shares[id, default: 0] += 1 / Double(61 + rank) }
        }
        let expected = Self.ranked(shares.mapValues { Double(Float($0)) }, k)
        #expect(fused.results.map(\.id) == expected)
    }
}
