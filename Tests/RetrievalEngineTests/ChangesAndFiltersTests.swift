import DatastoreCore
import DatastoreStorage
import Foundation
import TestSupport
import Testing

@testable import RetrievalEngine

/// Real captions that are added, replaced and deleted, asked for with filters: each answer against brute force over what
/// is there.
struct ChangesAndFiltersTests {
    private static func options(_ random: inout SeededGenerator, pending: Bool) -> QueryOptions {
        QueryOptions(
            k: [1, 4, 30, 1000].randomElement(using: &random) ?? 4,
            excludeImageIDs: Bool.random(using: &random) ? ["image-\(Int.random(in: 0..<130, using: &random))"] : [],
            filter: EntryModel.filter(&random), dedupe: Bool.random(using: &random) ? .text : Dedupe.none,
            includePending: pending)
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func everyAnswerIsThatOfALookAtWhatIsThere(_ seed: UInt64) async throws {
        let harness = try EngineHarness()
        var random = SeededGenerator(seed: seed)
        let rows = try EntryModel.rows(of: "everyday-photos", seed: seed)
        try await harness.run { engine in
            try await engine.create("d", dim: 384)
            try await engine.importRows(Array(rows[..<400]), into: "d")
            try await engine.bind("street", "d")
            var now = EntryModel()
            for row in rows[..<400] { _ = now.put(row) }
            var built = now
            for turn in 0..<24 {
                // A few changes, in the order in which they are made.
                for _ in 0..<Int.random(in: 1...6, using: &random) {
                    var batch = (0..<Int.random(in: 1...8, using: &random)).map { _ in
                        rows[Int.random(in: 0..<rows.count, using: &random)]
                    }
                    var ids: Set<String?> = []
                    batch = batch.filter { ids.insert($0.id).inserted }
                    if Bool.random(using: &random) {
                        for index in batch.indices {
                            batch[index].more = EntryModel.attributes(&random)
                            batch[index].vector = rows[Int.random(in: 0..<rows.count, using: &random)].vector
                        }
                        let changes = try await engine.addEntries(TestRow.ndjson(batch), to: "d")
                        for (row, change) in zip(batch, changes.entries) {
                            let known = now.put(row)
                            #expect(change.outcome == (known ? .replaced : .accepted) || change.outcome == .duplicate)
                            #expect(now.entries.contains { $0.id == change.id && $0.row.id == row.id })
                        }
                    } else {
                        let names = batch.map { "{\"external_id\": \"\($0.id ?? "")\"}" }.joined(separator: "\n")
                        let told = try await engine.deleteEntries(Data(names.utf8), of: "d")
                        for (row, deletion) in zip(batch, told.entries) {
                            let old = now.delete(row.id ?? "")
                            #expect(deletion.outcome == (old == nil ? .unknown : .deleted))
                            #expect(deletion.id == old?.id)
                        }
                        #expect(told.counts.seen == told.counts.deleted + told.counts.unknown)
                    }
                }
                for pending in [true, false] {
                    for _ in 0..<6 {
                        let query = rows[Int.random(in: 0..<rows.count, using: &random)].vector
                        let options = Self.options(&random, pending: pending)
                        let answer = try await engine.ask("street", query, options)
                        (pending ? now : built).check(answer, query, options)
                        #expect(answer.notes == nil)
                    }
                }
                let filter = EntryModel.filter(&random)
                let listed = try await engine.entries(
                    of: "d", version: nil, pending: true, filter: filter, .init(limit: 1000))
                #expect(
                    listed.map { "\($0.id) \($0.text)" }
                        == now.entries.filter { EntryModel.passes($0.row, filter) }.map { "\($0.id) \($0.row.text)" })
                if turn % 6 == 5, try await engine.datastore("d").pendingChanges > 0 {
                    try await engine.build("d")
                    built = now
                    #expect(try await engine.datastore("d").entries == now.entries.count)
                    #expect(try await engine.datastore("d").pendingChanges == 0)
                }
            }
        }
    }

    @Test func anExternalIDThatWasDeletedComesAgainAsANewEntry() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows([TestRow("a", [1, 0], id: "a"), TestRow("b", [0, 1], id: "b")], into: "d")
            try await engine.bind("street", "d", defaults: QueryDefaults(includePending: true))
            let gone = try await engine.deleteEntry(1, of: "d")
            #expect(gone.entries == [EntryDeletion(outcome: .deleted, id: 1, externalID: "a")])
            let again = try await engine.deleteEntries(Data("{\"external_id\": \"a\"}".utf8), of: "d")
            #expect(again.entries == [EntryDeletion(outcome: .unknown, id: nil, externalID: "a")])
            #expect(try await engine.deleteEntry(1, of: "d").counts.unknown == 1)
            #expect(try await engine.deleteEntry(77, of: "d").counts.unknown == 1)
            // Equal to what was deleted, and still no duplicate of it.
            let added = try await engine.addEntries(TestRow("a", [1, 0], id: "a").json(), to: "d")
            #expect(added.entries == [EntryChange(outcome: .accepted, id: 3, externalID: "a")])
            #expect(try await engine.ask("street", [1, 0]).results.map(\.id) == [3, 2])
            // An import finds it, too.
            let imported = try await engine.importRows([TestRow("a", [1, 0], id: "a")], into: "d")
            #expect(imported.counts.duplicate == 1)
            #expect(try await engine.ask("street", [1, 0]).results.map(\.id) == [3, 2])
            #expect(try await engine.entry(3, of: "d", version: nil, vectors: true).version == 2)
            await expectError(.unknownEntry) { try await engine.entry(1, of: "d", version: nil, vectors: false) }
            #expect(try await engine.entry(1, of: "d", version: 1, vectors: true).vectors == ["text": .dense([1, 0])])
            let manifest = try engine.manifest(VersionID(datastore: "d", number: 2))
            #expect(manifest.lineage.removed == 1)
            #expect(manifest.lineage.added == 1)
            // After a restart and a deletion of the newest entry its id is not given again.
            _ = try await engine.deleteEntry(3, of: "d")
            try await engine.build("d")
            #expect(
                try await engine.addEntries(TestRow("c", [1, 1], id: "a").json(), to: "d").entries.map(\.id) == [4])
        }
    }

    @Test func aDeletedEntryIsNoQuestionAndNoResultOfOne() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows(
                [
                    TestRow("a", [1, 0], id: "a", imageID: "i"), TestRow("b", [1, 0.1], id: "b", imageID: "i"),
                    TestRow("c", [1, 0.2], id: "c", imageID: "j"),
                ], into: "d")
            try await engine.bind("street", "d")
            _ = try await engine.deleteEntries(Data("{\"external_id\": \"b\"}".utf8), of: "d")
            func ask(_ query: QueryInput, _ options: QueryOptions) async throws -> [String] {
                try await engine.answer(QueryRequest(query: query, options: options), of: "street").results.map(\.text)
            }
            let now = QueryOptions(k: 3, includePending: true)
            #expect(try await ask(.entry(EntryReference(id: 1)), now) == ["c"])
            #expect(try await ask(.entry(EntryReference(id: 1)), QueryOptions(k: 3)) == ["b", "c"])
            for reference in [EntryReference(id: 2), EntryReference(externalID: "b")] {
                await expectError(.unknownEntry) { try await ask(.entry(reference), now) }
                #expect(try await ask(.entry(reference), QueryOptions(k: 3)) == ["c", "a"])
            }
            let merge = VectorMerge(perVector: 3)
            let merged = try await engine.merged(
                QueryVectors(values: [1, 0, 1, 0.1], count: 2), merge, of: "street",
                options: QueryOptions(k: 3, filter: QueryFilter(imageIDs: ["i"]), includePending: true, merge: merge))
            #expect(merged.names == ["a"])
            #expect(merged.shortfall?.reasons.contains(.filter) == true)
            let filtered = QueryOptions(
                k: 3, excludeImageIDs: ["j"], filter: QueryFilter(imageIDs: ["i", "j"]), includePending: true)
            #expect(try await ask(.vector([1, 0]), filtered) == ["a"])
        }
    }

    @Test func aVersionOfNothingIsNotMadeAndTheOldOneStays() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows([TestRow("a", [1, 0], id: "a")], into: "d")
            try await engine.bind("street", "d")
            _ = try await engine.deleteEntry(1, of: "d")
            let none = try await engine.ask("street", [1, 0], QueryOptions(includePending: true))
            #expect(none.results.isEmpty)
            #expect(none.shortfall?.reasons == [.tooFewEntries])
            let job = try await engine.ended(engine.submitBuild(of: "d"))
            #expect(job.error?.code == "no_rows_accepted")
            #expect(job.error?.detail.contains("all are deleted") == true)
            #expect(try await engine.ask("street", [1, 0]).results.map(\.text) == ["a"])
            #expect(try await engine.datastore("d").pendingChanges == 1)
            _ = try await engine.addEntries(TestRow("b", [1, 0], id: "b").json(), to: "d")
            try await engine.build("d")
            #expect(try await engine.ask("street", [1, 0]).results.map(\.id) == [2])
        }
    }

    /// A domain that stays with an old version does not see what went into a later one: then nothing pending counts.
    @Test func pendingChangesDoNotCountWhereSomeAreInALaterVersion() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows([TestRow("a", [1, 0], id: "a")], into: "d")
            try await engine.bind("pinned", "d@1", defaults: QueryDefaults(includePending: true))
            try await engine.bind("street", "d", defaults: QueryDefaults(includePending: true))
            _ = try await engine.addEntries(TestRow("b", [1, 0.1], id: "b").json(), to: "d")
            #expect(try await engine.ask("pinned", [1, 0]).results.map(\.text) == ["a", "b"])
            #expect(try await engine.ask("pinned", [1, 0]).notes == nil)
            try await engine.build("d")
            _ = try await engine.addEntries(TestRow("c", [1, 0.2], id: "c").json(), to: "d")
            #expect(try await engine.ask("street", [1, 0]).results.map(\.text) == ["a", "b", "c"])
            let pinned = try await engine.ask("pinned", [1, 0])
            #expect(pinned.results.map(\.text) == ["a"])
            #expect(pinned.notes?.count == 1)
            #expect(pinned.notes?[0].contains("d@1") == true)
        }
        // It is known after a restart, too.
        try await harness.run { engine in
            let pinned = try await engine.ask("pinned", [1, 0])
            #expect(pinned.notes?.count == 1)
            let following = try await engine.ask("street", [1, 0])
            #expect(following.results.map(\.text) == ["a", "b", "c"])
        }
    }

    @Test func deletionsAreInTheNextDumpAndDurable() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(20, seed: 3)
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(rows, into: "d")
            try await engine.bind("street", "d")
            let names = (0..<10).map { "{\"id\": \($0 * 2 + 1)}" }.joined(separator: "\n")
            #expect(try await engine.deleteEntries(Data(names.utf8), of: "d").counts.deleted == 10)
        }
        try await harness.run { engine in
            let listed = try await engine.entries(of: "d", version: nil, pending: true, filter: nil, .init(limit: 100))
            #expect(listed.map(\.id) == (0..<10).map { $0 * 2 + 2 })
            let page = try await engine.entries(
                of: "d", version: nil, pending: true, filter: nil, .init(limit: 3, after: "4"))
            #expect(page.map(\.id) == [6, 8, 10])
            try await engine.build("d")
            #expect(
                try await engine.entries(of: "d", version: 1, pending: false, filter: nil, .init(limit: 100)).count
                    == 20)
            #expect(
                try await engine.entries(of: "d", version: 2, pending: false, filter: nil, .init(limit: 100)).count
                    == 10)
        }
    }

    @Test func linesThatNameNoEntryAreRejectedBesideTheOthers() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            _ = try await engine.addEntries(TestRow("a", [1, 0], id: "a").json(), to: "d")
            let lines = """
                {"external_id": "a"}
                {"external_id": "a"}
                {"id": "a"}
                {"id": 1, "external_id": "a"}

                {"name": "a"}
                not json
                {"id": 1.5}
                """
            let told = try await engine.deleteEntries(Data(lines.utf8), of: "d")
            #expect(
                told.entries.map(\.outcome)
                    == [.deleted, .unknown, .rejected, .rejected, .rejected, .rejected, .rejected])
            #expect(
                told.entries.compactMap { $0.error?.code }
                    == ["invalid_value", "invalid_value", "unknown_field", "invalid_json", "invalid_value"])
            #expect(told.counts.seen == 7)
            #expect(told.counts.rejected == 5)
            #expect(told.pendingChanges == 2)
            await expectError(.noRowsAccepted) { try await engine.deleteEntries(Data("\n \n".utf8), of: "d") }
            await expectError(.unknownDatastore) { try await engine.deleteEntry(1, of: "nothing") }
        }
    }

    /// A text that looks like two filters is not taken for them, which are remembered.
    @Test func filtersWithOddTextsAreToldApart() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows(
                [
                    TestRow("a", [1, 0], id: "a", more: ["lang": .string("en")]),
                    TestRow("b", [0, 1], id: "b", more: ["lang": .string("fr")]),
                ], into: "d")
            try await engine.bind("street", "d")
            for lang in [["en\0lang=fr"], ["en", "fr"], ["en\0fr"], ["en,fr"], ["en\",\"fr"]] {
                let answer = try await engine.ask("street", [1, 0], QueryOptions(filter: QueryFilter(lang: lang)))
                #expect(answer.results.count == (lang.count == 2 ? 2 : 0), "\(lang)")
            }
        }
    }

    @Test func filtersThatCanLetNothingThroughAreRefused() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows([TestRow("a", [1, 0], id: "a")], into: "d")
            try await engine.bind("street", "d")
            let wrong = [
                QueryFilter(origin: []), QueryFilter(lang: []), QueryFilter(imageIDs: []), QueryFilter(payload: [:]),
                QueryFilter(payload: ["a": .array([])]), QueryFilter(payload: ["a": .object([:])]),
                QueryFilter(imageIDs: (0...10_000).map(String.init)), QueryFilter(lang: (0...1000).map(String.init)),
            ]
            for filter in wrong {
                await expectError(.invalidValue) {
                    try await engine.ask("street", [1, 0], QueryOptions(filter: filter))
                }
                await expectError(.invalidValue) {
                    try await engine.bind("street", "d", defaults: QueryDefaults(filter: filter))
                }
            }
            // The domain's, and none in its place.
            try await engine.bind("street", "d", defaults: QueryDefaults(filter: QueryFilter(origin: [.human])))
            let short = try await engine.ask("street", [1, 0])
            #expect(short.results.isEmpty)
            #expect(short.shortfall?.reasons == [.tooFewEntries, .filter])
            #expect(try await engine.ask("street", [1, 0], QueryOptions(filter: QueryFilter())).results.count == 1)
        }
    }

    @Test func manyPendingChangesAreWarnedOfAndThenRefusedToQuestionsOnly() async throws {
        let harness = try EngineHarness()
        var configuration = harness.configuration
        configuration.maximumPending = 10
        let rows = TestRow.several(13, seed: 8)
        try await harness.run(configuration) { engine in
            try await engine.create("d")
            try await engine.importRows([rows[0]], into: "d")
            try await engine.bind("street", "d")
            let counting = QueryOptions(k: 20, includePending: true)
            for (count, row) in rows.dropFirst().enumerated() {
                let changes = try await engine.addEntries(row.json(), to: "d")
                #expect((changes.warning != nil) == (count + 1 >= 5))
                let status = try await engine.status().pending
                #expect(status.map(\.changes) == [count + 1])
                #expect((status.first?.warning != nil) == (count + 1 >= 5))
                if count + 1 <= 10 {
                    #expect(try await engine.ask("street", row.vector, counting).results.count == count + 2)
                } else {
                    let error = await expectError(.tooManyPending) {
                        try await engine.ask("street", row.vector, counting)
                    }
                    #expect(error?.detail.contains("capstan reindex d") == true)
                    #expect(try await engine.ask("street", row.vector).results.count == 1)
                }
            }
            try await engine.build("d")
            #expect(try await engine.status().pending.isEmpty)
            // What went into the version is forgotten a moment after the job has succeeded.
            while try engine.pendingChanges("d").count() > 0 { try await Task.sleep(for: .milliseconds(2)) }
            #expect(try await engine.ask("street", rows[5].vector, counting).results.count == 13)
            #expect(try await engine.addEntries(TestRow("x", rows[0].vector).json(), to: "d").warning == nil)
        }
    }
}
