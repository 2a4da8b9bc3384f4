import DatastoreCore
import DatastoreStorage
import Foundation
import RetrievalEngine
import TestSupport
import Testing

/// What a captioner gets: the exact answer, or why there is less of it.
struct QueryAnswerTests {
    // MARK: Samples

    private static func sampleRows(_ name: String) throws -> [TestRow] {
        let folder = TestData.samples.appending(path: name)
        let vectors = try Vectors(npy: folder.appending(path: "captions.f16.npy"))
        let lines = try String(contentsOf: folder.appending(path: "captions.ndjson"), encoding: .utf8)
            .split(separator: "\n")
        return try lines.enumerated().map { row, line in
            guard case .object(let object) = try WireJSON.decode(JSONValue.self, from: Data(line.utf8)),
                case .string(let text) = object["text"], case .string(let id) = object["id"],
                case .string(let imageID) = object["image_id"]
            else { throw DatastoreError(.internalError, "not a sample row: \(line)") }
            return TestRow(text, vectors[row], id: id, imageID: imageID)
        }
    }

    private static func questions(_ name: String) throws -> (vectors: Vectors, imageIDs: [String]) {
        struct Question: Decodable {
            var imageID: String

            enum CodingKeys: String, CodingKey {
                case imageID = "image_id"
            }
        }
        let folder = TestData.samples.appending(path: name)
        let lines = try String(contentsOf: folder.appending(path: "questions.ndjson"), encoding: .utf8)
            .split(separator: "\n")
        return (
            try Vectors(npy: folder.appending(path: "questions.f16.npy")),
            try lines.map { try WireJSON.decode(Question.self, from: Data($0.utf8)).imageID }
        )
    }

    @Test(arguments: TestData.captionSamples)
    func heldOutQuestionsGetWhatExactSearchFinds(sample: String) async throws {
        let harness = try EngineHarness()
        let rows = try Self.sampleRows(sample)
        let questions = try Self.questions(sample)
        #expect(questions.vectors.count == 120)
        #expect(questions.imageIDs.count == 120)
        try await harness.run { engine in
            try await engine.importSample(sample)
            try await engine.bind("d", sample)
            for k in [1, 4, 32] {
                let expected = bruteForce(
                    Vectors(values: rows.flatMap(\.vector), dim: 384), questions.vectors, k: k)
                let answer = try await engine.answers(
                    QueryVectors(values: questions.vectors.values, count: 120), of: "d", options: QueryOptions(k: k))
                #expect(answer.answers.count == 120)
                for (question, (item, neighbours)) in zip(answer.answers, expected).enumerated() {
                    let results = try #require(item.results)
                    #expect(results.map(\.externalID) == neighbours.map { rows[$0.row].id }, "question \(question)")
                    #expect(results.map(\.text) == neighbours.map { rows[$0.row].text }, "question \(question)")
                    #expect(zip(results, neighbours).allSatisfy { abs($0.score - $1.score) <= 1e-6 })
                    #expect(item.shortfall == nil)
                }
            }
        }
    }

    @Test(arguments: TestData.captionSamples)
    func captionsOfTheQuestionsOwnImageAreLeftOutAndTheTopIsStillFull(sample: String) async throws {
        let harness = try EngineHarness()
        var corpus = Corpus(dim: 384)
        corpus.add(sample, try Self.sampleRows(sample))
        let questions = try Self.questions(sample)
        try await harness.run { [corpus] engine in
            try await engine.importSample(sample)
            try await engine.bind("d", sample)
            for question in stride(from: 0, to: questions.vectors.count, by: 4) {
                let options = QueryOptions(k: 7, excludeImageIDs: [questions.imageIDs[question]])
                let vector = questions.vectors[question]
                let answer = try await engine.ask("d", vector, options)
                #expect(answer.results.count == 7)
                corpus.check(answer, vector, options)
            }
        }
    }

    // MARK: Exclusion

    @Test(arguments: [1, 4, 40])
    func ownImagesThatFillTheWholeTopLeaveExactlyKOthers(k: Int) async throws {
        let harness = try EngineHarness()
        let query: [Float] = [1, 0, 0, 0]
        // 500 captions of the own images are nearer than any other.
        var rows: [TestRow] = []
        for index in 0..<500 {
            rows.append(
                TestRow("own \(index)", [1, Float(index) * 1e-4, 0, 0], imageID: index % 2 == 0 ? "own" : "own too"))
        }
        for index in 0..<k { rows.append(TestRow("other \(index)", [1, 1, Float(index) * 0.01, 0], imageID: "other")) }
        rows.append(TestRow("no image", [-1, 0, 0, 0]))
        var corpus = Corpus(dim: 4)
        corpus.add("d", rows)
        try await harness.run { [corpus, rows] engine in
            try await engine.create("d", dim: 4)
            try await engine.importRows(rows, into: "d")
            try await engine.bind("street", "d")
            let options = QueryOptions(k: k, excludeImageIDs: ["own", "own too", "of no entry"])
            let answer = try await engine.ask("street", query, options)
            #expect(answer.results.count == k)
            #expect(answer.results.allSatisfy { $0.imageID == "other" })
            #expect(answer.shortfall == nil)
            corpus.check(answer, query, options)

            let more = QueryOptions(k: k + 5, excludeImageIDs: ["own", "own too"])
            let short = try await engine.ask("street", query, more)
            #expect(short.shortfall == Shortfall(requested: k + 5, returned: k + 1, reasons: [.excluded]))
            corpus.check(short, query, more)
        }
    }

    // MARK: Options together

    /// Many entries with equal vectors, texts and images, so that every rule meets every other.
    private static func crowded(_ count: Int, dim: Int, seed: UInt64, name: String) -> [TestRow] {
        var random = SeededGenerator(seed: seed)
        let vectors = Vectors(clustered: count, dim: dim, seed: seed &+ 1)
        return (0..<count).map { row in
            let source = Bool.random(using: &random) ? row : Int.random(in: 0...row, using: &random)
            return TestRow(
                "text \(Int.random(in: 0..<count / 3 + 1, using: &random))", vectors[source], id: "\(name)-\(row)",
                imageID: Int.random(in: 0..<10, using: &random) == 0
                    ? nil : "image \(Int.random(in: 0..<6, using: &random))")
        }
    }

    @Test(arguments: [Metric.cosine, .innerProduct], [["a"], ["a", "b"], ["a", "b", "c"]])
    func everyMixOfOptionsGetsWhatTheRulesSay(metric: Metric, names: [String]) async throws {
        let harness = try EngineHarness()
        var corpus = Corpus(dim: 6, metric: metric)
        var stored: [(name: String, rows: [TestRow])] = []
        for (index, name) in names.enumerated() {
            let rows = Self.crowded([70, 25, 3][index], dim: 6, seed: UInt64(index) + 40, name: name)
            stored.append((name, rows))
            corpus.add(name, rows)
        }
        try await harness.run { [corpus, stored] engine in
            for (name, rows) in stored {
                try await engine.create(name, dim: 6, metric: metric)
                try await engine.importRows(rows, into: name)
            }
            _ = try await engine.setDomain(
                "d", SetDomainRequest(datastores: stored.map { DatastoreBinding(name: $0.name) }), precondition: .none)
            var random = SeededGenerator(seed: 7)
            let queries = Vectors(clustered: 150, dim: 6, seed: 8)
            var reasons: Set<[ShortfallReason]> = []
            for index in 0..<queries.count {
                // Every third question is a stored vector: scores of 1 that tie.
                let query =
                    index % 3 == 0 ? corpus.entries[index % corpus.entries.count].row.vector : queries[index]
                let options = QueryOptions(
                    k: [1, 2, 4, 10, 30, 69, 70, 71, 98, 120].randomElement(using: &random),
                    excludeImageIDs: (0..<Int.random(in: 0...4, using: &random)).map { _ in
                        "image \(Int.random(in: 0..<8, using: &random))"
                    },
                    dedupe: [nil, Dedupe.none, .text].randomElement(using: &random) ?? nil,
                    minScore: Bool.random(using: &random) ? nil : Float.random(in: -1...1, using: &random))
                let answer = try await engine.ask("d", query, options)
                corpus.check(answer, query, options)
                if let shortfall = answer.shortfall { reasons.insert(shortfall.reasons) }
            }
            // The cases reached what they were made for.
            #expect(Set(reasons.joined()) == [.tooFewEntries, .minScore, .excluded, .deduplicated])
            #expect(reasons.count > 6)
        }
    }

    struct ShortfallCase: Sendable, CustomTestStringConvertible {
        let name: String
        let options: QueryOptions
        let returned: Int
        let reasons: [ShortfallReason]
        var testDescription: String { name }
    }

    /// Over four entries with scores 1, 0.8, 0.6 and 0, of images a, a, b and b, with the texts x, y, x and z.
    @Test(arguments: [
        ShortfallCase(name: "enough", options: QueryOptions(k: 4), returned: 4, reasons: []),
        ShortfallCase(name: "too few entries", options: QueryOptions(k: 5), returned: 4, reasons: [.tooFewEntries]),
        ShortfallCase(name: "min score", options: QueryOptions(k: 4, minScore: 0.5), returned: 3, reasons: [.minScore]),
        ShortfallCase(
            name: "excluded", options: QueryOptions(k: 3, excludeImageIDs: ["a"]), returned: 2, reasons: [.excluded]),
        ShortfallCase(
            name: "deduplicated", options: QueryOptions(k: 4, dedupe: .text), returned: 3, reasons: [.deduplicated]),
        ShortfallCase(
            name: "what is below the score is not excluded",
            options: QueryOptions(k: 4, excludeImageIDs: ["b"], minScore: 0.7), returned: 2, reasons: [.minScore]),
        ShortfallCase(
            name: "min score and excluded", options: QueryOptions(k: 3, excludeImageIDs: ["a"], minScore: 0.5),
            returned: 1, reasons: [.minScore, .excluded]),
        ShortfallCase(
            name: "what is excluded is not a duplicate",
            options: QueryOptions(k: 4, excludeImageIDs: ["a"], dedupe: .text), returned: 2, reasons: [.excluded]),
        ShortfallCase(
            name: "all four",
            options: QueryOptions(k: 9, excludeImageIDs: ["c"], dedupe: .text, minScore: 0.1), returned: 2,
            reasons: [.tooFewEntries, .minScore, .excluded, .deduplicated]),
        ShortfallCase(
            name: "nothing is left", options: QueryOptions(k: 1, minScore: 1.5), returned: 0, reasons: [.minScore]),
    ])
    func shortfallSaysEachCauseAndNoOther(_ testCase: ShortfallCase) async throws {
        let harness = try EngineHarness()
        let isAllFour = testCase.name == "all four"
        let rows = [
            TestRow("x", [1, 0], imageID: "a"), TestRow("y", [0.8, 0.6], imageID: isAllFour ? "c" : "a"),
            TestRow("x", [0.6, 0.8], imageID: "b"), TestRow("z", [0, 1], imageID: "b"),
        ]
        // "all four" needs one more text above the score.
        let all = isAllFour ? rows + [TestRow("w", [0.5, 0.8660254], imageID: "b")] : rows
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows(all, into: "d")
            try await engine.bind("street", "d")
            let answer = try await engine.ask("street", [1, 0], testCase.options)
            #expect(answer.results.count == testCase.returned)
            #expect(answer.shortfall?.reasons ?? [] == testCase.reasons)
            #expect(answer.shortfall?.returned ?? testCase.returned == testCase.returned)
        }
    }

    @Test func minScoreIsInclusive() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(40, seed: 3)
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(rows, into: "d")
            try await engine.bind("street", "d")
            let query = Vectors(clustered: 1, dim: 8, seed: 4)[0]
            let all = try await engine.ask("street", query, QueryOptions(k: 40))
            for (rank, result) in all.results.enumerated() {
                let at = try await engine.ask("street", query, QueryOptions(k: 40, minScore: result.score))
                #expect(at.results.count == rank + 1)
                let above = try await engine.ask("street", query, QueryOptions(k: 40, minScore: result.score.nextUp))
                #expect(above.results.count == rank)
                #expect(above.shortfall?.reasons == [.minScore])
            }
        }
    }

    @Test func dedupeKeepsTheBestAndGivesKDistinctTexts() async throws {
        let harness = try EngineHarness()
        var rows = (0..<300).map { TestRow("the same", [1, Float($0 + 1) * 0.001, 0], id: "same-\($0)") }
        rows.insert(TestRow("the same", [1, 0, 0], id: "best"), at: 150)
        rows += [TestRow("second", [1, 0.9, 0]), TestRow("third", [1, 1, 0]), TestRow("second", [1, 2, 0])]
        try await harness.run { [rows] engine in
            try await engine.create("d", dim: 3)
            try await engine.importRows(rows, into: "d")
            try await engine.bind("street", "d", defaults: QueryDefaults(k: 3, dedupe: .text))
            let answer = try await engine.ask("street", [1, 0, 0])
            #expect(answer.results.map(\.text) == ["the same", "second", "third"])
            #expect(answer.results.first?.externalID == "best")
            #expect(answer.shortfall == nil)
            let asked = try await engine.ask("street", [1, 0, 0], QueryOptions(k: 2, dedupe: Dedupe.none))
            #expect(asked.results.map(\.externalID) == ["best", "same-0"])
        }
    }

    // MARK: Several datastores

    @Test func twoDatastoresAreMergedByScoreAndTiesGoById() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            for name in ["a", "b"] { try await engine.create(name, dim: 2) }
            try await engine.importRows(
                [TestRow("a1", [1, 0]), TestRow("a2", [0, 1]), TestRow("a3", [1, 0])], into: "a")
            try await engine.importRows(
                [TestRow("b1", [0, 1]), TestRow("b2", [3, 0]), TestRow("b3", [1, 1])], into: "b")
            try await engine.bind("ab", "a", "b")
            try await engine.bind("ba", "b", "a")
            let first = try await engine.ask("ab", [2, 0], QueryOptions(k: 6))
            #expect(first.results.map(\.text) == ["a1", "b2", "a3", "b3", "b1", "a2"])
            #expect(first.results.map(\.datastore) == ["a", "b", "a", "b", "b", "a"])
            #expect(first.results.map(\.version) == [1, 1, 1, 1, 1, 1])
            // Equal scores and equal ids: the order of the bindings decides.
            try await engine.importRows([TestRow("b4", [1, 0])], into: "b")
            try await engine.importRows([TestRow("a4", [1, 0])], into: "a")
            let abTied = try await engine.ask("ab", [1, 0], QueryOptions(k: 5))
            #expect(abTied.results.map(\.text) == ["a1", "b2", "a3", "a4", "b4"])
            let baTied = try await engine.ask("ba", [1, 0], QueryOptions(k: 5))
            #expect(baTied.results.map(\.text) == ["a1", "b2", "a3", "b4", "a4"])
            #expect(baTied.results.map(\.id) == [1, 2, 3, 4, 4])
        }
    }

    @Test func twoSamplesAnswerAsOne() async throws {
        let harness = try EngineHarness()
        let names = ["everyday-photos", "shop-products"]
        var corpus = Corpus(dim: 384)
        for name in names { corpus.add(name, try Self.sampleRows(name)) }
        let questions = try Self.questions("shop-products").vectors
        try await harness.run { [corpus] engine in
            for name in names { try await engine.importSample(name) }
            try await engine.bind("mixed", "everyday-photos", "shop-products")
            for question in stride(from: 0, to: questions.count, by: 6) {
                let options = QueryOptions(k: 9)
                let answer = try await engine.ask("mixed", questions[question], options)
                corpus.check(answer, questions[question], options)
            }
        }
    }

    // MARK: Prompt

    @Test func promptIsSmallCaps() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows(
                [TestRow("a man rides a horse", [1, 0]), TestRow("a || b", [1, 0.1]), TestRow("far", [0, 1])],
                into: "d")
            try await engine.bind("street", "d")
            let answer = try await engine.ask("street", [1, 0], QueryOptions(k: 2, prompt: true))
            #expect(
                answer.prompt == "Similar images show\n\na man rides a horse\n\na || b.\n\nThis image shows ")
            let unasked = try await engine.ask("street", [1, 0], QueryOptions(k: 2))
            #expect(unasked.prompt == nil)
            let empty = try await engine.ask("street", [1, 0], QueryOptions(k: 2, minScore: 2, prompt: true))
            #expect(empty.prompt == nil)
            #expect(empty.results.isEmpty)
        }
    }

    // MARK: Defaults and fields

    @Test func domainDefaultsHoldUntilTheQuestionSaysOtherwise() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            let rows = (0..<9).map { TestRow("\($0)", [1, Float($0)]) }
            try await engine.importRows(rows, into: "d")
            try await engine.bind("plain", "d")
            #expect(try await engine.ask("plain", [1, 0]).results.count == 4)
            try await engine.bind("set", "d", defaults: QueryDefaults(k: 2, minScore: 0.9))
            let answer = try await engine.ask("set", [1, 0])
            #expect(answer.results.map(\.text) == ["0"])
            #expect(answer.shortfall == Shortfall(requested: 2, returned: 1, reasons: [.minScore]))
            #expect(try await engine.ask("set", [1, 0], QueryOptions(k: 5, minScore: -1)).results.count == 5)
        }
    }

    @Test func resultsCarryAllThatWasImported() async throws {
        let harness = try EngineHarness()
        let more: [String: JSONValue] = [
            "origin": .string("web"), "lang": .string("de"), "source": .string("crawl"),
            "payload": .object(["a": .array([.integer(1), .number(1.5), .null, .bool(true)])]), "extra": .string("x"),
        ]
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows(
                [
                    TestRow("  ein Pferd 🐎 \u{301} \n", [1, 0], id: "ä/1", imageID: "42", more: more),
                    TestRow("bare", [0, 1]),
                ], into: "d")
            let info = try await engine.bind("street", "d")
            let answer = try await engine.ask("street", [1, 0], QueryOptions(k: 2))
            #expect(answer.domain == "street")
            #expect(answer.revision == info.revision)
            let full = answer.results[0]
            #expect(full.id == 1)
            #expect(full.externalID == "ä/1")
            #expect(full.text == "ein Pferd 🐎 \u{301}")
            #expect(full.imageID == "42")
            #expect(full.origin == .web)
            #expect(full.lang == "de")
            #expect(full.source == "crawl")
            #expect(
                full.payload
                    == .object([
                        "a": .array([.integer(1), .number(1.5), .null, .bool(true)]), "extra": .string("x"),
                    ]))
            #expect(full.datastore == "d")
            #expect(full.version == 1)
            let bare = answer.results[1]
            #expect(bare.externalID == nil && bare.imageID == nil && bare.origin == nil && bare.payload == nil)
        }
    }
}
