import DatastoreCore
import DatastoreStorage
import Foundation
import RetrievalEngine
import TestSupport
import Testing

/// Which versions stay, which go, and what a domain can still be rolled back to.
struct RetentionTests {
    private static let query: [Float] = [1, 0, 0, 0, 0, 0, 0, 0]

    private static func rows(_ step: Int) -> [TestRow] {
        TestRow.several(5, seed: UInt64(500 + step), prefix: "step \(step)")
    }

    /// A datastore `d` with so many versions.
    private func make(_ engine: CapstanEngine, versions: Int) async throws {
        try await engine.create("d")
        for step in 0..<versions { try await engine.importRows(Self.rows(step), into: "d") }
        // The last one has applied retention, too.
        while try await engine.status().jobsRunning > 0 { try await Task.sleep(for: .milliseconds(2)) }
    }

    private func numbers(_ engine: CapstanEngine) async throws -> [Int] {
        try await engine.versions(of: "d", .init()).map(\.version)
    }

    private func keep(_ engine: CapstanEngine, last: Int? = nil, days: Int? = nil) async throws {
        _ = try await engine.updateDatastore(
            "d", UpdateDatastoreRequest(retention: Retention(keepLast: last, keepDays: days)))
    }

    @Test func everythingStaysUntilSomebodySaysOtherwise() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await make(engine, versions: 4)
            let report = try await engine.collectGarbage(GCRequest())
            #expect(report.items.isEmpty && report.freedBytes == 0)
            #expect(try await numbers(engine) == [4, 3, 2, 1])
        }
    }

    @Test func whatNothingKeepsGoesAndItsBytesAreTold() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await make(engine, versions: 7)
            try await engine.bind("street", "d@2")
            _ = try await engine.tag(VersionID(datastore: "d", number: 1), "gold", moves: false)
            try await keep(engine, last: 2)
            let dry = try await engine.collectGarbage(GCRequest(dryRun: true))
            #expect(dry.dryRun && dry.items.map(\.version) == [3, 4, 5])
            #expect(dry.items.allSatisfy { $0.reason == "not among the newest 2" && $0.bytes > 0 && !$0.isHeld })
            #expect(try await numbers(engine).count == 7)

            let report = try await engine.collectGarbage(GCRequest(datastores: ["d"]))
            #expect(report.items == dry.items && report.freedBytes == dry.freedBytes && report.heldBytes == 0)
            #expect(try await numbers(engine) == [7, 6, 2, 1])
            for number in 1...7 {
                let folder = harness.directory.version(VersionID(datastore: "d", number: number))
                #expect(FileManager.default.fileExists(atPath: folder.path) == ![3, 4, 5].contains(number))
            }
            let error = await expectError(.versionRemoved) {
                try await engine.version(VersionID(datastore: "d", number: 4))
            }
            #expect(error?.detail.contains("not among the newest 2") == true)
            await expectError(.versionRemoved) { try await engine.bind("street", "d@4") }
            #expect(try await engine.collectGarbage(GCRequest()).items.isEmpty)

            // A build applies it too, and numbers go on.
            try await engine.importRows(Self.rows(7), into: "d")
            while try await numbers(engine) != [8, 7, 2, 1] { try await Task.sleep(for: .milliseconds(5)) }
        }
        // Nothing comes back with a start.
        try await harness.run { engine in
            let numbers = try await numbers(engine)
            #expect(numbers == [8, 7, 2, 1])
            let answer = try await engine.ask("street", Self.query)
            #expect(answer.results.allSatisfy { $0.version == 2 })
        }
    }

    @Test func aDomainCanBeRolledBackToEachRevisionThatRetentionKeeps() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Self.rows(0), into: "d")
            try await engine.bind("street", "d")
            for step in 1..<6 { try await engine.importRows(Self.rows(step), into: "d") }
            #expect(try await engine.domain("street").revision == 6)
            try await keep(engine, last: 3)
            #expect(try await engine.collectGarbage(GCRequest()).items.map(\.version) == [1, 2, 3])
            for revision in [4, 5] {
                let info = try await engine.rollback("street", to: revision, precondition: .none)
                #expect(info.datastores.map(\.version) == [revision])
                #expect(try await engine.ask("street", Self.query).results.allSatisfy { $0.version == revision })
            }
            let error = await expectError(.versionRemoved) {
                try await engine.rollback("street", to: 2, precondition: .none)
            }
            #expect(error?.detail.contains("version 2") == true)
            #expect(try await engine.domain("street").datastores.map(\.version) == [5])
        }
    }

    @Test func versionsOfTheLastDaysStay() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await make(engine, versions: 3)
            try await keep(engine, days: 1)
            #expect(try await engine.collectGarbage(GCRequest()).items.isEmpty)
            #expect(try await engine.datastore("d").retention == Retention(keepDays: 1))
            _ = try await engine.updateDatastore("d", UpdateDatastoreRequest(retention: Retention()))
            #expect(try await engine.datastore("d").retention == nil)
        }
    }

    @Test func aVersionThatIsNeededIsNotRemoved() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await make(engine, versions: 4)
            try await engine.bind("street", "d@2")
            _ = try await engine.tag(VersionID(datastore: "d", number: 1), "gold", moves: false)
            for (number, word) in [(1, "gold"), (2, "street"), (4, "newest")] {
                let error = await expectError(.versionInUse) {
                    try await engine.removeVersion(VersionID(datastore: "d", number: number))
                }
                #expect(error?.detail.contains(word) == true, "\(error?.detail ?? "")")
            }
            let report = try await engine.removeVersion(VersionID(datastore: "d", number: 3))
            #expect(report.items.map(\.version) == [3] && report.freedBytes > 0)
            #expect(try await numbers(engine) == [4, 2, 1])
        }
    }

    @Test func aTagNamesOneVersionAndIsMovedOnRequest() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await make(engine, versions: 2)
            let (first, second) = (VersionID(datastore: "d", number: 1), VersionID(datastore: "d", number: 2))
            _ = try await engine.tag(first, "silver", moves: false)
            #expect(try await engine.tag(first, "gold", moves: false).tags == ["gold", "silver"])
            await expectError(.tagExists) { try await engine.tag(second, "gold", moves: false) }
            #expect(try await engine.tag(second, "gold", moves: true).tags == ["gold"])
            #expect(try await engine.version(first).tags == ["silver"])
            #expect(try await engine.versions(of: "d", .init()).map(\.tags) == [["gold"], ["silver"]])
            #expect(try await engine.versionID("gold", of: "d") == second)
            #expect(try await engine.versionID("latest", of: "d") == second)
            #expect(try await engine.bind("street", "d@silver").datastores.map(\.version) == [1])
            await expectError(.unknownTag) { try await engine.versionID("bronze", of: "d") }
            await expectError(.unknownTag) { try await engine.untag(first, "gold") }
            for name in ["7", "latest", "Latest", "-x", ""] {
                await expectError(.invalidName) { try await engine.tag(first, name, moves: false) }
            }
            try await engine.untag(second, "gold")
            #expect(try await engine.version(second).tags.isEmpty)
        }
    }

    @Test func filesThatACrashLeftOfARemovedVersionGoAtTheStart() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in try await make(engine, versions: 3) }
        // The catalog has forgotten it, and the process ended before its files went.
        let catalog = try Catalog(harness.directory.catalog)
        _ = try catalog.remove(VersionID(datastore: "d", number: 2), reason: "a test", at: Date())
        try catalog.close()
        let folder = harness.directory.version(VersionID(datastore: "d", number: 2))
        #expect(FileManager.default.fileExists(atPath: folder.path))
        try await harness.run { engine in
            #expect(!FileManager.default.fileExists(atPath: folder.path))
            let recovery = try await engine.status().recovery
            #expect(recovery.contains { $0.contains("d@2") })
            let numbers = try await numbers(engine)
            #expect(numbers == [3, 1])
        }
        let recovery = try await harness.run { engine in try await engine.status().recovery }
        #expect(recovery.isEmpty)
    }

    @Test func aVersionThatIsOpenKeepsItsFilesUntilItIsNot() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await make(engine, versions: 3)
            try await engine.bind("street", "d@1")
            let held = engine.currentSnapshot
            for version in [2, 3] { try await engine.bind("street", "d@\(version)") }
            let id = VersionID(datastore: "d", number: 1)
            let report = try await engine.removeVersion(id)
            #expect(report.items.map(\.isHeld) == [true] && report.freedBytes == 0 && report.heldBytes > 0)
            #expect(FileManager.default.fileExists(atPath: harness.directory.version(id).path))
            // What began before still has its answer.
            let versions = try held.domain("street").versions
            let open = try versions.map { try $0.get().id }
            #expect(open == [id])
            withExtendedLifetime(held) {}
        }
        try await harness.run { engine in
            let folder = harness.directory.version(VersionID(datastore: "d", number: 1))
            #expect(!FileManager.default.fileExists(atPath: folder.path))
            let numbers = try await numbers(engine)
            #expect(numbers == [3, 2])
        }
    }

    /// A bundle of a version, as the daemon hands it out, and back in.
    private func bundle(_ engine: CapstanEngine, _ version: Int) async throws -> Data {
        let export = try await engine.exportBundle(of: VersionID(datastore: "d", number: version))
        var data = Data()
        for number in 0..<export.pieceCount { data += try await export.piece(number) }
        return data
    }

    private func restore(_ engine: CapstanEngine, _ bundle: Data) async throws -> JobInfo {
        let job = CapstanEngine.newJobID()
        let file = try await engine.stageBundle(job: job).appending(path: "bundle")
        try bundle.write(to: file)
        return try await engine.ended(
            engine.submitRestore(job: job, datastore: "d", bundle: file, digest: FileDigest.sha256(bundle)))
    }

    @Test func aVersionThatComesBackFromABundleIsNoWasteAnyMore() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await make(engine, versions: 3)
            let bundle = try await bundle(engine, 1)
            try await engine.bind("street", "d@1")
            let held = engine.currentSnapshot
            for version in [2, 3] { try await engine.bind("street", "d@\(version)") }
            let id = VersionID(datastore: "d", number: 1)
            let removed = try await engine.removeVersion(id)
            #expect(removed.items.map(\.isHeld) == [true])
            let job = try await restore(engine, bundle)
            #expect(job.state == .succeeded, "\(String(describing: job.error))")
            withExtendedLifetime(held) {}
            let collected = try await engine.collectGarbage(GCRequest())
            #expect(collected.items.isEmpty, "\(collected)")
            try await engine.bind("street", "d@1")
            let answer = try await engine.ask("street", Self.rows(0)[0].vector)
            #expect(answer.results.allSatisfy { $0.version == 1 })
        }
        try await harness.run { engine in
            let damaged = try await engine.status().damagedVersions
            #expect(damaged.isEmpty)
            let answer = try await engine.ask("street", Self.rows(0)[0].vector)
            #expect(!answer.results.isEmpty)
        }
    }

    @Test func whatIsRestoredIsNotRemovedByRetentionInTheSameBreath() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await make(engine, versions: 3)
            let bundle = try await bundle(engine, 1)
            _ = try await engine.removeVersion(VersionID(datastore: "d", number: 1))
            try await keep(engine, last: 1)
            let job = try await restore(engine, bundle)
            #expect(job.state == .succeeded, "\(String(describing: job.error))")
            let numbers = try await numbers(engine)
            #expect(numbers.contains(1))
        }
    }

    @Test func filesOfJobsThatEndedLongAgoGo() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            let job = try await engine.ended(
                engine.submit(
                    TestRow.ndjson(Self.rows(0)) + Data("{}\n".utf8), into: "d", options: ImportOptions()))
            #expect(job.counts.rejected == 1)
            let orphan = harness.directory.staging(job: "0123456789abcdef")
            try FileManager.default.createDirectory(at: orphan, withIntermediateDirectories: true)
            #expect(try await engine.collectGarbage(GCRequest()).items.isEmpty)
            try FileManager.default.setAttributes(
                [.modificationDate: Date().addingTimeInterval(-2 * 86400)], ofItemAtPath: orphan.path)
            let report = try await engine.collectGarbage(GCRequest(jobFilesDays: 0))
            #expect(report.items.map(\.kind) == [.rejects, .staging])
            #expect(try await engine.rejects(ofJob: job.id) == nil)
            #expect(!FileManager.default.fileExists(atPath: orphan.path))
        }
    }

    @Test func whatWasVerifiedSinceTheStartIsReadAgainWhenItWasTouched() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await make(engine, versions: 8)
            // More versions than are kept open.
            for number in 1...8 { try await engine.bind("street", "d@\(number)") }
            let clock = ContinuousClock()
            for revision in 1...7 {
                let took = try await clock.measure {
                    _ = try await engine.rollback("street", to: revision, precondition: .none)
                }
                print("rollback to revision \(revision): \(took)")
                #expect(try await engine.ask("street", Self.query).results.allSatisfy { $0.version == revision })
            }
            let file = harness.directory.version(VersionID(datastore: "d", number: 1)).appending(path: "text.vectors")
            var data = try Data(contentsOf: file)
            data[data.count / 2] ^= 1
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file.path)
            let handle = try FileHandle(forWritingTo: file)
            try handle.write(contentsOf: data)
            try handle.close()
            let error = await expectError(.versionDamaged) {
                try await engine.rollback("street", to: 1, precondition: .none)
            }
            #expect(error?.detail.contains("text.vectors") == true)
        }
    }
}
