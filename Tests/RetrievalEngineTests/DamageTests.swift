import DatastoreCore
import DatastoreStorage
import Foundation
import RetrievalEngine
import TestSupport
import Testing

/// Promise 1: a file that differs is never served, and the error says which.
struct DamageTests {
    private static let rows = TestRow.several(30, seed: 90)
    private static let query = rows[0].vector

    enum Damage: String, Sendable, CaseIterable {
        case aByteIsFlipped
        case theLastByteIsMissing
        case aByteIsAdded
        case itIsEmpty
        case itIsGone

        func inflict(on file: URL) throws {
            var data = try Data(contentsOf: file)
            try FileManager.default.removeItem(at: file)
            switch self {
            case .aByteIsFlipped: data[data.count / 3] ^= 0x10
            case .theLastByteIsMissing: data.removeLast()
            case .aByteIsAdded: data.append(0)
            case .itIsEmpty: data = Data()
            case .itIsGone: return
            }
            try data.write(to: file)
        }
    }

    @Test(arguments: ["entries.sqlite", "text.vectors", "text.codes", "text.graph", "manifest.json"], Damage.allCases)
    func aDamagedFileIsNamedAndTheRestIsServed(file: String, damage: Damage) async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            for name in ["d", "sound"] { try await engine.create(name, plan: IndexPlan(.hnsw)) }
            try await engine.importRows(Array(Self.rows[0..<10]), into: "d")
            try await engine.importRows(Array(Self.rows[10..<20]), into: "d")
            try await engine.importRows(Array(Self.rows[20..<30]), into: "sound")
            try await engine.bind("street", "d")
            try await engine.bind("earlier", "d@1")
            try await engine.bind("mixed", "sound", "d")
            try await engine.bind("sound", "sound")
        }
        let folder = harness.directory.version(VersionID(datastore: "d", number: 2))
        try damage.inflict(on: folder.appending(path: file))
        // It is found at the start, and stays found at the next.
        for _ in 0..<2 {
            try await harness.run { engine in
                #expect(engine.readiness.status == .ready)
                for domain in ["street", "mixed"] {
                    let error = await expectError(.versionDamaged) { try await engine.ask(domain, Self.query) }
                    #expect(error?.detail.contains("d@2") == true)
                    #expect(error?.detail.contains(file) == true, "\(error?.detail ?? "")")
                }
                #expect(try await engine.ask("sound", Self.query).results.count == 4)
                #expect(try await engine.ask("earlier", Self.query).results.count == 4)
                #expect(try await engine.status().damagedVersions == ["d@2"])
                let version = try await engine.version(VersionID(datastore: "d", number: 2))
                #expect(version.state == .damaged)
                #expect(version.detail?.contains(file) == true)
                await expectError(.versionDamaged) { try await engine.bind("new", "d") }
                await expectError(.unknownDomain) { try await engine.domain("new") }
            }
        }
        // One call goes back to what is sound.
        try await harness.run { engine in
            try await engine.bind("street", "d@1")
            #expect(try await engine.ask("street", Self.query).results.count == 4)
        }
    }

    @Test func aVersionThatNoDomainAsksIsFoundDamagedWhenItIsBound() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            for part in 0..<2 { try await engine.importRows(Array(Self.rows[part * 10..<part * 10 + 10]), into: "d") }
            try await engine.bind("street", "d")
        }
        try Damage.aByteIsFlipped.inflict(
            on: harness.directory.version(VersionID(datastore: "d", number: 1)).appending(path: "text.vectors"))
        try await harness.run { engine in
            #expect(try await engine.status().damagedVersions == [])
            let before = try await engine.ask("street", Self.query)
            await expectError(.versionDamaged) { try await engine.bind("street", "d@1") }
            #expect(try await engine.ask("street", Self.query) == before)
            #expect(try await engine.status().damagedVersions == ["d@1"])
            // What builds on the version after is not disturbed.
            #expect(try await engine.importRows(Array(Self.rows[20..<30]), into: "d").version == 3)
        }
    }

    @Test func aByteThatIsLostWithoutATraceIsFoundAfterTheStart() async throws {
        let harness = try EngineHarness()
        let id = VersionID(datastore: "d", number: 1)
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Array(Self.rows[0..<10]), into: "d")
            try await engine.bind("street", "d")
        }
        let folder = harness.directory.version(id)
        try Damage.aByteIsFlipped.inflict(on: folder.appending(path: "text.vectors"))
        // As if the file were what it was: a disk loses bytes and keeps the times.
        do {
            let catalog = try Catalog(harness.directory.catalog)
            let manifest = try Manifest.read(Data(contentsOf: folder.appending(path: Manifest.fileName)))
            try catalog.setChecked(id, VersionFolder(written: folder, manifest: manifest).stamps)
            try catalog.close()
        }
        try await harness.run { engine in
            while (try? await engine.ask("street", Self.query)) != nil { try await Task.sleep(for: .milliseconds(2)) }
            #expect(try await engine.status().damagedVersions == ["d@1"])
            let error = await expectError(.versionDamaged) { try await engine.ask("street", Self.query) }
            #expect(error?.detail.contains("text.vectors") == true)
        }
    }

    @Test func aVersionThatGotItsFileBackIsServedAgain() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", plan: IndexPlan(.hnsw))
            try await engine.importRows(Array(Self.rows[0..<10]), into: "d")
            try await engine.bind("street", "d")
        }
        let file = harness.directory.version(VersionID(datastore: "d", number: 1)).appending(path: "text.graph")
        let whole = try Data(contentsOf: file)
        try Damage.aByteIsFlipped.inflict(on: file)
        try await harness.run { engine in
            _ = await expectError(.versionDamaged) { try await engine.ask("street", Self.query) }
        }
        try FileManager.default.removeItem(at: file)
        try whole.write(to: file)
        try await harness.run { engine in
            let status = try await engine.status()
            #expect(status.damagedVersions == [])
            #expect(status.recovery == ["d@1 was damaged and is right again"])
            #expect(try await engine.ask("street", Self.query).results.count == 4)
            #expect(try await engine.importRows(Array(Self.rows[10..<20]), into: "d").version == 2)
        }
    }

    @Test func anImportIntoADatastoreWhoseLatestIsDamagedFailsAndSaysWhy() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Array(Self.rows[0..<10]), into: "d")
        }
        try Damage.itIsGone.inflict(
            on: harness.directory.version(VersionID(datastore: "d", number: 1)).appending(path: "entries.sqlite"))
        try await harness.run { engine in
            let job = try await engine.ended(engine.submit(TestRow.ndjson(Self.rows), into: "d"))
            #expect(job.state == .failed)
            #expect(job.error?.code == "version_damaged")
            #expect(job.error?.detail.contains("entries.sqlite") == true)
            #expect(try await engine.datastore("d").pendingChanges == 0)
            #expect(try await engine.versions(of: "d", .init()).map(\.version) == [1])
        }
    }
}
