import DatastoreCore
import DatastoreStorage
import Foundation
import RetrievalEngine
import TestSupport
import Testing
import VectorIndex

/// Plans: what is built, what is measured, what is refused, and what is answered from it.
struct IndexPlanTests {
    private static let dim = 24
    /// Without clusters: an index has to work for its recall.
    private static func rows(_ count: Int, seed: UInt64) -> [TestRow] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { row in
            TestRow(
                "caption \(row)", (0..<dim).map { _ in Float.random(in: -1...1, using: &random) }, id: "e\(row)",
                imageID: "\(row / 5)")
        }
    }

    private static func vectors(_ count: Int, seed: UInt64) -> Vectors {
        Vectors(values: rows(count, seed: seed).flatMap(\.vector), dim: dim)
    }

    private static func index(_ engine: CapstanEngine, _ version: Int) async throws -> VersionKeyIndex {
        let info = try await engine.version(VersionID(datastore: "d", number: version))
        return try #require(info.indexes?.first)
    }

    @Test func aVersionUnderTheGateIsRefusedTheOldOneStaysAndTheCurveSaysWhatWouldPass() async throws {
        let harness = try EngineHarness()
        let rows = Self.rows(3000, seed: 1)
        try await harness.run { engine in
            try await engine.create("d", dim: Self.dim)
            try await engine.importRows(Array(rows[..<2000]), into: "d")
            try await engine.bind("street", "d")
            _ = try await engine.updateDatastore(
                "d", UpdateDatastoreRequest(plan: IndexPlan(.ivfFlat, lists: 50, nprobe: 1), recallGate: 0.9))
            let job = try await engine.ended(engine.submit(TestRow.ndjson(Array(rows[2000...])), into: "d"))
            #expect(job.state == .failed)
            #expect(job.error?.code == "recall_gate_refused")
            let detail = job.error?.detail ?? ""
            #expect(detail.contains("the gate is 0.9"), "\(detail)")
            #expect(detail.contains("nprobe 1 0."), "\(detail)")
            #expect(detail.contains("entries"), "\(detail)")
            // The old version answers, the rows wait.
            #expect(try await engine.ask("street", rows[2500].vector).results.allSatisfy { $0.version == 1 })
            let info = try await engine.datastore("d")
            #expect(info.latestVersion == 1)
            #expect(info.pendingChanges == 1000)
            // What the refusal advises passes.
            let advice = try #require(detail.firstMatch(of: /--plan (\S+) would pass/)?.1)
            let built = try await engine.ended(
                engine.submitBuild(of: "d", BuildVersionRequest(plan: IndexPlan(argument: String(advice)))))
            #expect(built.state == .succeeded, "\(String(describing: built.error))")
            let index = try await Self.index(engine, 2)
            #expect(index.plan.method == .ivfFlat)
            #expect((index.recall?.recall ?? 0) >= 0.9)
            #expect(index.recall?.gate == 0.9)
            #expect(index.recall?.source == .entries)
            #expect(try await engine.datastore("d").pendingChanges == 0)
            #expect(try await engine.ask("street", rows[2500].vector).results.first?.externalID == "e2500")
        }
    }

    @Test func anExactPlanHasNoIndexFileAndAlwaysPasses() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: Self.dim, plan: .exact, recallGate: 1)
            try await engine.importRows(Self.rows(300, seed: 2), into: "d")
            let index = try await Self.index(engine, 1)
            #expect(index.plan == .exact)
            #expect(index.recall == nil)
            let files = try await engine.version(VersionID(datastore: "d", number: 1)).files
            #expect(files?.map(\.name).sorted() == ["entries.sqlite", "text.codes", "text.vectors"])
        }
    }

    @Test(arguments: [
        IndexPlan(.hnsw), IndexPlan(.ivfFlat, lists: 40), IndexPlan(.ivfSQ8, lists: 40), IndexPlan(.ivfSQ4, lists: 40),
    ])
    func anIndexAnswersTheSameAfterARestartAndExactQuestionsFindAll(plan: IndexPlan) async throws {
        let harness = try EngineHarness()
        let rows = Self.rows(3000, seed: 3)
        let queries = Self.vectors(30, seed: 4)
        let all = Vectors(values: rows.flatMap(\.vector), dim: Self.dim)
        let truth = bruteForce(all, queries, k: 10)
        @Sendable func answers(_ engine: CapstanEngine, _ effort: SearchEffort) async throws -> [[Int64]] {
            var answers: [[Int64]] = []
            for query in 0..<queries.count {
                let answer = try await engine.ask("street", queries[query], QueryOptions(k: 10, effort: effort))
                #expect(answer.results.count == 10)
                answers.append(answer.results.map(\.id))
            }
            return answers
        }
        let first = try await harness.run { engine in
            try await engine.create("d", dim: Self.dim, plan: plan, recallGate: 0)
            try await engine.importRows(rows, into: "d")
            try await engine.bind("street", "d")
            let exact = try await answers(engine, SearchEffort(exact: true))
            for (exact, truth) in zip(exact, truth) { #expect(exact == truth.map { Int64($0.row + 1) }) }
            return try await answers(engine, SearchEffort())
        }
        try await harness.run { engine in
            #expect(try await answers(engine, SearchEffort()) == first)
            // Effort of one question says nothing to the next.
            let much = try await answers(engine, SearchEffort(efSearch: 1000, nprobe: 40))
            let found = zip(much, truth).map { Set($0).intersection($1.map { Int64($0.row + 1) }).count }
            #expect(found.reduce(0, +) >= (plan.method.isGraph ? 270 : 300), "\(plan)")
            #expect(try await answers(engine, SearchEffort()) == first)
        }
    }

    /// An index is asked for more when what it found is excluded: no answer is out of order, has a result twice, or is short.
    @Test func anAnswerOfAnIndexIsFullAndInOrderWhateverIsLeftOut() async throws {
        let harness = try EngineHarness()
        let rows = Self.rows(3000, seed: 5)
        let queries = Self.vectors(20, seed: 6)
        try await harness.run { engine in
            try await engine.create("d", dim: Self.dim, plan: IndexPlan(.ivfFlat, lists: 50, nprobe: 2), recallGate: 0)
            try await engine.importRows(rows, into: "d")
            try await engine.bind("street", "d")
            for query in 0..<queries.count {
                let near = try await engine.ask("street", queries[query], QueryOptions(k: 200))
                for dropped in [5, 40, 100] {
                    let images = Set(near.results.prefix(dropped).compactMap(\.imageID))
                    for dedupe in [Dedupe.none, .image] {
                        let answer = try await engine.ask(
                            "street", queries[query],
                            QueryOptions(k: 20, excludeImageIDs: Array(images), dedupe: dedupe))
                        let scores = answer.results.map(\.score)
                        #expect(answer.results.count == 20)
                        #expect(scores == scores.sorted(by: >))
                        #expect(Set(answer.results.map(\.id)).count == 20)
                        #expect(answer.results.allSatisfy { !images.contains($0.imageID ?? "") })
                    }
                }
            }
        }
    }

    @Test func recallIsMeasuredWithGivenQuestionsElseRecordedOnesElseEntries() async throws {
        let harness = try EngineHarness()
        let rows = Self.rows(2000, seed: 7)
        let file = harness.directory.root.appending(path: "given.npy")
        try await harness.run { engine in
            try await engine.create("d", dim: Self.dim, plan: IndexPlan(.hnsw), recallGate: 0)
            try await engine.importRows(Array(rows[..<1800]), into: "d")
            try await engine.bind("street", "d")
            #expect(try await Self.index(engine, 1).recall?.source == .entries)
            let asked = Self.vectors(60, seed: 8)
            for query in 0..<asked.count { _ = try await engine.ask("street", asked[query]) }
            try await engine.importRows(Array(rows[1800..<1900]), into: "d")
            let recorded = try await Self.index(engine, 2).recall
            #expect(recorded?.source == .recorded)
            #expect(recorded?.questions == 60)
            try Self.vectors(35, seed: 9).npy().write(to: file)
            #expect(try await engine.setQuestions(file, ofKey: "text", of: "d") == 35)
            try await engine.importRows(Array(rows[1900...]), into: "d")
            let given = try await Self.index(engine, 3).recall
            #expect(given?.source == .given)
            #expect(given?.questions == 35)
        }
        // What was recorded is there after a restart.
        try await harness.run { engine in
            try await engine.removeQuestions(ofKey: "text", of: "d")
            _ = try await engine.ended(engine.submitBuild(of: "d", BuildVersionRequest(plan: IndexPlan(.hnsw))))
            #expect(try await Self.index(engine, 4).recall?.source == .recorded)
        }
    }

    @Test func questionsThatCannotBeAskedAreRefused() async throws {
        let harness = try EngineHarness()
        let file = harness.directory.root.appending(path: "given.npy")
        try await harness.run { engine in
            try await engine.create("d", dim: Self.dim)
            func give(_ data: Data) async throws -> Int {
                try data.write(to: file)
                return try await engine.setQuestions(file, ofKey: "text", of: "d")
            }
            await expectError(.vectorDimMismatch) { try await give(Vectors(clustered: 3, dim: 5, seed: 1).npy()) }
            var zero = Self.vectors(3, seed: 1)
            for place in Self.dim..<2 * Self.dim { zero.values[place] = 0 }
            await expectError(.vectorZero) { try await give(zero.npy()) }
            await expectError(.npyNotNumpy) { try await give(Data("not numpy at all".utf8)) }
            await expectError(.unknownKey) { try await engine.setQuestions(file, ofKey: "image", of: "d") }
            await expectError(.unknownDatastore) { try await engine.setQuestions(file, ofKey: "text", of: "none") }
        }
    }

    @Test func autoIsExactWhereThatIsFastEnoughAndSaysWhy() async throws {
        let harness = try EngineHarness()
        let rows = Self.rows(6000, seed: 10)
        try await harness.run { engine in
            try await engine.create("d", dim: Self.dim, plan: IndexPlan(.auto))
            try await engine.importRows(rows, into: "d")
            let index = try await Self.index(engine, 1)
            #expect(index.plan == .exact)
            #expect(index.reason?.contains("6000 entries of 24 numbers") == true)
            // A budget that no exact search meets.
            let plan = IndexPlan(.auto, latencyMilliseconds: 0.001)
            let none = try await engine.plan(of: "d", key: nil, rows: nil, plan: plan)
            #expect(none.chosen == .exact)
            let answer = try await engine.plan(
                of: "d", key: "text", rows: 5_000_000, plan: IndexPlan(.auto, latencyMilliseconds: 6))
            #expect(answer.chosen.method != .exact)
            #expect(answer.estimates.count == 6)
            #expect(answer.estimates.allSatisfy { $0.latencyMilliseconds > 0 })
            let tight = try await engine.plan(
                of: "d", key: "text", rows: 5_000_000,
                plan: IndexPlan(.auto, memoryBytes: 300_000_000, latencyMilliseconds: 50))
            let chosen = try #require(tight.estimates.first { $0.plan.method == tight.chosen.method })
            #expect(chosen.memoryBytes <= 300_000_000)
        }
    }

    @Test func autoTakesAnIndexWhereExactSearchIsTooSlowWithTheLeastEffortThatPasses() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            // No scan of so many rows takes a fiftieth of a millisecond.
            try await engine.create(
                "d", dim: Self.dim, plan: IndexPlan(.auto, latencyMilliseconds: 0.02), recallGate: 0.9)
            try await engine.importRows(Self.rows(20_000, seed: 14), into: "d")
            let index = try await Self.index(engine, 1)
            #expect(index.plan.method.hasLists, "\(index)")
            #expect(index.reason?.contains("20000 entries of 24 numbers") == true)
            let recall = try #require(index.recall)
            #expect(recall.recall >= 0.9)
            let less = recall.curve.filter { $0.nprobe ?? 0 < index.plan.nprobe ?? 0 }
            #expect(!less.isEmpty && less.allSatisfy { $0.recall < 0.9 }, "\(recall)")
        }
    }

    @Test func plansThatMakeNoSenseAreRefused() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            let wrong = [
                IndexPlan(.hnsw, links: 3), IndexPlan(.hnsw, lists: 10), IndexPlan(.exact, nprobe: 1),
                IndexPlan(.ivfFlat, lists: 4, nprobe: 5), IndexPlan(.auto, latencyMilliseconds: 0),
                IndexPlan(.ivfSQ8, codeBytes: 8),
            ]
            for plan in wrong {
                await expectError(.invalidValue) { try await engine.create("d", plan: plan) }
            }
            await expectError(.invalidValue) { try await engine.create("d", recallGate: 1.5) }
            try await engine.create("d")
            await expectError(.nothingToBuild) { try await engine.submitBuild(of: "d") }
            await expectError(.invalidValue) { try await engine.plan(of: "d", key: nil, rows: 0, plan: nil) }
        }
    }

    /// Twenty entries have nothing to learn lists from.
    @Test func aPlanThatNeedsMoreEntriesIsExactUntilThereAreSo() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: Self.dim, plan: IndexPlan(.ivfFlat))
            try await engine.importRows(Self.rows(20, seed: 11), into: "d")
            let index = try await Self.index(engine, 1)
            #expect(index.plan == .exact)
            #expect(index.reason == "ivf_flat needs 39 entries, and there are 20")
        }
    }

    /// Formats 1 and 2 have an index file for exact plans too, and none before 4 has codes.
    @Test func aVersionOfAnOlderReleaseOpensAndItsIndexFileIsNotNeeded() async throws {
        let harness = try EngineHarness()
        let rows = Self.rows(200, seed: 12)
        try await harness.run { engine in
            try await engine.create("d", dim: Self.dim)
            try await engine.importRows(rows, into: "d")
        }
        let id = VersionID(datastore: "d", number: 1)
        let folder = harness.directory.root.appending(path: "older")
        try FileManager.default.copyItem(at: harness.directory.version(id), to: folder)
        var builder = try VectorIndexBuilder(dim: Self.dim)
        try rows.flatMap(\.vector).withUnsafeBufferPointer { try builder.add($0) }
        try builder.freeze().write(to: folder.appending(path: "text.faiss").path)
        let file = folder.appending(path: "manifest.json")
        var manifest = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        var key = try #require((manifest["keys"] as? [[String: Any]])?.first)
        #expect(key["plan"] as? String == "exact")
        key["index"] = "text.faiss"
        key["codes"] = nil
        try FileManager.default.removeItem(at: folder.appending(path: "text.codes"))
        let index = try FileDigest.of(folder.appending(path: "text.faiss"))
        let entry: [String: Any] = ["name": "text.faiss", "bytes": index.bytes, "sha256": index.sha256]
        manifest["format"] = 1
        manifest["keys"] = [key]
        manifest["files"] =
            try #require(manifest["files"] as? [[String: Any]])
            .filter { $0["name"] as? String != "text.codes" } + [entry]
        try FileManager.default.removeItem(at: file)
        try JSONSerialization.data(withJSONObject: manifest).write(to: file)
        let version = try OpenVersion(VersionFolder(verifying: folder, id: id, manifestSHA256: nil))
        let dense = try #require(version.keys[0].dense)
        #expect(dense.isExact)
        let query = Self.vectors(1, seed: 13)
        let expected = bruteForce(Vectors(values: rows.flatMap(\.vector), dim: Self.dim), query, k: 10)[0]
        #expect(try dense.search(KeyQuery(query[0][...], metric: .cosine), limit: 10).map(\.row) == expected.map(\.row))
    }

    @Test func plansAreReadAndWrittenInOneForm() throws {
        let plans = [
            IndexPlan(.exact), IndexPlan(.hnsw, links: 16, efSearch: 128), IndexPlan(.ivfPQ, lists: 100, codeBytes: 48),
            IndexPlan(.auto, memoryBytes: 1 << 30, latencyMilliseconds: 2.5),
        ]
        for plan in plans {
            #expect(try IndexPlan(argument: plan.description) == plan)
            #expect(try WireJSON.decode(IndexPlan.self, from: WireJSON.encode(plan)) == plan)
        }
        #expect(try WireJSON.decode(IndexPlan.self, from: Data(#""hnsw:links=8""#.utf8)) == IndexPlan(.hnsw, links: 8))
        for text in ["", "flat", "hnsw:", "hnsw:links", "hnsw:links=x", "hnsw:lists=", "exact:x=1"] {
            #expect(throws: DatastoreError.self, "\(text)") { try IndexPlan(argument: text) }
        }
    }
}
