import DatastoreCore
import DatastoreStorage
import Foundation
import TestSupport
import Testing

@testable import RetrievalEngine

/// Weights and limits of bindings, similarity, variety and fusion against a plain look at every entry.
struct RankingTests {
    private static func cosine(_ a: [Float], _ b: [Float]) -> Float {
        var (dot, x, y) = (0.0, 0.0, 0.0)
        for (p, q) in zip(a, b) {
            dot += Double(p) * Double(q)
            x += Double(p) * Double(p)
            y += Double(q) * Double(q)
        }
        return Float(dot / (x.squareRoot() * y.squareRoot()))
    }

    @Test func resultsAreOrderedByWeightAndLimitedPerDatastore() async throws {
        let harness = try EngineHarness()
        let stored: [(name: String, weight: Float, limit: Int?, rows: [TestRow])] = [
            ("a", 1, nil, TestRow.several(300, seed: 1, prefix: "a")),
            ("b", 0.8, 2, TestRow.several(200, seed: 1, prefix: "b")),
            ("c", 1.5, 3, TestRow.several(100, seed: 2, prefix: "c")),
        ]
        try await harness.run { engine in
            for (name, _, _, rows) in stored {
                try await engine.create(name)
                try await engine.importRows(rows, into: name)
            }
            let bindings = stored.map { DatastoreBinding(name: $0.name, limit: $0.limit, weight: $0.weight) }
            _ = try await engine.setDomain("street", SetDomainRequest(datastores: bindings), precondition: .none)
            let queries = Vectors(clustered: 100, dim: 8, seed: 3)
            for index in 0..<queries.count {
                let query = queries[index]
                let answer = try await engine.ask("street", query, QueryOptions(k: 12))
                var all: [(rank: Double, id: Int, binding: Int, text: String, score: Float)] = []
                for (binding, (_, weight, _, rows)) in stored.enumerated() {
                    for (id, row) in rows.enumerated() {
                        let score = Self.cosine(query, row.vector)
                        all.append((Double(score) * Double(weight), id, binding, row.text, score))
                    }
                }
                all.sort { $0.rank != $1.rank ? $0.rank > $1.rank : ($0.id, $0.binding) < ($1.id, $1.binding) }
                var taken = [0, 0, 0]
                let expected = all.filter { entry in
                    taken[entry.binding] += 1
                    return taken[entry.binding] <= stored[entry.binding].limit ?? .max
                }.prefix(12)
                #expect(answer.results.map(\.text) == expected.map(\.text))
                for (result, entry) in zip(answer.results, expected) {
                    #expect(abs(result.score - entry.score) < 1e-6)
                    #expect(result.rankScore.map { abs($0 - Float(entry.rank)) < 1e-6 } ?? (entry.binding == 0))
                }
            }
            let all = try await engine.ask("street", queries[0], QueryOptions(k: 400))
            #expect(all.results.count == 305)
            #expect(all.shortfall?.reasons == [.limited])
        }
    }

    @Test func aBindingKeepsItsLimitAndItsWeightWhenItFollows() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(TestRow.several(20, seed: 1), into: "d")
            try await engine.bind("street", "d:limit=2:weight=0.5")
            try await engine.importRows(TestRow.several(20, seed: 2, prefix: "new"), into: "d")
            let followed = try await engine.domain("street").datastores
            #expect(followed == [BoundDatastore(name: "d", version: 2, followsLatest: true, limit: 2, weight: 0.5)])
            #expect(try await engine.ask("street", TestRow.several(1, seed: 1)[0].vector).results.count == 2)
            let back = try await engine.rollback("street", to: 1, precondition: .none).datastores
            #expect(back == [BoundDatastore(name: "d", version: 1, followsLatest: false, limit: 2, weight: 0.5)])
        }
    }

    @Test func scoresBeyondAFloatStayNumbers() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2, metric: .innerProduct)
            try await engine.importRows([TestRow("far", [3e38, 0]), TestRow("near", [1, 1])], into: "d")
            try await engine.bind("street", "d:weight=3e38")
            let answer = try await engine.ask("street", [3e38, 1])
            #expect(answer.results.map(\.rankScore) == [.greatestFiniteMagnitude, .greatestFiniteMagnitude])
            #expect(throws: Never.self) { try WireJSON.encode(answer) }
        }
    }

    @Test func aMergeOfOneVectorOrOfAnotherQuestionIsRefused() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows([TestRow("a", [1, 0], id: "a")], into: "d")
            try await engine.bind("street", "d")
            let merging = QueryOptions(merge: VectorMerge())
            for input in [QueryInput.vector([1, 0]), .entry(EntryReference(id: 1)), .terms(WeightedSum(terms: []))] {
                await expectError(.invalidValue) {
                    try await engine.answer(QueryRequest(query: input, options: merging), of: "street")
                }
            }
            let many = VectorMerge(perVector: 1000)
            await expectError(.tooManyQueries) {
                try await engine.merged(
                    QueryVectors(values: Array(repeating: 1, count: 2048), count: 1024), many, of: "street",
                    options: QueryOptions(merge: many))
            }
            let places = String(repeating: "||", count: 17)
            await expectError(.invalidValue) {
                try await engine.ask("street", [1, 0], QueryOptions(prompt: true, template: places))
            }
            await expectError(.invalidValue) {
                try await engine.bind("street", "d", defaults: QueryDefaults(template: places))
            }
        }
    }

    @Test func limitsAndDedupeHoldOverAllOfAMerge() async throws {
        let harness = try EngineHarness()
        let rows = (0..<12).map { TestRow("name \($0)", [1, Float($0)], imageID: "image \($0 / 4)") }
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows(rows, into: "d")
            try await engine.bind("limited", "d:limit=2")
            try await engine.bind("open", "d")
            let vectors = try QueryVectors(values: [1, 0, 1, 5, 1, 11], count: 3)
            let merge = VectorMerge(perVector: 5, limit: 15)
            let options = QueryOptions(merge: merge)
            let limited = try await engine.merged(vectors, merge, of: "limited", options: options)
            #expect(limited.results.count == 2)
            #expect(limited.shortfall?.reasons == [.limited])
            var byImage = options
            byImage.dedupe = .image
            let images = try await engine.merged(vectors, merge, of: "open", options: byImage)
            #expect(Set(images.results.compactMap(\.imageID)).count == images.results.count)
            // One vector brings fewer hits than the names that are wanted.
            let one = try await engine.merged(
                QueryVectors(values: [1, 0], count: 1), merge, of: "open", options: options)
            #expect(one.results.count == 5)
            #expect(one.shortfall?.reasons == [.limited])
        }
    }

    @Test func aLexicalAnswerSaysOnlyTheCausesThatItHas() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            _ = try await engine.createDatastore(
                CreateDatastoreRequest(
                    name: "d", kind: .captions,
                    keys: [KeySpec(name: "lexical", terms: 4, pruning: SparsePruning(threshold: 0))]))
            let rows = (0..<6).map {
                #"{"text": "t\#($0)", "image_id": "i\#($0)", "vectors": {"lexical": {"indices": [\#($0 / 4)], "values": [1]}}}"#
            }
            let job = try await engine.ended(engine.submit(Data(rows.joined(separator: "\n").utf8), into: "d"))
            try #require(job.state == .succeeded, "\(String(describing: job.error))")
            try await engine.bind("street", "d")
            try await engine.bind("limited", "d:limit=2")
            func reasons(_ terms: [UInt32], _ options: QueryOptions, _ domain: String = "street") async throws
                -> [ShortfallReason]?
            {
                let weights = try SparseVector(indices: terms, values: terms.map { _ in 1 })
                return try await engine.answer(
                    QueryRequest(query: .lexical(.numbers(weights)), options: options), of: domain
                ).shortfall?.reasons
            }
            #expect(try await reasons([0], QueryOptions(k: 4)) == nil)
            #expect(try await reasons([0], QueryOptions(k: 5)) == [.noSharedTerm])
            #expect(try await reasons([0, 1], QueryOptions(k: 7)) == [.tooFewEntries])
            #expect(try await reasons([0, 1], QueryOptions(k: 4), "limited") == [.limited])
            #expect(try await reasons([0, 1], QueryOptions(k: 6, excludeImageIDs: ["i0"])) == [.excluded])
            #expect(try await reasons([3], QueryOptions(k: 1)) == [.noSharedTerm])
        }
    }

    @Test func nothingIsAsSimilarToATakenResultAsTheThreshold() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(300, seed: 5)
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(rows, into: "d")
            try await engine.bind("street", "d")
            let queries = Vectors(clustered: 60, dim: 8, seed: 6)
            for index in 0..<queries.count {
                let options = QueryOptions(k: 6, dedupe: Dedupe(similarity: 0.9))
                let answer = try await engine.ask("street", queries[index], options)
                var taken: [TestRow] = []
                let order = rows.enumerated().map { ($0.offset, Self.cosine(queries[index], $0.element.vector)) }.sorted
                {
                    $0.1 != $1.1 ? $0.1 > $1.1 : $0.0 < $1.0
                }
                for (place, _) in order where taken.count < 6 {
                    if !taken.contains(where: { Self.cosine($0.vector, rows[place].vector) >= 0.9 }) {
                        taken.append(rows[place])
                    }
                }
                #expect(answer.results.map(\.text) == taken.map(\.text))
            }
        }
    }

    /// A datastore of a dense key and weights of 50 terms.
    private static func hybrid(_ count: Int, seed: UInt64) -> (lines: Data, vectors: Vectors, weights: [[Int: Float]]) {
        var random = SeededGenerator(seed: seed)
        let vectors = Vectors(clustered: count, dim: 6, seed: seed)
        var weights: [[Int: Float]] = []
        var lines = Data()
        for row in 0..<count {
            var terms: [Int: Float] = [:]
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                terms[Int.random(in: 0..<50, using: &random)] = Float(Int.random(in: 1...64, using: &random)) / 16
            }
            weights.append(terms)
            let numbers = terms.keys.sorted()
            let line: JSONValue = .object([
                "id": .string("r\(row)"), "text": .string("text \(row)"),
                "vector_base64": .string(QueryVectors.base64(vectors[row])),
                "vectors": .object([
                    "lexical": .object([
                        "indices": .array(numbers.map { .integer(Int64($0)) }),
                        "values": .array(numbers.map { .number(Double(terms[$0] ?? 0)) }),
                    ])
                ]),
            ])
            lines += (try? WireJSON.encode(line)) ?? Data()
            lines += Data("\n".utf8)
        }
        return (lines, vectors, weights)
    }

    @Test(arguments: [Fusion.Method.sum, .rrf])
    func fusedRankingsAreExact(_ method: Fusion.Method) async throws {
        let harness = try EngineHarness()
        let (lines, vectors, weights) = Self.hybrid(900, seed: 31)
        try await harness.run { engine in
            _ = try await engine.createDatastore(
                CreateDatastoreRequest(
                    name: "d", kind: .captions,
                    keys: [
                        KeySpec(name: "text", dim: 6, metric: .cosine),
                        KeySpec(name: "lexical", terms: 50, pruning: SparsePruning(threshold: 0)),
                    ]))
            let job = try await engine.ended(engine.submit(lines, into: "d"))
            try #require(job.state == .succeeded, "\(String(describing: job.error))")
            try await engine.bind("street", "d")
            var random = SeededGenerator(seed: 4)
            for _ in 0..<120 {
                let query = (0..<6).map { _ in Float.random(in: -1...1, using: &random) }
                var asked: [Int: Float] = [:]
                for _ in 0..<Int.random(in: 1...5, using: &random) {
                    asked[Int.random(in: 0..<50, using: &random)] = Float(Int.random(in: -8...32, using: &random)) / 8
                }
                asked = asked.filter { $0.value != 0 }
                if asked.isEmpty { asked = [3: 1] }
                let fusion = Fusion(
                    method: method, denseWeight: Float(Int.random(in: 0...8, using: &random)) / 4,
                    lexicalWeight: Float(Int.random(in: 1...8, using: &random)) / 16, depth: 40)
                let numbers = try SparseVector(
                    indices: asked.keys.map { UInt32($0) }, values: asked.keys.map { asked[$0] ?? 0 })
                let answer = try await engine.answer(
                    QueryRequest(
                        query: .fused(.vector(query), .numbers(numbers)), options: QueryOptions(k: 10, fusion: fusion)),
                    of: "street")
                let dense = (0..<900).map { Self.cosine(query, vectors[$0]) }
                let lexical = weights.map { terms in
                    Float(terms.keys.sorted().reduce(0.0) { $0 + Double(terms[$1] ?? 0) * Double(asked[$1] ?? 0) })
                }
                var fused: [(row: Int, score: Double)]
                if method == .sum {
                    fused = (0..<900).map {
                        let sum =
                            Double(fusion.denseWeight) * Double(dense[$0]) + Double(fusion.lexicalWeight)
                            * Double(lexical[$0])
                        return ($0, Double(Float(sum)))
                    }
                } else {
                    let byDense = (0..<900).sorted { dense[$0] != dense[$1] ? dense[$0] > dense[$1] : $0 < $1 }.prefix(
                        40)
                    let matching = (0..<900).filter { row in weights[row].keys.contains { (asked[$0] ?? 0) > 0 } }
                    let byTerms = matching.sorted { lexical[$0] != lexical[$1] ? lexical[$0] > lexical[$1] : $0 < $1 }
                        .prefix(40)
                    var scores: [Int: Double] = [:]
                    for (rank, row) in byDense.enumerated() {
                        scores[row, default: 0] += Double(fusion.denseWeight) / Double(61 + rank)
                    }
                    for (rank, row) in byTerms.enumerated() {
                        scores[row, default: 0] += Double(fusion.lexicalWeight) / Double(61 + rank)
                    }
                    fused = scores.map { ($0.key, $0.value) }
                }
                fused.sort { $0.score != $1.score ? $0.score > $1.score : $0.row < $1.row }
                #expect(answer.results.map(\.externalID) == fused.prefix(10).map { "r\($0.row)" })
                for (result, one) in zip(answer.results, fused) {
                    #expect(abs(Double(result.score) - one.score) < 1e-6)
                    let total = result.terms?.reduce(Float(0)) { $0 + $1.weight } ?? 0
                    #expect(abs(total - lexical[one.row]) < 1e-4)
                }
            }
        }
    }
}
