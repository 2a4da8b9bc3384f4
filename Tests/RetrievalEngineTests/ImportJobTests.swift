import DatastoreCore
import DatastoreStorage
import Foundation
import RetrievalEngine
import TestSupport
import Testing

/// Promise 5, no row is lost in silence, and what an import does to a datastore when it fails.
struct ImportJobTests {
    private static func counts(
        seen: Int, accepted: Int = 0, replaced: Int = 0, duplicate: Int = 0, rejected: Int = 0
    ) -> JobCounts {
        var counts = JobCounts()
        counts.seen = seen
        counts.accepted = accepted
        counts.replaced = replaced
        counts.duplicate = duplicate
        counts.rejected = rejected
        return counts
    }

    /// What of a datastore an import that fails must leave as it was.
    private struct State: Equatable {
        var datastore: DatastoreInfo
        var domain: DomainInfo
        var answer: QueryAnswer
        var versions: [VersionInfo]

        init(_ engine: CapstanEngine) async throws {
            datastore = try await engine.datastore("d")
            domain = try await engine.domain("street")
            answer = try await engine.ask("street", [1, 0, 0, 0, 0, 0, 0, 0], QueryOptions(k: 50))
            versions = try await engine.versions(of: "d", .init())
        }
    }

    @Test func countsAddUpOverMixesOfNewReplacedDuplicateAndRejectedRows() async throws {
        let harness = try EngineHarness()
        let first = TestRow.several(10, seed: 1)
        try await harness.run { engine in
            try await engine.create("d")
            let noVector = Data(#"{"text": "no vector", "id": "x"}"#.utf8)
            let firstJob = try await engine.ended(
                try await engine.submit(TestRow.ndjson(first) + noVector, into: "d"))
            #expect(firstJob.counts == Self.counts(seen: 11, accepted: 10, rejected: 1))
            #expect(firstJob.version == 1)
            try await engine.bind("street", "d")

            var second = Array(first[0..<4])
            second.append(TestRow("another text", first[4].vector, id: first[4].id, imageID: first[4].imageID))
            second.append(TestRow(first[5].text, [0, 0, 0, 0, 0, 0, 0, 7], id: first[5].id, imageID: first[5].imageID))
            second.append(TestRow(first[6].text, first[6].vector, id: first[6].id, imageID: "another image"))
            second.append(TestRow("new one", first[0].vector, id: "new"))
            second.append(TestRow("without id", first[0].vector))
            second.append(TestRow("without id", first[0].vector))
            second.append(TestRow("zero", [Float](repeating: 0, count: 8), id: "zero"))
            second.append(TestRow("short", [1], id: "short"))
            second.append(TestRow("again", first[7].vector, id: "new"))
            second.append(TestRow("  ", first[7].vector, id: "blank"))
            let rows = try TestRow.ndjson(second) + Data("\n{not json}\n".utf8)
            let secondJob = try await engine.ended(try await engine.submit(rows, into: "d"))
            #expect(secondJob.state == .succeeded)
            #expect(
                secondJob.counts == Self.counts(seen: 15, accepted: 3, replaced: 3, duplicate: 4, rejected: 5))
            #expect(secondJob.version == 2)

            let rejects = try #require(try await engine.rejects(ofJob: secondJob.id))
            let rejected = try String(contentsOf: rejects, encoding: .utf8).split(separator: "\n")
                .map { try WireJSON.decode(RejectedRow.self, from: Data($0.utf8)) }
            #expect(
                rejected.map(\.code)
                    == [.vectorZero, .vectorDimMismatch, .duplicateExternalID, .missingText, .invalidJSON])
            #expect(rejected.map(\.line) == [11, 12, 13, 14, 16])
            #expect(rejected.last?.excerpt == "{not json}")

            let info = try await engine.datastore("d")
            #expect(info.entries == 13)
            #expect(info.pendingChanges == 0)
            let all = try await engine.ask("street", first[4].vector, QueryOptions(k: 13))
            #expect(Set(all.results.map(\.id)).count == 13)
            let replaced = try #require(all.results.first { $0.externalID == first[4].id })
            #expect(replaced.text == "another text")
            #expect(replaced.id == 5)
            #expect(replaced.version == 2)
            #expect(!all.results.contains { $0.text == first[4].text })
            #expect(all.results.first { $0.externalID == first[6].id }?.imageID == "another image")
            // A vector that was replaced is found where it is now, with its id.
            let moved = try await engine.ask("street", [0, 0, 0, 0, 0, 0, 0, 1], QueryOptions(k: 1))
            #expect(moved.results.map(\.id) == [6])
            #expect(moved.results.first?.score == 1)
            // New ids come after all that were given.
            #expect(all.results.filter { $0.text == "without id" }.map(\.id).sorted() == [12, 13])
        }
    }

    @Test func importingTheSameAgainIsAllDuplicatesAndMakesNoVersion() async throws {
        let harness = try EngineHarness()
        var rows = TestRow.several(30, seed: 2)
        let payloads = [
            #"{"a": 1.0, "b": 1e3, "c": -0.0, "d": 0.1, "e": 9007199254740993, "f": [true, null, {}]}"#,
            #"{"big": 1.7976931348623157e308, "small": 5e-324, "x": 1.5e-7, "y": -9223372036854775808}"#,
            #"{"text": "ünï\u0000 \" \\ \/ \ud83d\ude00", "": 0}"#,
        ]
        for (index, payload) in payloads.enumerated() {
            rows[index].more["payload"] = try WireJSON.decode(JSONValue.self, from: Data(payload.utf8))
        }
        try await harness.run { [rows] engine in
            try await engine.create("d")
            let ndjson = try TestRow.ndjson(rows)
            let first = try await engine.ended(engine.submit(ndjson, into: "d"))
            #expect(first.counts == Self.counts(seen: 30, accepted: 30))
            try await engine.bind("street", "d")
            let before = try await State(engine)
            let again = try await engine.ended(engine.submit(ndjson, into: "d"))
            #expect(again.state == .succeeded)
            #expect(again.counts == Self.counts(seen: 30, duplicate: 30))
            #expect(again.version == nil)
            #expect(try await State(engine) == before)
        }
    }

    @Test(arguments: [Vectors.Element.f16, .f32])
    func vectorsFromAFileBelongToTheirRowsAndAreDuplicatesAgain(element: Vectors.Element) async throws {
        let harness = try EngineHarness()
        var vectors = Vectors(clustered: 40, dim: 8, seed: 3)
        if element == .f16 { vectors.values = vectors.values.map { Float(Float16($0)) } }
        let rows = (0..<40).map { TestRow("caption \($0)", vectors[$0], id: "\($0)", imageID: "\($0 / 2)") }
        var corpus = Corpus(dim: 8)
        corpus.add("d", rows)
        try await harness.run { [corpus, vectors] engine in
            try await engine.create("d")
            let ndjson = try TestRow.ndjson(rows, withVectors: false)
            let job = try await engine.ended(engine.submit(ndjson, vectors: vectors.npy(element), into: "d"))
            #expect(job.counts == Self.counts(seen: 40, accepted: 40))
            try await engine.bind("street", "d")
            for row in 0..<40 {
                let options = QueryOptions(k: 40)
                corpus.check(try await engine.ask("street", vectors[row], options), vectors[row], options)
            }
            let again = try await engine.ended(engine.submit(ndjson, vectors: vectors.npy(element), into: "d"))
            #expect(again.counts == Self.counts(seen: 40, duplicate: 40))
            // The same as 32-bit floats in the rows: still the same.
            let inRows = try await engine.ended(engine.submit(TestRow.ndjson(rows), into: "d"))
            #expect(inRows.counts == Self.counts(seen: 40, duplicate: 40))
        }
    }

    @Test func aHalfPrecisionVersionTurnsFullWhenAFullRowComes() async throws {
        let harness = try EngineHarness()
        let half = TestRow("half", [1, 0.5], id: "half")
        let full = TestRow("full", [0.1, 1], id: "full")
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            let first = try await engine.ended(
                engine.submit(
                    TestRow.ndjson([half], withVectors: false), vectors: Vectors(values: half.vector, dim: 2).npy(.f16),
                    into: "d"))
            #expect(first.state == .succeeded)
            try await engine.importRows([full], into: "d")
            try await engine.bind("street", "d")
            var corpus = Corpus(dim: 2)
            corpus.add("d", [half, full])
            let answer = try await engine.ask("street", [0.1, 1], QueryOptions(k: 2))
            corpus.check(answer, [0.1, 1], QueryOptions(k: 2))
            #expect(answer.results[0].score == 1)
            let again = try await engine.ended(engine.submit(TestRow.ndjson([half, full]), into: "d"))
            #expect(again.counts == Self.counts(seen: 2, duplicate: 2))
        }
    }

    // MARK: Pending changes

    @Test func rowsThatAreNotBuiltWaitAndAreBuiltInTheirOrder() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(6, seed: 4)
        try await harness.run { engine in
            try await engine.create("d")
            let job = try await engine.importRows(Array(rows[0..<2]), into: "d", build: false)
            #expect(job.version == nil)
            #expect(try await engine.datastore("d").latestVersion == nil)
            #expect(try await engine.datastore("d").pendingChanges == 2)
            await expectError(.noVersion) { try await engine.bind("street", "d") }
            var changed = rows[0]
            changed.text = "changed"
            // Against what is pending: one replaced, one duplicate, one new.
            let second = try await engine.importRows([changed, rows[1], rows[2]], into: "d", build: false)
            #expect(second.counts == Self.counts(seen: 3, accepted: 1, replaced: 1, duplicate: 1))
            #expect(try await engine.datastore("d").pendingChanges == 4)
            changed.text = "changed again"
            try await engine.importRows([changed], into: "d", build: false)
            let built = try await engine.build("d")
            #expect(built.version == 1)
            #expect(built.kind == .build)
            #expect(try await engine.datastore("d").pendingChanges == 0)
            try await engine.bind("street", "d")
            var corpus = Corpus(dim: 8)
            corpus.add("d", [changed, rows[1], rows[2]])
            let options = QueryOptions(k: 3)
            corpus.check(try await engine.ask("street", rows[0].vector, options), rows[0].vector, options)
            await expectError(.nothingToBuild) {
                try await engine.submitBuild(of: "d", BuildVersionRequest(ifChanged: true))
            }

            // What waits goes into the version that the next import builds.
            try await engine.importRows([rows[3]], into: "d", build: false)
            #expect(try await engine.ask("street", rows[3].vector, options).results.allSatisfy { $0.id < 4 })
            let last = try await engine.importRows([rows[4]], into: "d")
            #expect(last.version == 2)
            #expect(last.counts == Self.counts(seen: 1, accepted: 1))
            corpus = Corpus(dim: 8)
            corpus.add("d", [changed, rows[1], rows[2], rows[3], rows[4]])
            let all = QueryOptions(k: 5)
            corpus.check(try await engine.ask("street", rows[3].vector, all), rows[3].vector, all)
        }
    }

    @Test func duplicatesThatAreBuiltBuildWhatWaits() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(3, seed: 5)
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(rows, into: "d", build: false)
            let job = try await engine.importRows(rows, into: "d")
            #expect(job.counts == Self.counts(seen: 3, duplicate: 3))
            #expect(job.version == 1)
            #expect(try await engine.datastore("d").entries == 3)
        }
    }

    @Test func whatWaitsOutlivesAStop() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(5, seed: 6)
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Array(rows[0..<3]), into: "d", build: false)
        }
        try await harness.run { engine in
            #expect(try await engine.datastore("d").pendingChanges == 3)
            let job = try await engine.importRows(rows, into: "d")
            #expect(job.counts == Self.counts(seen: 5, accepted: 2, duplicate: 3))
            try await engine.bind("street", "d")
            var corpus = Corpus(dim: 8)
            corpus.add("d", rows)
            let options = QueryOptions(k: 5)
            corpus.check(try await engine.ask("street", rows[1].vector, options), rows[1].vector, options)
        }
    }

    // MARK: Failure

    @Test func aStrictImportWithARejectLeavesEverythingAsItWas() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(20, seed: 7)
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Array(rows[0..<10]), into: "d")
            try await engine.bind("street", "d")
            let before = try await State(engine)
            let source = try TestRow.ndjson(Array(rows[5..<20])) + Data(#"{"text": "no vector"}"#.utf8)
            for build in [true, false] {
                let job = try await engine.ended(
                    engine.submit(source, into: "d", options: ImportOptions(build: build, strict: true)))
                #expect(job.state == .failed)
                #expect(job.error?.code == "rows_rejected")
                #expect(job.counts == Self.counts(seen: 16, accepted: 10, duplicate: 5, rejected: 1))
                #expect(try await engine.rejects(ofJob: job.id) != nil)
                #expect(try await State(engine) == before)
            }
            // Its ids are not given again.
            try await engine.importRows([rows[10]], into: "d")
            let found = try await engine.ask("street", rows[10].vector, QueryOptions(k: 1))
            #expect(found.results.first?.id ?? 0 > 30)
        }
    }

    struct BadSource: Sendable, CustomTestStringConvertible {
        let name: String
        let code: ErrorCode
        let rows: @Sendable ([TestRow]) throws -> Data
        var rowsExtension = "ndjson"
        var vectors: (@Sendable ([TestRow]) throws -> Data)?
        var testDescription: String { name }
    }

    private static func npy(_ rows: some Sequence<TestRow>) -> Data {
        Vectors(values: rows.flatMap(\.vector), dim: 8).npy()
    }

    private static func gzip(_ data: Data) throws -> Data {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["gzip", "-c"]
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: data)
        try input.fileHandleForWriting.close()
        let zipped = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return zipped
    }

    @Test(arguments: [
        BadSource(
            name: "more rows than vectors", code: .rowsVectorsMismatch,
            rows: { try TestRow.ndjson($0, withVectors: false) }, vectors: { npy($0.dropLast()) }),
        BadSource(
            name: "more vectors than rows", code: .rowsVectorsMismatch,
            rows: { try TestRow.ndjson($0.dropLast(), withVectors: false) }, vectors: { npy($0) }),
        BadSource(
            name: "truncated npy", code: .npyTruncated, rows: { try TestRow.ndjson($0, withVectors: false) },
            vectors: { npy($0).dropLast(3) }),
        BadSource(
            name: "npy with bytes behind it", code: .npyTrailingData,
            rows: { try TestRow.ndjson($0, withVectors: false) }, vectors: { npy($0) + Data([0]) }),
        BadSource(
            name: "not npy", code: .npyNotNumpy, rows: { try TestRow.ndjson($0, withVectors: false) },
            vectors: { _ in Data("not numpy at all".utf8) }),
        BadSource(
            name: "vectors of another dim", code: .vectorDimMismatch,
            rows: { try TestRow.ndjson($0, withVectors: false) },
            vectors: { Vectors(values: $0.flatMap { $0.vector.dropLast() }, dim: 7).npy() }),
        BadSource(
            name: "half a gzip file", code: .gzipTruncated,
            rows: { rows in
                let zipped = try gzip(TestRow.ndjson(rows))
                return zipped.prefix(zipped.count / 2)
            }, rowsExtension: "ndjson.gz"),
        BadSource(
            name: "a gzip file with a wrong byte", code: .gzipCorrupt,
            rows: { rows in
                var zipped = try gzip(TestRow.ndjson(rows))
                zipped[zipped.count - 6] ^= 0xFF
                return zipped
            }, rowsExtension: "ndjson.gz"),
        BadSource(name: "no rows", code: .noRowsAccepted, rows: { _ in Data("\n \n".utf8) }),
        BadSource(name: "an empty file", code: .noRowsAccepted, rows: { _ in Data() }),
        BadSource(
            name: "nothing but rejects", code: .noRowsAccepted,
            rows: { try TestRow.ndjson($0.map { TestRow($0.text, [1]) }) }),
    ])
    func anImportThatFailsLeavesTheDatastoreAsItWas(_ source: BadSource) async throws {
        let harness = try EngineHarness()
        let old = TestRow.several(5, seed: 8)
        // More than one batch of rows, so that some are staged when it fails.
        let new = TestRow.several(2500, seed: 9, prefix: "new")
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(old, into: "d")
            try await engine.bind("street", "d")
            let before = try await State(engine)
            let job = try await engine.ended(
                engine.submit(
                    source.rows(new), vectors: source.vectors?(new), into: "d", rowsExtension: source.rowsExtension))
            #expect(job.state == .failed)
            #expect(job.error?.code == source.code.rawValue, "\(job.error?.detail ?? "")")
            #expect(job.version == nil)
            #expect(job.finishedAt != nil)
            #expect(try await State(engine) == before)
            // And the next one is not in its way.
            let next = try await engine.importRows(new, into: "d")
            #expect(next.counts == Self.counts(seen: 2500, accepted: 2500))
            #expect(try await engine.datastore("d").entries == 2505)
        }
        let staged = try FileManager.default.contentsOfDirectory(atPath: harness.directory.staging.path)
        #expect(staged.isEmpty)
    }

    // MARK: Where rows come from

    @Test func uploadsAreImportedAndTheirFilesRemoved() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(12, seed: 10)
        try await harness.run { engine in
            try await engine.create("d")
            await expectError(.unknownDatastore) { try await engine.stageUpload(job: "x", datastore: "other") }
            let id = CapstanEngine.newJobID()
            let folder = try await engine.stageUpload(job: id, datastore: "d")
            let rowsFile = folder.appending(path: "rows")
            let vectorsFile = folder.appending(path: "vectors")
            try TestRow.ndjson(rows, withVectors: false).write(to: rowsFile)
            try Self.npy(rows).write(to: vectorsFile)
            let job = try await engine.ended(
                engine.submitUpload(
                    job: id, datastore: "d", rows: rowsFile, vectors: ["": vectorsFile], digests: [],
                    options: ImportOptions()))
            #expect(job.id == id)
            #expect(job.state == .succeeded)
            #expect(try await engine.datastore("d").entries == 12)

            let dropped = CapstanEngine.newJobID()
            let abandoned = try await engine.stageUpload(job: dropped, datastore: "d")
            try Data("half".utf8).write(to: abandoned.appending(path: "rows"))
            await engine.discardUpload(job: dropped)
            #expect(!FileManager.default.fileExists(atPath: abandoned.path))
            await expectError(.unknownJob) { try await engine.job(dropped) }
        }
        let staged = try FileManager.default.contentsOfDirectory(atPath: harness.directory.staging.path)
        #expect(staged.isEmpty)
    }

    @Test func pathsOutsideTheImportRootsAreRefused() async throws {
        let harness = try EngineHarness()
        let outside = harness.file("outside.ndjson")
        try TestRow.ndjson(TestRow.several(1, seed: 11)).write(to: outside)
        let link = harness.sources.appending(path: "link.ndjson")
        try FileManager.default.createSymbolicLink(at: link, withDestinationURL: outside)
        try TestRow.ndjson(TestRow.several(2, seed: 12)).write(to: harness.sources.appending(path: "inside.ndjson"))
        try await harness.run { engine in
            try await engine.create("d")
            for path in [outside.path, link.path, "../outside.ndjson", "link.ndjson", "/etc/passwd", "/no/such/file"] {
                let error = await expectError(.pathOutsideImportRoots) {
                    try await engine.submitImport(ImportRequest(rowsPath: path), into: "d")
                }
                #expect(error?.errors.first?.field == "rows_path")
            }
            await expectError(.pathOutsideImportRoots) {
                try await engine.submitImport(
                    ImportRequest(rowsPath: "inside.ndjson", vectorsPath: outside.path), into: "d")
            }
            await expectError(.sourceUnreadable) {
                try await engine.submitImport(ImportRequest(rowsPath: "absent.ndjson"), into: "d")
            }
            await expectError(.unknownDatastore) {
                try await engine.submitImport(ImportRequest(rowsPath: "inside.ndjson"), into: "other")
            }
            let job = try await engine.ended(
                engine.submitImport(ImportRequest(rowsPath: "inside.ndjson"), into: "d"))
            #expect(job.counts.accepted == 2)
            #expect(try await engine.jobs(datastore: nil, state: nil, .init()).count == 1)
        }
        var configuration = harness.configuration
        configuration.importRoots = []
        try await harness.run(configuration) { engine in
            _ = await expectError(.importByPathDisabled) {
                try await engine.submitImport(ImportRequest(rowsPath: outside.path), into: "d")
            }
        }
    }

    @Test func jobsAreListedNewestFirstByDatastoreAndState() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            var ids: [String] = []
            for name in ["a", "b"] {
                try await engine.create(name)
                ids.append(try await engine.importRows(TestRow.several(2, seed: 13), into: name).id)
            }
            let failed = try await engine.ended(engine.submit(Data(), into: "a"))
            ids.append(failed.id)
            #expect(try await engine.jobs(datastore: nil, state: nil, .init()).map(\.id) == ids.reversed())
            #expect(try await engine.jobs(datastore: "a", state: nil, .init()).map(\.id) == [ids[2], ids[0]])
            #expect(try await engine.jobs(datastore: "a", state: .succeeded, .init()).map(\.id) == [ids[0]])
            let next = PageRequest(limit: 1, after: ids[2])
            #expect(try await engine.jobs(datastore: nil, state: nil, next).map(\.id) == [ids[1]])
            await expectError(.unknownJob) { try await engine.job("none") }
            await expectError(.unknownJob) { try await engine.rejects(ofJob: "none") }
        }
    }

    @Test func importsIntoSeveralDatastoresAtOnceDoNotMix() async throws {
        let harness = try EngineHarness()
        let names = ["a", "b", "c"]
        try await harness.run { engine in
            for name in names { try await engine.create(name) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, name) in names.enumerated() {
                    group.addTask {
                        // Two into each, one after the other in the order they were submitted.
                        let rows = TestRow.several(300, seed: UInt64(20 + index), prefix: name)
                        let first = try await engine.submit(TestRow.ndjson(Array(rows[0..<200])), into: name)
                        let second = try await engine.submit(TestRow.ndjson(rows), into: name)
                        #expect(try await engine.ended(first).counts == Self.counts(seen: 200, accepted: 200))
                        #expect(
                            try await engine.ended(second).counts
                                == Self.counts(seen: 300, accepted: 100, duplicate: 200))
                    }
                }
                try await group.waitForAll()
            }
            for (index, name) in names.enumerated() {
                let rows = TestRow.several(300, seed: UInt64(20 + index), prefix: name)
                try await engine.bind(name, name)
                var corpus = Corpus(dim: 8)
                corpus.add(name, rows)
                let options = QueryOptions(k: 300)
                corpus.check(try await engine.ask(name, rows[7].vector, options), rows[7].vector, options)
            }
        }
    }
}
