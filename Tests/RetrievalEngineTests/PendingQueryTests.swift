import DatastoreCore
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import RetrievalEngine

/// Entries that are posted: durable at once, found at once where questions count pending changes, and once afterwards.
struct PendingQueryTests {
    private static let counting = QueryOptions(k: 3, includePending: true)

    @Test func anEntryIsFoundAtOnceWherePendingChangesCountAndAfterTheNextVersionEverywhere() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows([TestRow("old", [1, 0], id: "a", imageID: "i")], into: "d")
            try await engine.bind("street", "d")
            let added = try await engine.addEntries(TestRow("new", [0, 1], id: "b", imageID: "j").json(), to: "d")
            #expect(added.counts.accepted == 1)
            #expect(added.entries.map(\.outcome) == [.accepted])
            #expect(added.pendingChanges == 1)
            #expect(try await engine.ask("street", [0, 1]).results.map(\.text) == ["old"])
            let now = try await engine.ask("street", [0, 1], Self.counting)
            #expect(now.results.map(\.text) == ["new", "old"])
            #expect(now.results.map(\.pending) == [true, nil])
            #expect(now.results.map(\.id) == [added.entries[0].id, 1])
            #expect(now.shortfall?.reasons == [.tooFewEntries])
            let excluding = QueryOptions(k: 3, excludeImageIDs: ["j"], includePending: true)
            #expect(try await engine.ask("street", [0, 1], excluding).results.map(\.text) == ["old"])
            try await engine.build("d")
            for options in [QueryOptions(k: 3), Self.counting] {
                let after = try await engine.ask("street", [0, 1], options)
                #expect(after.results.map(\.text) == ["new", "old"])
                #expect(after.results.map(\.pending) == [nil, nil])
                #expect(after.results.map(\.version) == [2, 2])
            }
        }
    }

    @Test func aReplacedEntryHidesTheOneOfTheVersion() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows(
                [TestRow("a dog", [1, 0], id: "a"), TestRow("a cat", [0, 1], id: "b")], into: "d")
            try await engine.bind("street", "d", defaults: QueryDefaults(includePending: true))
            let changed = try await engine.addEntries(TestRow("a wolf", [0.6, 0.8], id: "a").json(), to: "d")
            #expect(changed.entries.map(\.outcome) == [.replaced])
            #expect(changed.entries.map(\.id) == [1])
            let again = try await engine.addEntries(TestRow("a wolf", [0.6, 0.8], id: "a").json(), to: "d")
            #expect(again.entries.map(\.outcome) == [.duplicate])
            let answer = try await engine.ask("street", [1, 0], QueryOptions(k: 5))
            #expect(answer.results.map(\.text) == ["a wolf", "a cat"])
            #expect(answer.results.map(\.id) == [1, 2])
            let without = try await engine.ask("street", [1, 0], QueryOptions(k: 5, includePending: false))
            #expect(without.results.map(\.text) == ["a dog", "a cat"])
        }
    }

    @Test func goodRowsAreTakenBesideBadOnesAndEachIsToldInItsPlace() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            let rows =
                try TestRow("one", [1, 0], id: "a").json() + Data("{\"text\": \"no vector\"}\n".utf8)
                + TestRow("two", [0, 1], id: "b").json() + Data("not json\n".utf8)
                + TestRow("again", [0, 1], id: "a").json()
            let changes = try await engine.addEntries(rows, to: "d")
            #expect(changes.entries.map(\.outcome) == [.accepted, .rejected, .accepted, .rejected, .rejected])
            #expect(
                changes.entries.map { $0.error?.code }
                    == [nil, "missing_vector", nil, "invalid_json", "duplicate_external_id"])
            #expect(changes.counts.seen == 5)
            #expect(changes.counts.rejected == 3)
            await expectError(.noRowsAccepted) { try await engine.addEntries(Data(), to: "d") }
            await expectError(.unknownDatastore) { try await engine.addEntries(rows, to: "nothing") }
            #expect(try await engine.datastore("d").pendingChanges == 2)
        }
    }

    @Test func whatWasPostedIsThereAfterARestart() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(30, seed: 5)
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Array(rows[..<20]), into: "d")
            try await engine.bind("street", "d")
            for row in rows[20...] { _ = try await engine.addEntries(row.json(), to: "d") }
        }
        try await harness.run { engine in
            for row in rows {
                let answer = try await engine.ask("street", row.vector, QueryOptions(k: 1, includePending: true))
                #expect(answer.results.first?.externalID == row.id)
            }
            try await engine.build("d")
            #expect(try await engine.datastore("d").entries == 30)
        }
    }

    /// Every acknowledged entry is in every later answer exactly once, whichever moment of publishing it meets.
    @Test func anAcknowledgedEntryIsFoundOnceWhileVersionsArePublished() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(120, seed: 9)
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Array(rows[..<20]), into: "d")
            try await engine.bind("street", "d")
            let acknowledged = Counter(20)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for (index, row) in rows.enumerated().dropFirst(20) {
                        _ = try await engine.addEntries(row.json(), to: "d")
                        acknowledged.set(index + 1)
                    }
                }
                group.addTask {
                    while acknowledged.value < rows.count {
                        if let job = try? await engine.submitBuild(of: "d") { _ = try await engine.ended(job) }
                    }
                }
                for lane in 0..<2 {
                    group.addTask {
                        var random = SeededGenerator(seed: UInt64(lane))
                        while acknowledged.value < rows.count {
                            let known = acknowledged.value
                            let options = QueryOptions(k: 200, includePending: true)
                            let answer = try await engine.ask(
                                "street", rows[Int.random(in: 0..<known, using: &random)].vector, options)
                            let ids = answer.results.compactMap(\.externalID)
                            #expect(Set(ids).count == ids.count)
                            #expect(Set(rows[..<known].compactMap(\.id)).isSubset(of: ids))
                        }
                    }
                }
                try await group.waitForAll()
            }
            let last = try await engine.datastore("d")
            if last.pendingChanges > 0 { try await engine.build("d") }
            #expect(try await engine.datastore("d").entries == rows.count)
        }
    }

    private final class Counter: Sendable {
        private let count: Mutex<Int>

        init(_ value: Int) {
            count = Mutex(value)
        }

        var value: Int { count.withLock { $0 } }
        func set(_ value: Int) { count.withLock { $0 = value } }
    }

    /// What is posted in several batches is durable in all of them, whatever is built beside it.
    @Test func aLargePostBesideImportsAndBuildsLosesNothing() async throws {
        let harness = try EngineHarness()
        let posted = (0..<4).map { TestRow.several(2500, seed: UInt64($0), prefix: "posted-\($0)") }
        let imported = (0..<4).map { TestRow.several(300, seed: UInt64(40 + $0), prefix: "imported-\($0)") }
        try await harness.run { engine in
            try await engine.create("d")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for rows in posted {
                        let changes = try await engine.addEntries(TestRow.ndjson(rows), to: "d")
                        #expect(changes.counts.accepted == rows.count)
                    }
                }
                group.addTask { for rows in imported { try await engine.importRows(rows, into: "d") } }
                try await group.waitForAll()
            }
            if try await engine.datastore("d").pendingChanges > 0 { try await engine.build("d") }
            #expect(try await engine.datastore("d").entries == 4 * 2800)
        }
    }

    /// An import that reads while entries of the same ids are posted must not make two of one.
    @Test func postingBesideAnImportOfTheSameRowsMakesNoEntryTwice() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(3000, seed: 11)
        try await harness.run { engine in
            try await engine.create("d")
            let job = try await engine.submit(try TestRow.ndjson(rows), into: "d")
            var random = SeededGenerator(seed: 1)
            while try await !engine.job(job.id).state.isFinal {
                var row = rows[Int.random(in: 0..<rows.count, using: &random)]
                row.text += " posted"
                _ = try await engine.addEntries(row.json(), to: "d")
            }
            let ended = try await engine.ended(job)
            #expect(ended.state == .succeeded, "\(String(describing: ended.error))")
            if try await engine.datastore("d").pendingChanges > 0 { try await engine.build("d") }
            #expect(try await engine.datastore("d").entries == rows.count)
        }
    }
}
