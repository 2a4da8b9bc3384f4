import DatastoreCore
import DatastoreStorage
import Foundation
import RetrievalEngine
import Synchronization
import TestSupport
import Testing

/// Promise 3: a switch is all or nothing, whoever asks meanwhile.
struct SwitchingTests {
    private struct Seen: Hashable, Sendable {
        let revision: Int
        let source: String
        let texts: [String]
    }

    /// Tells the tasks that ask when to end.
    private final class Readers: Sendable {
        private let isDone = Atomic(false)
        var areDone: Bool { isDone.load(ordering: .acquiring) }
        func finish() { isDone.store(true, ordering: .releasing) }
    }

    @Test func queriesDuringManySwitchesSeeOneRevisionEach() async throws {
        let harness = try EngineHarness()
        let names = ["a", "b", "c"]
        let query: [Float] = [1, 0, 0, 0, 0, 0, 0, 0]
        try await harness.run { engine in
            for (index, name) in names.enumerated() {
                try await engine.create(name)
                // Two versions each, so that switches are also between versions.
                let rows = TestRow.several(40, seed: UInt64(50 + index), prefix: name)
                try await engine.importRows(Array(rows[0..<20]), into: name)
                try await engine.importRows(rows, into: name)
            }
            // What a revision is bound to, as its switch said.
            var bindings: [Int: [String]] = [:]
            func note(_ info: DomainInfo) {
                bindings[info.revision] = info.datastores.map { "\($0.name)@\($0.version)" }
            }
            note(try await engine.bind("street", "a"))
            let readers = Readers()
            let seen = try await withThrowingTaskGroup(of: Set<Seen>.self) { group in
                for task in 0..<8 {
                    group.addTask {
                        var seen: Set<Seen> = []
                        var last = 0
                        repeat {
                            let answers: [[QueryResult]]
                            let revision: Int
                            if task % 2 == 0 {
                                let answer = try await engine.ask("street", query, QueryOptions(k: 30, minScore: -1))
                                (answers, revision) = ([answer.results], answer.revision)
                            } else {
                                let answer = try await engine.answers(
                                    QueryVectors(values: query + query + query, count: 3), of: "street",
                                    options: QueryOptions(k: 30))
                                (answers, revision) = (answer.answers.map { $0.results ?? [] }, answer.revision)
                            }
                            // A task never sees an older revision after a newer one.
                            #expect(revision >= last)
                            last = revision
                            for results in answers {
                                #expect(!results.isEmpty)
                                let sources = Set(results.map { "\($0.datastore)@\($0.version)" })
                                seen.insert(
                                    Seen(
                                        revision: revision, source: sources.sorted().joined(separator: " "),
                                        texts: results.map(\.text)))
                            }
                        } while !readers.areDone
                        return seen
                    }
                }
                do {
                    for turn in 0..<200 {
                        let name = names[turn % 3]
                        let info =
                            switch turn % 10 {
                            case 3: try await engine.bind("street", "\(name)@1")
                            case 6: try await engine.bind("street", name, names[(turn + 1) % 3])
                            case 9: try await engine.rollback("street", to: nil, precondition: .none)
                            default: try await engine.bind("street", name)
                            }
                        note(info)
                    }
                } catch {
                    readers.finish()
                    throw error
                }
                readers.finish()
                return try await group.reduce(into: Set<Seen>()) { $0.formUnion($1) }
            }
            #expect(bindings.count == 201)
            var texts: [String: [String]] = [:]
            for one in seen {
                let expected = try #require(bindings[one.revision], "revision \(one.revision) was never announced")
                // Every result is of what the revision is bound to; of all of it, as each has near entries.
                #expect(Set(one.source.split(separator: " ").map(String.init)).isSubset(of: expected))
                // And the same question to the same datastores always had the same answer.
                let key = expected.joined(separator: " ")
                #expect(texts[key, default: one.texts] == one.texts)
                texts[key] = one.texts
            }
            // The readers saw switches happen.
            #expect(Set(seen.map(\.revision)).count > 10)
        }
    }

    @Test func queriesSeeTheNewVersionOnlyAfterTheSwitch() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(6, seed: 60)
        let gate = PublishGate()
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Array(rows[0..<3]), into: "d")
            try await engine.bind("street", "d")
        }
        var configuration = harness.configuration
        configuration.onPublishStep = { gate.pass($0) }
        try await harness.run(configuration) { engine in
            defer { gate.open() }
            let old = try await engine.ask("street", rows[0].vector, QueryOptions(k: 3))
            let job = try await engine.submit(TestRow.ndjson(Array(rows[3..<6])), into: "d")
            var steps: [PublishStep] = []
            for await step in gate.steps {
                steps.append(step)
                let answer = try await engine.ask("street", rows[0].vector, QueryOptions(k: 3))
                if step == .switched {
                    #expect(answer.revision == old.revision + 1)
                    #expect(answer.results.allSatisfy { $0.version == 2 })
                } else {
                    #expect(answer == old)
                    // Other domains change meanwhile; only between catalog and snapshot they wait.
                    if step != .cataloged {
                        try await engine.bind("other", "d@1")
                        try await engine.deleteDomain("other")
                    }
                }
                gate.goOn()
                if step == .switched { break }
            }
            #expect(steps == PublishStep.allCases)
            #expect(try await engine.ended(job).state == .succeeded)
        }
    }

    @Test func aJobHasEndedOnlyWhenQueriesSeeItsVersion() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(6, seed: 63)
        let gate = PublishGate()
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Array(rows[0..<3]), into: "d")
            try await engine.bind("street", "d")
        }
        var configuration = harness.configuration
        configuration.onPublishStep = { gate.pass($0) }
        try await harness.run(configuration) { engine in
            defer { gate.open() }
            let job = try await engine.submit(TestRow.ndjson(Array(rows[3..<6])), into: "d")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    let ended = try await engine.ended(job)
                    let answer = try await engine.ask("street", rows[0].vector)
                    #expect(ended.version == 2)
                    #expect(answer.revision == 2)
                }
                group.addTask {
                    while try await engine.domain("street").revision == 1 {}
                    let answer = try await engine.ask("street", rows[0].vector)
                    #expect(answer.revision == 2)
                }
                for await step in gate.steps {
                    // In the catalog, not in the snapshot: long enough to be asked about.
                    if step == .cataloged { try await Task.sleep(for: .milliseconds(30)) }
                    gate.goOn()
                    if step == .switched { break }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func aDatastoreIsNotDeletedUnderAJob() async throws {
        let harness = try EngineHarness()
        let gate = PublishGate()
        var configuration = harness.configuration
        configuration.onPublishStep = { gate.pass($0) }
        try await harness.run(configuration) { engine in
            defer { gate.open() }
            try await engine.create("d")
            let job = try await engine.submit(TestRow.ndjson(TestRow.several(3, seed: 61)), into: "d")
            for await step in gate.steps {
                #expect(step == .staged)
                break
            }
            await expectError(.datastoreBusy) { try await engine.deleteDatastore("d") }
            #expect(try await engine.status().jobsRunning == 1)
            gate.open()
            #expect(try await engine.ended(job).state == .succeeded)
            // What the job clears away after its end may take a moment more; the deletion waits for it.
            try await engine.deleteDatastore("d")
            #expect(try await engine.datastores(.init()).isEmpty)
        }
    }

    @Test func aDomainSetWhileAVersionIsPublishedFollowsIt() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(40, seed: 62)
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows([rows[0]], into: "d")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for row in rows.dropFirst() { try await engine.importRows([row], into: "d") }
                }
                for task in 0..<3 {
                    group.addTask {
                        for _ in 0..<30 { try await engine.bind("domain-\(task)", "d") }
                    }
                }
                try await group.waitForAll()
            }
            // Whatever came first each time, none is left behind the last version.
            for task in 0..<3 {
                let info = try await engine.domain("domain-\(task)")
                #expect(info.datastores == [BoundDatastore(name: "d", version: 40, followsLatest: true)])
                let answer = try await engine.ask("domain-\(task)", rows[0].vector, QueryOptions(k: 40))
                #expect(answer.revision == info.revision)
                #expect(answer.results.count == 40)
                #expect(answer.results.allSatisfy { $0.version == 40 })
            }
        }
    }
}
