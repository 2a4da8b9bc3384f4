import DatastoreCore
import DatastoreStorage
import Foundation
import RetrievalEngine
import TestSupport
import Testing

/// Versions that never change, domains that are bound to them, and the way back.
struct DomainTests {
    private static let query: [Float] = [1, 0, 0, 0, 0, 0, 0, 0]

    @Test func eachVersionAnswersAsItDidWhenItWasMade() async throws {
        let harness = try EngineHarness()
        let steps = (0..<6).map { TestRow.several(20, seed: UInt64(30 + $0), prefix: "step \($0)") }
        let answers = try await harness.run { engine in
            try await engine.create("d")
            var answers: [QueryAnswer] = []
            for (step, rows) in steps.enumerated() {
                // Each import also replaces rows of the first.
                var changed = steps[0][step]
                changed.text = "changed in step \(step)"
                try await engine.importRows(rows + (step > 0 ? [changed] : []), into: "d")
                try await engine.bind("pinned-\(step + 1)", "d@\(step + 1)")
                answers.append(try await engine.ask("pinned-\(step + 1)", Self.query, QueryOptions(k: 200)))
                #expect(answers[step].results.count == 20 * (step + 1))
                #expect(answers[step].results.allSatisfy { $0.version == step + 1 })
                for (earlier, answer) in answers.enumerated() {
                    let now = try await engine.ask("pinned-\(earlier + 1)", Self.query, QueryOptions(k: 200))
                    #expect(now == answer)
                }
            }
            #expect(try await engine.versions(of: "d", .init()).map(\.version) == [6, 5, 4, 3, 2, 1])
            #expect(try await engine.versions(of: "d", .init(limit: 2, after: "4")).map(\.version) == [3, 2])
            return answers
        }
        // Promise 8, also after a restart: equal bytes.
        try await harness.run { engine in
            for (step, answer) in answers.enumerated() {
                let now = try await engine.ask("pinned-\(step + 1)", Self.query, QueryOptions(k: 200))
                #expect(try WireJSON.encode(now) == WireJSON.encode(answer))
            }
        }
    }

    @Test func theFilesOfAVersionAreThoseOfItsManifest() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            let job = try await engine.importRows(TestRow.several(20, seed: 1), into: "d")
            let version = try await engine.version(VersionID(datastore: "d", number: 1))
            #expect(version.state == .ready)
            #expect(version.entries == 20)
            #expect(version.jobID == job.id)
            let folder = harness.directory.version(VersionID(datastore: "d", number: 1))
            let onDisk = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
            #expect(onDisk == ["entries.sqlite", "manifest.json", "text.codes", "text.vectors"])
            #expect(version.files?.map(\.name).sorted() == onDisk.filter { $0 != "manifest.json" })
            let bytes = try onDisk.reduce(0) {
                $0 + (try Data(contentsOf: folder.appending(path: $1)).count)
            }
            #expect(version.bytes == Int64(bytes))
            for file in version.files ?? [] {
                #expect(try FileDigest.of(folder.appending(path: file.name)) == file)
            }
            await expectError(.unknownVersion) { try await engine.version(VersionID(datastore: "d", number: 2)) }
            await expectError(.unknownDatastore) { try await engine.version(VersionID(datastore: "e", number: 1)) }
            await expectError(.unknownDatastore) { try await engine.versions(of: "e", .init()) }
        }
    }

    @Test func aDomainThatFollowsMovesWithTheVersionAndAPinnedOneStays() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(9, seed: 2)
        try await harness.run { engine in
            for name in ["d", "other"] { try await engine.create(name) }
            try await engine.importRows(Array(rows[0..<3]), into: "d")
            try await engine.importRows(Array(rows[3..<5]), into: "other")
            let defaults = QueryDefaults(k: 9, minScore: -1)
            try await engine.bind("follows", "d", defaults: defaults)
            try await engine.bind("pinned", "d@1", defaults: defaults)
            try await engine.bind("both", "other@1", "d", defaults: defaults)
            try await engine.bind("elsewhere", "other", defaults: defaults)
            let job = try await engine.importRows(Array(rows[5..<9]), into: "d")
            #expect(job.version == 2)

            let follows = try await engine.domain("follows")
            #expect(follows.revision == 2)
            #expect(follows.reason == .follow)
            #expect(follows.datastores == [BoundDatastore(name: "d", version: 2, followsLatest: true)])
            #expect(follows.defaults == defaults)
            #expect(try await engine.ask("follows", Self.query).results.count == 7)
            #expect(try await engine.ask("follows", Self.query).revision == 2)

            #expect(try await engine.domain("pinned").revision == 1)
            #expect(try await engine.ask("pinned", Self.query).results.count == 3)

            let both = try await engine.domain("both")
            #expect(both.revision == 2)
            #expect(
                both.datastores == [
                    BoundDatastore(name: "other", version: 1, followsLatest: false),
                    BoundDatastore(name: "d", version: 2, followsLatest: true),
                ])
            #expect(try await engine.ask("both", Self.query).results.count == 9)
            #expect(try await engine.domain("elsewhere").revision == 1)
            #expect(try await engine.domains(.init()).map(\.domain) == ["both", "elsewhere", "follows", "pinned"])
        }
    }

    @Test func rollbackReturnsToWhatWasAndStaysThere() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(9, seed: 3)
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Array(rows[0..<3]), into: "d")
            try await engine.bind("street", "d", defaults: QueryDefaults(k: 2))
            let first = try await engine.ask("street", Self.query)
            try await engine.importRows(Array(rows[3..<6]), into: "d")
            try await engine.bind("street", "d@2", defaults: QueryDefaults(k: 9))
            #expect(try await engine.domain("street").revision == 3)

            let back = try await engine.rollback("street", to: 1, precondition: .none)
            #expect(back.revision == 4)
            #expect(back.reason == .rollback)
            #expect(back.restoredRevision == 1)
            #expect(back.datastores == [BoundDatastore(name: "d", version: 1, followsLatest: false)])
            let again = try await engine.ask("street", Self.query)
            #expect(again.results == first.results)
            #expect(again.revision == 4)

            // What it was rolled back from does not come back with the next version.
            try await engine.importRows(Array(rows[6..<9]), into: "d")
            #expect(try await engine.domain("street").revision == 4)
            #expect(try await engine.ask("street", Self.query).results == first.results)

            let forth = try await engine.rollback("street", to: nil, precondition: .revision(4))
            #expect(forth.restoredRevision == 3)
            #expect(forth.defaults.k == 9)
            #expect(try await engine.ask("street", Self.query).results.count == 6)
            #expect(try await engine.revisions(of: "street", .init()).map(\.revision) == [5, 4, 3, 2, 1])
            #expect(try await engine.revisions(of: "street", .init(limit: 2, after: "4")).map(\.revision) == [3, 2])

            await expectError(.unknownRevision) { try await engine.rollback("street", to: 6, precondition: .none) }
            await expectError(.unknownRevision) { try await engine.rollback("street", to: 0, precondition: .none) }
            await expectError(.revisionConflict) {
                try await engine.rollback("street", to: 1, precondition: .revision(4))
            }
            await expectError(.unknownDomain) { try await engine.rollback("none", to: 1, precondition: .none) }
            try await engine.bind("fresh", "d")
            await expectError(.unknownRevision) { try await engine.rollback("fresh", to: nil, precondition: .none) }
            #expect(try await engine.domain("street").revision == 5)
        }
    }

    @Test func aSwitchOfSomeoneWhoWasTooLateChangesNothing() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            for name in ["a", "b"] {
                try await engine.create(name)
                try await engine.importRows([TestRow(name, Self.query)], into: name)
            }
            let toB = SetDomainRequest(datastores: [DatastoreBinding(name: "b")])
            await expectError(.revisionConflict) {
                try await engine.setDomain("street", toB, precondition: .revision(1))
            }
            await expectError(.unknownDomain) { try await engine.ask("street", Self.query) }
            try await engine.bind("street", "a")
            await expectError(.revisionConflict) { try await engine.setDomain("street", toB, precondition: .absent) }
            await expectError(.revisionConflict) {
                try await engine.setDomain("street", toB, precondition: .revision(2))
            }
            #expect(try await engine.ask("street", Self.query).results.map(\.text) == ["a"])
            let info = try await engine.setDomain("street", toB, precondition: .revision(1))
            #expect(info.revision == 2)
            #expect(try await engine.ask("street", Self.query).results.map(\.text) == ["b"])
        }
    }

    @Test func onlyOneOfManyThatExpectTheSameRevisionSwitches() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(TestRow.several(2, seed: 4), into: "d")
            try await engine.bind("street", "d")
            let won = try await withThrowingTaskGroup(of: Bool.self) { group in
                for k in 1...20 {
                    group.addTask {
                        let request = SetDomainRequest(
                            datastores: [DatastoreBinding(name: "d")], defaults: QueryDefaults(k: k))
                        do {
                            return try await engine.setDomain("street", request, precondition: .revision(1)).revision
                                == 2
                        } catch let error as DatastoreError where error.code == .revisionConflict {
                            return false
                        }
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(won == 1)
            #expect(try await engine.domain("street").revision == 2)
        }
    }

    @Test func whatCannotBeBoundIsRefused() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("a")
            try await engine.create("empty")
            try await engine.importRows(TestRow.several(2, seed: 5), into: "a")
            for name in ["", ".hidden", "a/b", "ä", String(repeating: "x", count: 65)] {
                await expectError(.invalidName) { try await engine.bind(name, "a") }
            }
            await expectError(.unknownDatastore) { try await engine.bind("street", "a", "none") }
            await expectError(.unknownVersion) { try await engine.bind("street", "a@2") }
            await expectError(.noVersion) { try await engine.bind("street", "empty") }
            await expectError(.unknownVersion) { try await engine.bind("street", "empty@1") }
            await expectError(.invalidValue) { try await engine.bind("street", "a", "a@1") }
            await expectError(.missingField) { try await engine.bind("street") }
            #expect(try await engine.domains(.init()).isEmpty)
            await expectError(.unknownDomain) { try await engine.domain("street") }
            await expectError(.unknownDomain) { try await engine.deleteDomain("street") }
        }
    }

    struct Incompatible: Sendable, CustomTestStringConvertible {
        let what: String
        var dim = 8
        var metric = Metric.cosine
        var encoder: Encoder?
        var testDescription: String { what }
    }

    @Test(arguments: [
        Incompatible(what: "dim", dim: 9), Incompatible(what: "metric", metric: .innerProduct),
        Incompatible(what: "encoder", encoder: Encoder(model: "other", revision: "1")),
        Incompatible(what: "encoder", encoder: Encoder(model: "model", revision: "2")),
        Incompatible(what: "encoder", encoder: Encoder(model: "model")),
    ])
    func datastoresOfDifferentSpacesAreNotMixed(_ other: Incompatible) async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            let encoder = Encoder(model: "model", revision: "1")
            try await engine.create("a", encoder: encoder)
            try await engine.create("b", dim: other.dim, metric: other.metric, encoder: other.encoder)
            try await engine.create("c", encoder: Encoder(model: "model", revision: "1", preprocessing: "another"))
            try await engine.importRows(TestRow.several(2, seed: 6), into: "a")
            try await engine.importRows(TestRow.several(2, dim: other.dim, seed: 7), into: "b")
            try await engine.importRows(TestRow.several(2, seed: 8), into: "c")
            let error = await expectError(.incompatibleDatastores) { try await engine.bind("street", "a", "b") }
            #expect(error?.detail.contains(other.what) == true)
            await expectError(.unknownDomain) { try await engine.domain("street") }
            // Those that agree, or do not say, are.
            try await engine.bind("street", "a", "c")
            #expect(try await engine.ask("street", Self.query).results.count == 4)
        }
    }

    @Test func aDatastoreGoesOnlyWhenNoDomainNeedsIt() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(3, seed: 9)
        try await harness.run { engine in
            for name in ["a", "b"] {
                try await engine.create(name)
                try await engine.importRows(rows, into: name)
            }
            try await engine.bind("street", "a")
            try await engine.bind("town", "b", "a@1")
            let error = await expectError(.datastoreInUse) { try await engine.deleteDatastore("a") }
            #expect(error?.detail.contains("street, town") == true)
            try await engine.bind("street", "b")
            await expectError(.datastoreInUse) { try await engine.deleteDatastore("a") }
            #expect(try await engine.ask("town", Self.query, QueryOptions(k: 9)).results.count == 6)
            try await engine.deleteDomain("town")
            try await engine.deleteDatastore("a")

            #expect(!FileManager.default.fileExists(atPath: harness.directory.datastore("a").path))
            await expectError(.unknownDatastore) { try await engine.datastore("a") }
            await expectError(.unknownDatastore) { try await engine.deleteDatastore("a") }
            #expect(try await engine.datastores(.init()).map(\.name) == ["b"])
            #expect(try await engine.ask("street", Self.query).results.count == 3)

            // Made again, it is empty.
            try await engine.create("a")
            #expect(try await engine.datastore("a").latestVersion == nil)
            #expect(try await engine.datastore("a").pendingChanges == 0)
            let job = try await engine.importRows([rows[0]], into: "a")
            #expect(job.version == 2)
            try await engine.bind("town", "a")
            #expect(try await engine.ask("town", Self.query).results.map(\.text) == [rows[0].text])
            // Its history went on where it was, and what it names is not what there is now.
            #expect(try await engine.domain("town").revision == 2)
            await expectError(.unknownVersion) { try await engine.rollback("town", to: 1, precondition: .none) }
            await expectError(.unknownVersion) { try await engine.bind("town", "a@1") }
            #expect(try await engine.domain("town").revision == 2)
        }
    }

    @Test func datastoresAreMadeListedAndDescribed() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("b", dim: 3, metric: .innerProduct, encoder: Encoder(model: "m", revision: "r"))
            try await engine.create("a")
            await expectError(.datastoreExists) { try await engine.create("a") }
            await expectError(.invalidName) { try await engine.create("../a") }
            await expectError(.invalidValue) { try await engine.create("c", dim: 0) }
            await expectError(.invalidValue) {
                try await engine.createDatastore(CreateDatastoreRequest(name: "c", kind: .captions, keys: []))
            }
            await expectError(.unknownDatastore) { try await engine.datastore("c") }
            #expect(try await engine.datastores(.init()).map(\.name) == ["a", "b"])
            #expect(try await engine.datastores(.init(limit: 1, after: "a")).map(\.name) == ["b"])
            let b = try await engine.datastore("b")
            #expect(
                b.keys == [
                    KeySpec(name: "text", dim: 3, metric: .innerProduct, encoder: Encoder(model: "m", revision: "r"))
                ])
            let described = try await engine.updateDatastore("b", UpdateDatastoreRequest(description: "words"))
            #expect(described.description == "words")
            let licensed = try await engine.updateDatastore("b", UpdateDatastoreRequest(licence: "CC0-1.0"))
            #expect(licensed.description == "words")
            #expect(licensed.licence == "CC0-1.0")
            await expectError(.unknownDatastore) {
                try await engine.updateDatastore("c", UpdateDatastoreRequest(licence: "x"))
            }
        }
    }
}
