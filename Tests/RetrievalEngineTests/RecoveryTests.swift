import DatastoreCore
import DatastoreStorage
import Foundation
import RetrievalEngine
import Synchronization
import TestSupport
import Testing

/// Promise 4: a crash loses nothing that was acknowledged, and shows nothing half-made.
struct RecoveryTests {
    private static let rows = TestRow.several(30, seed: 80)
    private static let query = rows[3].vector
    private static let all = QueryOptions(k: 100)

    /// A datastore `d` with one version of ten rows, followed by the domain `street` and pinned by `pinned`.
    private static func start(_ harness: EngineHarness) async throws {
        try await harness.run { engine in
            try await engine.create("d", plan: IndexPlan(.hnsw))
            try await engine.importRows(Array(rows[0..<10]), into: "d")
            try await engine.bind("street", "d")
            try await engine.bind("pinned", "d@1")
        }
    }

    private static func expectTenRows(
        _ engine: CapstanEngine, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        var corpus = Corpus(dim: 8)
        corpus.add("d", Array(rows[0..<10]))
        for domain in ["street", "pinned"] {
            let answer = try await engine.ask(domain, query, all)
            corpus.check(answer, query, all, sourceLocation: sourceLocation)
            #expect(answer.results.allSatisfy { $0.version == 1 }, sourceLocation: sourceLocation)
        }
        let info = try await engine.datastore("d")
        #expect(info.latestVersion == 1, sourceLocation: sourceLocation)
        #expect(info.pendingChanges == 0, sourceLocation: sourceLocation)
    }

    // MARK: Ends between the steps of publishing

    @Test func anEndAfterAnyStepOfPublishingLeavesTheSameState() async throws {
        let harness = try EngineHarness()
        try await Self.start(harness)
        var changed = Self.rows[0]
        changed.text = "changed"
        var after = Array(Self.rows[0..<20])
        after[0] = changed
        var corpus = Corpus(dim: 8)
        corpus.add("d", after)
        // The disk as it is after each step; nobody writes meanwhile.
        let failures = Mutex<[String]>([])
        var configuration = harness.configuration
        configuration.onPublishStep = { step in
            do {
                try FileManager.default.copyItem(at: harness.data, to: harness.file("after-\(step.rawValue)"))
            } catch {
                failures.withLock { $0.append("\(error)") }
            }
        }
        let job = try await harness.run(configuration) { engine in
            try await engine.importRows([changed] + Self.rows[5..<20], into: "d")
        }
        #expect(failures.withLock { $0 } == [])
        #expect(job.counts.replaced == 1)
        #expect(job.counts.duplicate == 5)

        for step in PublishStep.allCases {
            let data = harness.file("after-\(step.rawValue)")
            for start in ["first", "second"] {
                let comment: Comment = "after \(step), \(start) start"
                var copied = harness.configuration
                copied.dataDirectory = data
                try await harness.run(copied) { [corpus] engine in
                    let ended = try await engine.ended(job)
                    #expect(ended.state == .succeeded, comment)
                    #expect(ended.counts == job.counts, comment)
                    #expect(ended.version == 2, comment)
                    #expect(try await engine.versions(of: "d", .init()).map(\.version) == [2, 1], comment)
                    let info = try await engine.datastore("d")
                    #expect(info.pendingChanges == 0, comment)
                    #expect(info.entries == 20, comment)
                    let answer = try await engine.ask("street", Self.query, Self.all)
                    corpus.check(answer, Self.query, Self.all)
                    #expect(answer.revision == 2, comment)
                    #expect(try await engine.ask("pinned", Self.query, Self.all).results.count == 10, comment)
                    #expect(try await engine.domain("street").reason == .follow, comment)
                    let recovery = try await engine.status().recovery
                    switch (start, step) {
                    case ("second", _): #expect(recovery == [], comment)
                    case (_, .renamed): #expect(recovery.contains("finished publishing d@2"), comment)
                    case (_, .staged), (_, .synced):
                        #expect(recovery.contains("job \(job.id) on d goes on"), comment)
                    default:
                        #expect(
                            recovery == [
                                "forgot the pending changes that are in d@2",
                                "removed the unfinished staging/\(job.id)",
                            ], comment)
                    }
                }
                let staged = try FileManager.default.contentsOfDirectory(
                    atPath: DataDirectory(root: data).staging.path)
                #expect(staged == [], comment)
            }
        }
    }

    // MARK: What a crash may leave, by hand

    @Test func aVersionThatWasPlacedButNotNamedIsAdopted() async throws {
        let harness = try EngineHarness()
        try await Self.start(harness)
        let placed = harness.directory.version(VersionID(datastore: "d", number: 2))
        try FileManager.default.copyItem(
            at: harness.directory.version(VersionID(datastore: "d", number: 1)), to: placed)
        try Self.editManifest(placed) { $0.version = 2 }
        try await harness.run { engine in
            #expect(try await engine.status().recovery == ["finished publishing d@2"])
            #expect(try await engine.versions(of: "d", .init()).map(\.version) == [2, 1])
            let street = try await engine.ask("street", Self.query, Self.all)
            #expect(street.revision == 2)
            #expect(street.results.count == 10)
            #expect(street.results.allSatisfy { $0.version == 2 })
            let pinned = try await engine.ask("pinned", Self.query, Self.all)
            #expect(pinned.revision == 1)
            #expect(pinned.results.allSatisfy { $0.version == 1 })
            let job = try await engine.importRows(Self.rows, into: "d")
            #expect(job.version == 3)
            #expect(job.counts.accepted == 20)
        }
    }

    private static func editManifest(_ folder: URL, _ change: (inout Manifest) throws -> Void) throws {
        let file = folder.appending(path: Manifest.fileName)
        var manifest = try Manifest.read(Data(contentsOf: file))
        try change(&manifest)
        try FileManager.default.removeItem(at: file)
        try WireJSON.encode(manifest, pretty: true).write(to: file)
    }

    struct HalfMade: Sendable, CustomTestStringConvertible {
        let what: String
        var number = 2
        /// Named in what the engine says of it.
        let says: String
        let change: @Sendable (URL) throws -> Void
        var testDescription: String { what }
    }

    private static func flip(_ file: URL, at offset: Int? = nil) throws {
        var data = try Data(contentsOf: file)
        data[offset ?? data.count / 2] ^= 1
        try FileManager.default.removeItem(at: file)
        try data.write(to: file)
    }

    @Test(arguments: [
        HalfMade(what: "the manifest of another version", says: "manifest.json", change: { _ in }),
        HalfMade(
            what: "no manifest", says: "manifest.json",
            change: { try FileManager.default.removeItem(at: $0.appending(path: "manifest.json")) }),
        HalfMade(
            what: "half a manifest", says: "manifest.json",
            change: {
                let file = $0.appending(path: "manifest.json")
                let data = try Data(contentsOf: file)
                try FileManager.default.removeItem(at: file)
                try data.prefix(data.count / 2).write(to: file)
            }),
        HalfMade(
            what: "no index", says: "text.graph",
            change: {
                try editManifest($0) { $0.version = 2 }
                try FileManager.default.removeItem(at: $0.appending(path: "text.graph"))
            }),
        HalfMade(
            what: "a byte of the vectors is wrong", says: "text.vectors",
            change: {
                try editManifest($0) { $0.version = 2 }
                try flip($0.appending(path: "text.vectors"))
            }),
        HalfMade(
            what: "the texts are cut", says: "entries.sqlite",
            change: {
                try editManifest($0) { $0.version = 2 }
                let file = $0.appending(path: "entries.sqlite")
                let data = try Data(contentsOf: file)
                try FileManager.default.removeItem(at: file)
                try data.dropLast(100).write(to: file)
            }),
        HalfMade(
            what: "a file is not in the manifest", says: "text.graph",
            change: {
                try editManifest($0) {
                    $0.version = 2
                    $0.files.removeAll { $0.name == "text.graph" }
                }
            }),
        HalfMade(
            what: "an empty folder", says: "manifest.json",
            change: {
                for name in try FileManager.default.contentsOfDirectory(atPath: $0.path) {
                    try FileManager.default.removeItem(at: $0.appending(path: name))
                }
            }),
        HalfMade(
            what: "a number that does not follow", number: 5, says: "the next version is 2",
            change: { try editManifest($0) { $0.version = 5 } }),
        HalfMade(
            what: "a version of another datastore", says: "manifest.json",
            change: {
                try editManifest($0) {
                    $0.version = 2
                    $0.datastore = "other"
                }
            }),
    ])
    func aHalfMadeVersionIsRemoved(_ half: HalfMade) async throws {
        let harness = try EngineHarness()
        try await Self.start(harness)
        let id = VersionID(datastore: "d", number: half.number)
        let placed = harness.directory.version(id)
        try FileManager.default.copyItem(
            at: harness.directory.version(VersionID(datastore: "d", number: 1)), to: placed)
        try half.change(placed)
        try await harness.run { engine in
            let recovery = try await engine.status().recovery
            #expect(recovery.count == 1)
            #expect(recovery.first?.hasPrefix("removed \(id), which was never published") == true)
            #expect(recovery.first?.contains(half.says) == true, "\(recovery)")
            #expect(!FileManager.default.fileExists(atPath: placed.path))
            #expect(try await engine.status().damagedVersions == [])
            try await Self.expectTenRows(engine)
            #expect(try await engine.importRows(Self.rows, into: "d").version == 2)
        }
    }

    @Test func rowsThatWereNotCommittedAreDroppedAndTheirIdsNotGivenAgain() async throws {
        let harness = try EngineHarness()
        try await Self.start(harness)
        let pending = try PendingChanges(harness.directory.pending("d"))
        try pending.begin(job: "torn")
        try pending.stage(
            Self.rows[10..<15].map {
                PendingEntry(
                    entry: Entry(id: 0, fields: EntryFields(externalID: $0.id, text: $0.text)), vector: $0.vector,
                    isHalfPrecision: false)
            }, job: "torn")
        try pending.close()
        try await harness.run { engine in
            #expect(try await engine.status().recovery == ["dropped the uncommitted rows of job torn on d"])
            try await Self.expectTenRows(engine)
            try await engine.importRows([Self.rows[10]], into: "d")
            let found = try await engine.ask("street", Self.rows[10].vector, QueryOptions(k: 1))
            #expect(found.results.map(\.id) == [16])
        }
    }

    @Test func aLostFileOfPendingChangesGivesNoIdTwice() async throws {
        let harness = try EngineHarness()
        try await Self.start(harness)
        for file in ["pending.sqlite", "pending.sqlite-wal", "pending.sqlite-shm"] {
            try DurableFiles.remove(harness.directory.datastore("d").appending(path: file))
        }
        try await harness.run { engine in
            try await Self.expectTenRows(engine)
            let job = try await engine.importRows(Array(Self.rows[8..<12]), into: "d")
            #expect(job.counts.accepted == 2)
            #expect(job.counts.duplicate == 2)
            var corpus = Corpus(dim: 8)
            corpus.add("d", Array(Self.rows[0..<12]))
            corpus.check(try await engine.ask("street", Self.query, Self.all), Self.query, Self.all)
        }
        // Nor at the start after that, when the version is compared with what is pending.
        try await harness.run { engine in
            #expect(try await engine.datastore("d").entries == 12)
            let job = try await engine.importRows(Array(Self.rows[12..<14]), into: "d")
            #expect(job.version == 3)
            #expect(try await engine.ask("street", Self.query, Self.all).results.count == 14)
        }
    }

    @Test func whatIsLeftInStagingIsRemovedUnlessItsJobGoesOn() async throws {
        let harness = try EngineHarness()
        try await Self.start(harness)
        let stale = harness.directory.staging(job: "stale").appending(path: "version")
        try FileManager.default.createDirectory(at: stale, withIntermediateDirectories: true)
        try Data("half".utf8).write(to: stale.appending(path: "text.vectors"))
        // An upload that was acknowledged, and the version that its job had begun.
        let kept = harness.directory.staging(job: "kept")
        try FileManager.default.createDirectory(
            at: kept.appending(path: "version"), withIntermediateDirectories: true)
        try Data("half".utf8).write(to: kept.appending(path: "version/entries.sqlite"))
        try TestRow.ndjson(Array(Self.rows[8..<12])).write(to: kept.appending(path: "rows"))
        let catalog = try Catalog(harness.directory.catalog)
        let job = try catalog.createJob(
            id: "kept", datastore: "d",
            request: .importUpload(rows: "rows", vectors: nil, options: ImportOptions()),
            at: Date())
        try catalog.start(job: "kept", phase: .building, at: Date())
        try catalog.close()
        try await harness.run { engine in
            let recovery = try await engine.status().recovery
            #expect(recovery == ["removed the unfinished staging/stale", "job kept on d goes on"])
            let ended = try await engine.ended(job)
            #expect(ended.state == .succeeded)
            #expect(ended.counts.accepted == 2)
            #expect(ended.counts.duplicate == 2)
            #expect(ended.version == 2)
            #expect(try await engine.ask("street", Self.query, Self.all).results.count == 12)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: harness.directory.staging.path) == [])
    }

    @Test func aDeletionThatBeganIsFinished() async throws {
        let harness = try EngineHarness()
        try await Self.start(harness)
        let catalog = try Catalog(harness.directory.catalog)
        try catalog.delete(domain: "street")
        try catalog.delete(domain: "pinned")
        try catalog.delete(datastore: "d")
        try catalog.close()
        let unknown = harness.directory.datastore("unknown")
        try FileManager.default.createDirectory(at: unknown, withIntermediateDirectories: true)
        try await harness.run { engine in
            #expect(
                try await engine.status().recovery == [
                    "removed the files of the deleted datastore d",
                    "left alone the folder datastores/unknown, which the catalog does not know",
                ])
            #expect(!FileManager.default.fileExists(atPath: harness.directory.datastore("d").path))
            #expect(FileManager.default.fileExists(atPath: unknown.path))
            try await engine.create("d")
            // The numbers of its versions go on, so that no old revision comes to mean something else.
            #expect(try await engine.importRows(Self.rows, into: "d").version == 2)
        }
    }

    // MARK: Stopping

    @Test func theSameQuestionAfterARestartGetsTheSameBytes() async throws {
        let harness = try EngineHarness()
        try await Self.start(harness)
        let options = QueryOptions(k: 7, excludeImageIDs: ["caption-image-1"], dedupe: .text, prompt: true)
        var answers: Set<Data> = []
        for _ in 0..<3 {
            let bytes = try await harness.run { engine in
                #expect(engine.readiness.status == .ready)
                #expect(try await engine.status().recovery == [])
                return try WireJSON.encode(try await engine.ask("street", Self.query, options))
            }
            answers.insert(bytes)
        }
        #expect(answers.count == 1)
    }

    @Test func aJobThatIsStoppedGoesOnAtTheNextStart() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(20_000, seed: 81)
        var configuration = harness.configuration
        configuration.shutdownGrace = .zero
        let job = try await harness.run(configuration) { engine in
            try await engine.create("d")
            let job = try await engine.submit(TestRow.ndjson(rows), into: "d")
            while try await engine.job(job.id).counts.seen == 0 { await Task.yield() }
            return job
        }
        try await harness.run { engine in
            let ended = try await engine.ended(job)
            #expect(ended.state == .succeeded)
            #expect(ended.counts.seen == 20_000)
            #expect(ended.counts.accepted == 20_000)
            #expect(ended.version == 1)
            #expect(try await engine.datastore("d").entries == 20_000)
            try await engine.bind("street", "d")
            let found = try await engine.ask("street", rows[12_345].vector, QueryOptions(k: 1))
            #expect(found.results.map(\.externalID) == [rows[12_345].id])
        }
    }

    @Test func aSecondEngineIsKeptOutAndToldWhoIsIn() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try engine.announce(address: "127.0.0.1:7411")
            let error = await expectError(.dataDirectoryInUse) {
                try CapstanEngine(EngineConfiguration(dataDirectory: harness.data), logger: EngineHarness.logger)
            }
            #expect(error?.detail.contains("process \(ProcessInfo.processInfo.processIdentifier)") == true)
            #expect(error?.detail.contains("127.0.0.1:7411") == true)
        }
    }
}
