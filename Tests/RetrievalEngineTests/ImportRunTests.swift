import DatastoreCore
import DatastoreStorage
import Foundation
import RetrievalEngine
import TestSupport
import Testing
import VectorIndex

/// An import as a job: it can be watched, stopped, sent twice, tried without effect, and goes on after an interruption.
struct ImportRunTests {
    private static let encoder = Encoder(model: HashingEncoder.model, endpoint: "words")

    private static func configuration(_ harness: EngineHarness, _ encoder: HashingEncoder) throws -> EngineConfiguration
    {
        var configuration = harness.configuration
        configuration.encoders = [try EncoderEndpoint(argument: "words=\(encoder.url)", apiKey: nil)]
        configuration.shutdownGrace = .zero
        return configuration
    }

    private static func captions(_ count: Int, from first: Int = 0) -> Data {
        Data((first..<first + count).map { "a dog number \($0) on a beach\n" }.joined().utf8)
    }

    /// Waits until the encoder has been given so many texts.
    private static func wait(for count: Int, _ encoder: HashingEncoder) async throws {
        while encoder.texts.count < count { try await Task.sleep(for: .milliseconds(2)) }
    }

    /// Everything in a version, in the order of ids.
    private static func contents(_ engine: CapstanEngine, _ harness: EngineHarness, _ version: Int) throws -> [String] {
        let id = VersionID(datastore: "d", number: version)
        let folder = try VersionFolder(verifying: harness.directory.version(id), id: id, manifestSHA256: nil)
        let open = try OpenVersion(folder)
        let ids = open.ids.map { $0 }
        return try zip(ids.indices, open.entries.entries(ids)).map { row, entry in
            "\(entry.id) \(entry.fields) \(open.vectors(row: row))"
        }
    }

    @Test(arguments: [Metric.cosine, .innerProduct])
    func aVersionThatTakesTheFileOverHasTheBytesOfOneThatIsCopied(metric: Metric) async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(3000, dim: 24, seed: 8)
        try await harness.run { engine in
            for name in ["taken", "copied"] { try await engine.create(name, dim: 24, metric: metric) }
            try await engine.importRows(rows, into: "taken")
            try await engine.importRows(rows, into: "copied", build: false)
            // Another name of the file, as a backup gives it one.
            let folder = harness.directory.datastore("copied").appending(path: "pending")
            let name = try #require(try FileManager.default.contentsOfDirectory(atPath: folder.path).first)
            try FileManager.default.linkItem(at: folder.appending(path: name), to: harness.file("backup"))
            let before = try Data(contentsOf: harness.file("backup"))
            try await engine.build("copied")
            #expect(try Data(contentsOf: harness.file("backup")) == before)
            for file in ["text.vectors", "text.codes"] {
                func bytes(_ name: String) throws -> Data {
                    let id = VersionID(datastore: name, number: 1)
                    return try Data(contentsOf: harness.directory.version(id).appending(path: file))
                }
                #expect(try bytes("taken") == bytes("copied"), "\(file)")
            }
            for name in ["taken", "copied"] {
                try await engine.bind(name, name)
                let pending = harness.directory.datastore(name).appending(path: "pending").path
                while try !FileManager.default.contentsOfDirectory(atPath: pending).isEmpty {
                    try await Task.sleep(for: .milliseconds(2))
                }
            }
            for row in rows.prefix(20) {
                let taken = try await engine.ask("taken", row.vector)
                let copied = try await engine.ask("copied", row.vector)
                #expect(taken.results.map(\.text) == copied.results.map(\.text))
                if metric == .cosine { #expect(taken.results.first?.text == row.text) }
            }
        }
        // It is the same after a start, and what comes on top of it.
        try await harness.run { engine in
            #expect(try await engine.status().recovery == [])
            try await engine.importRows([TestRow("one more", rows[0].vector, id: "one more")], into: "taken")
            #expect(try await engine.datastore("taken").entries == 3001)
        }
    }

    @Test func captionsWithoutVectorsAreEncodedAndFoundByText() async throws {
        let harness = try EngineHarness()
        try await HashingEncoder.with { encoder in
            try await harness.run(Self.configuration(harness, encoder)) { engine in
                try await engine.create("d", dim: HashingEncoder.dim, encoder: Self.encoder)
                let rows = Data("a red bus in the city\na dog on a beach\ntwo cats asleep\n".utf8)
                let job = try await engine.ended(engine.submit(rows, into: "d"))
                #expect(job.state == .succeeded, "\(job)")
                #expect(job.report?.format == .text)
                #expect(job.report?.vectors == .encoder)
                #expect(encoder.texts == ["a red bus in the city", "a dog on a beach", "two cats asleep"])
                // The revision that made the vectors is the datastore's from here on.
                #expect(try await engine.datastore("d").keys.first?.encoder?.revision == "h1")
                try await engine.bind("street", "d")
                let question = QueryRequest(query: .text("a dog at the beach"), options: QueryOptions(k: 1))
                let answer = try await engine.answer(question, of: "street")
                #expect(answer.results.map(\.text) == ["a dog on a beach"])
                let same = try await engine.ask(
                    "street", HashingEncoder.vector(of: "a dog at the beach"), QueryOptions(k: 1))
                #expect(answer == same)
                let batch = try await engine.answers(
                    [question, QueryRequest(query: .text("cats"), options: QueryOptions(k: 1))], of: "street"
                ) { Problem(status: 400, title: "", code: "\($0)", detail: "") }
                #expect(batch.answers.map { $0.results?.map(\.text) } == [["a dog on a beach"], ["two cats asleep"]])
            }
        }
    }

    @Test(arguments: EncoderEndpoint.Dialect.allCases)
    func aPictureIsAskedWithWhereTheEncoderTakesPictures(dialect: EncoderEndpoint.Dialect) async throws {
        let harness = try EngineHarness()
        try await HashingEncoder.with { encoder in
            var configuration = harness.configuration
            let argument = "words=\(dialect.rawValue)+\(encoder.url)"
            configuration.encoders = [try EncoderEndpoint(argument: argument, apiKey: nil)]
            try await harness.run(configuration) { engine in
                try await engine.create("d", dim: HashingEncoder.dim, encoder: Self.encoder)
                let rows = Data("a red bus in the city\na dog on a beach\n".utf8)
                _ = try await engine.ended(engine.submit(rows, into: "d"))
                try await engine.bind("street", "d")
                let picture = HashingEncoder.picture(of: "a dog at the beach")
                let uri = try QueryImage(data: picture).dataURI
                for text in [uri, picture.base64EncodedString()] {
                    let question = QueryRequest(query: .image(text), options: QueryOptions(k: 1))
                    if dialect == .openai {
                        await expectError(.invalidValue) { try await engine.answer(question, of: "street") }
                    } else {
                        let answer = try await engine.answer(question, of: "street")
                        #expect(answer.results.map(\.text) == ["a dog on a beach"])
                    }
                }
                for (bad, code) in [
                    ("http://127.0.0.1/a.png", ErrorCode.invalidValue), ("%", .invalidBase64), ("AAAA", .invalidValue),
                    ("data:image/png,x", .invalidValue),
                ] {
                    await expectError(code) {
                        try await engine.answer(QueryRequest(query: .image(bad)), of: "street")
                    }
                }
                await expectError(.missingField) {
                    try await engine.answer(QueryRequest(query: .text(" ")), of: "street")
                }
            }
        }
    }

    @Test func anEncoderOfAnotherRevisionMakesNoVectorsAndAnswersNoQuestion() async throws {
        let harness = try EngineHarness()
        try await HashingEncoder.with { encoder in
            try await harness.run(Self.configuration(harness, encoder)) { engine in
                try await engine.create("d", dim: HashingEncoder.dim, encoder: Self.encoder)
                _ = try await engine.ended(engine.submit(Self.captions(3), into: "d"))
                try await engine.bind("street", "d")
                encoder.set(revision: "h2")
                let job = try await engine.ended(engine.submit(Self.captions(3, from: 3), into: "d"))
                #expect(job.error?.code == ErrorCode.encoderMismatch.rawValue)
                #expect(try await engine.datastore("d").entries == 3)
                await expectError(.encoderMismatch) {
                    try await engine.answer(QueryRequest(query: .text("a dog")), of: "street")
                }
            }
        }
    }

    @Test func textsThatAreThereAlreadyAreNotEncodedAgain() async throws {
        let harness = try EngineHarness()
        try await HashingEncoder.with { encoder in
            try await harness.run(Self.configuration(harness, encoder)) { engine in
                try await engine.create("d", dim: HashingEncoder.dim, encoder: Self.encoder)
                let first = Data(#"{"id": 1, "text": "a dog"}"#.utf8) + Data("\n".utf8)
                _ = try await engine.ended(engine.submit(first, into: "d"))
                let second = Data(
                    """
                    {"id": 1, "text": "a dog", "image_id": "7"}
                    {"id": 2, "text": "a cat"}

                    """.utf8)
                let job = try await engine.ended(engine.submit(second, into: "d"))
                #expect(job.counts.replaced == 1)
                #expect(job.counts.accepted == 1)
                #expect(encoder.texts == ["a dog", "a cat"])
                let third = try await engine.ended(engine.submit(second, into: "d"))
                #expect(third.counts.duplicate == 2)
                #expect(encoder.texts.count == 2)
            }
        }
    }

    @Test func anEncoderThatFailsForAWhileIsAskedAgain() async throws {
        let harness = try EngineHarness()
        try await HashingEncoder.with { encoder in
            try await harness.run(Self.configuration(harness, encoder)) { engine in
                try await engine.create("d", dim: HashingEncoder.dim, encoder: Self.encoder)
                encoder.fail(2)
                let job = try await engine.ended(engine.submit(Self.captions(10), into: "d"))
                #expect(job.state == .succeeded, "\(job)")
                #expect(job.counts.accepted == 10)
            }
        }
    }

    @Test func aDatastoreWithoutAnEncoderTakesNoTexts() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("plain")
            try await engine.importRows(TestRow.several(3, seed: 1), into: "plain")
            try await engine.bind("street", "plain")
            await expectError(.encoderNotConfigured) {
                try await engine.answer(QueryRequest(query: .text("a dog")), of: "street")
            }
            let job = try await engine.ended(engine.submit(Self.captions(2), into: "plain"))
            #expect(job.error?.code == ErrorCode.noRowsAccepted.rawValue)
            #expect(job.rejectedByCode == ["missing_vector": 2])
            // An encoder that the datastore names and the daemon does not know.
            try await engine.create("named", dim: HashingEncoder.dim, encoder: Self.encoder)
            let refused = try await engine.ended(engine.submit(Self.captions(2), into: "named"))
            #expect(refused.error?.code == ErrorCode.encoderNotConfigured.rawValue)
        }
    }

    @Test func anInterruptedImportGoesOnBehindItsLastBatch() async throws {
        let undisturbed = try EngineHarness()
        let interrupted = try EngineHarness()
        try await HashingEncoder.with { encoder in
            let expected = try await undisturbed.run(Self.configuration(undisturbed, encoder)) { engine in
                try await engine.create("d", dim: HashingEncoder.dim, encoder: Self.encoder)
                _ = try await engine.ended(engine.submit(Self.captions(1500), into: "d"))
                return try Self.contents(engine, undisturbed, 1)
            }
            #expect(expected.count == 1500)
            let before = encoder.texts.count
            let configuration = try Self.configuration(interrupted, encoder)
            encoder.hold(after: 700)
            let job = try await interrupted.run(configuration) { engine in
                try await engine.create("d", dim: HashingEncoder.dim, encoder: Self.encoder)
                let job = try await engine.submit(Self.captions(1500), into: "d")
                try await Self.wait(for: before + 640, encoder)
                return job
            }
            encoder.resume()
            try await interrupted.run(configuration) { engine in
                let done = try await engine.ended(job)
                #expect(done.state == .succeeded, "\(done)")
                #expect(done.resumed == 1)
                #expect(done.counts.seen == 1500)
                #expect(done.counts.accepted == 1500)
                #expect(try Self.contents(engine, interrupted, 1) == expected)
            }
            // Two batches of 256 were kept. Two requests of 64 beyond them were answered, and two were under way.
            let again = encoder.texts.count - before - 1500
            #expect((0...4 * 64).contains(again), "\(again) texts were encoded twice")
        }
    }

    @Test func aSourceThatChangedMeanwhileFailsTheImport() async throws {
        let harness = try EngineHarness()
        try await HashingEncoder.with { encoder in
            let configuration = try Self.configuration(harness, encoder)
            encoder.hold(after: 400)
            let rows = harness.sources.appending(path: "captions.txt")
            try Self.captions(1000).write(to: rows)
            let job = try await harness.run(configuration) { engine in
                try await engine.create("d", dim: HashingEncoder.dim, encoder: Self.encoder)
                let job = try await engine.submitImport(ImportRequest(rowsPath: rows.path), into: "d")
                try await Self.wait(for: 384, encoder)
                return job
            }
            try Self.captions(1001).write(to: rows)
            encoder.resume()
            try await harness.run(configuration) { engine in
                let done = try await engine.ended(job)
                #expect(done.state == .failed)
                #expect(done.error?.code == ErrorCode.sourceChanged.rawValue)
                #expect(done.error?.detail.contains("captions.txt") == true)
                #expect(try await engine.datastore("d").pendingChanges == 0)
                #expect(try await engine.datastore("d").latestVersion == nil)
            }
        }
    }

    @Test func aSourceThatIsGoneMeanwhileFailsTheImport() async throws {
        let harness = try EngineHarness()
        try await HashingEncoder.with { encoder in
            let configuration = try Self.configuration(harness, encoder)
            encoder.hold(after: 400)
            let rows = harness.sources.appending(path: "captions.txt")
            try Self.captions(1000).write(to: rows)
            let job = try await harness.run(configuration) { engine in
                try await engine.create("d", dim: HashingEncoder.dim, encoder: Self.encoder)
                let job = try await engine.submitImport(ImportRequest(rowsPath: rows.path), into: "d")
                try await Self.wait(for: 384, encoder)
                return job
            }
            try FileManager.default.removeItem(at: rows)
            encoder.resume()
            try await harness.run(configuration) { engine in
                let done = try await engine.ended(job)
                #expect(done.state == .failed)
                #expect(done.error?.code == ErrorCode.sourceUnreadable.rawValue)
                #expect(try await engine.datastore("d").pendingChanges == 0)
            }
            // Nothing of it is left for the next import to trip over.
            try await harness.run(configuration) { engine in
                let next = try await engine.ended(engine.submit(Self.captions(5), into: "d"))
                #expect(next.state == .succeeded)
                #expect(try await engine.datastore("d").entries == 5)
            }
        }
    }

    @Test func importsIntoOneDatastoreQueueAndIntoTwoRunSideBySide() async throws {
        let harness = try EngineHarness()
        try await HashingEncoder.with { encoder in
            try await harness.run(Self.configuration(harness, encoder)) { engine in
                try await engine.create("d", dim: HashingEncoder.dim, encoder: Self.encoder)
                try await engine.create("e")
                encoder.hold(after: 0)
                let first = try await engine.submit(Self.captions(10), into: "d")
                let second = try await engine.submit(Self.captions(10, from: 10), into: "d")
                try await engine.importRows(TestRow.several(10, seed: 1), into: "e")
                // The other datastore has its version; of this one, one import runs and one waits.
                #expect(try await engine.job(first.id).state == .running)
                #expect(try await engine.job(second.id).state == .queued)
                encoder.resume()
                #expect(try await engine.ended(first).version == 1)
                #expect(try await engine.ended(second).version == 2)
                #expect(try await engine.datastore("d").entries == 20)
            }
        }
    }

    @Test func importsIntoOneDatastoreRunInTheOrderOfTheirNumbers() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            let rows = try (0..<40).map {
                try TestRow.ndjson(TestRow.several(1, seed: UInt64($0), prefix: "row \($0)"))
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for rows in rows { group.addTask { _ = try await engine.submit(rows, into: "d") } }
                try await group.waitForAll()
            }
            // Newest first; each made the version of its place.
            let jobs = try await engine.jobs(datastore: "d", state: nil, .init())
            for (place, job) in jobs.reversed().enumerated() {
                #expect(try await engine.ended(job).version == place + 1)
            }
        }
    }

    @Test func rowsWithoutIdsThatAreAddedToOthersAreNoted() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            let rows = [TestRow("a", [1, 2, 3, 4, 5, 6, 7, 8]), TestRow("b", [1, 2, 3, 4, 5, 6, 7, 9], id: "b")]
            let first = try await engine.ended(engine.submit(TestRow.ndjson(rows), into: "d"))
            #expect(first.report?.notes == [])
            let second = try await engine.ended(engine.submit(TestRow.ndjson(rows), into: "d"))
            #expect(second.counts.accepted == 1)
            #expect(second.counts.duplicate == 1)
            #expect(
                second.report?.notes.first?.hasPrefix("1 rows have no id: they were added beside the 2 entries") == true
            )
        }
    }

    // MARK: Cancelling

    @Test func aRunningImportIsCancelledAndLeavesNothing() async throws {
        let harness = try EngineHarness()
        try await HashingEncoder.with { encoder in
            try await harness.run(Self.configuration(harness, encoder)) { engine in
                try await engine.create("d", dim: HashingEncoder.dim, encoder: Self.encoder)
                _ = try await engine.ended(engine.submit(Self.captions(5), into: "d"))
                encoder.hold(after: 300)
                let job = try await engine.submit(Self.captions(1000, from: 5), into: "d")
                let waiting = try await engine.submit(Self.captions(5, from: 2000), into: "d")
                try await Self.wait(for: 5 + 256, encoder)
                #expect(try await engine.cancelJob(waiting.id).state == .cancelled)
                #expect(try await engine.cancelJob(job.id).cancelRequested)
                let done = try await engine.ended(job)
                #expect(done.state == .cancelled)
                #expect(done.error == nil)
                let datastore = try await engine.datastore("d")
                #expect(datastore.entries == 5)
                #expect(datastore.latestVersion == 1)
                #expect(datastore.pendingChanges == 0)
                await expectError(.jobEnded) { try await engine.cancelJob(job.id) }
                await expectError(.unknownJob) { try await engine.cancelJob("none") }
                // The datastore goes on as if nothing had been.
                encoder.resume()
                let next = try await engine.ended(engine.submit(Self.captions(5, from: 5), into: "d"))
                #expect(next.version == 2)
                #expect(next.counts.accepted == 5)
            }
        }
    }

    @Test func aCancelledImportStaysCancelledOverARestart() async throws {
        let harness = try EngineHarness()
        try await HashingEncoder.with { encoder in
            let configuration = try Self.configuration(harness, encoder)
            encoder.hold(after: 300)
            let job = try await harness.run(configuration) { engine in
                try await engine.create("d", dim: HashingEncoder.dim, encoder: Self.encoder)
                let job = try await engine.submit(Self.captions(1000), into: "d")
                try await Self.wait(for: 256, encoder)
                return job
            }
            let catalog = try Catalog(harness.directory.catalog)
            try catalog.start(job: job.id, phase: .reading, at: Date())
            _ = try catalog.cancel(job: job.id, at: Date())
            try catalog.close()
            encoder.resume()
            try await harness.run(configuration) { engine in
                let recovery = try await engine.status().recovery
                #expect(recovery.contains("cancelled job \(job.id) on d, as it was asked before"))
                #expect(try await engine.job(job.id).state == .cancelled)
                #expect(try await engine.datastore("d").pendingChanges == 0)
            }
        }
    }

    // MARK: The same request twice

    @Test func theSameImportUnderOneKeyIsDoneOnce() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            let rows = harness.sources.appending(path: "rows.ndjson")
            try TestRow.ndjson(TestRow.several(5, seed: 1)).write(to: rows)
            let request = ImportRequest(rowsPath: rows.path)
            let first = try await engine.submitImport(request, into: "d", by: "ann", idempotencyKey: "k")
            #expect(first.submittedBy == "ann")
            _ = try await engine.ended(first)
            #expect(try await engine.submitImport(request, into: "d", idempotencyKey: "k").id == first.id)
            #expect(try await engine.jobs(datastore: "d", state: nil, .init()).count == 1)
            let other = ImportRequest(rowsPath: rows.path, options: ImportOptions(build: false))
            await expectError(.idempotencyConflict) {
                try await engine.submitImport(other, into: "d", idempotencyKey: "k")
            }
            await expectError(.invalidValue) {
                try await engine.submitImport(request, into: "d", idempotencyKey: "a b")
            }
        }
    }

    @Test func theSameUploadUnderOneKeyIsOneImport() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            func upload(_ rows: Data, key: String) async throws -> JobInfo {
                let job = CapstanEngine.newJobID()
                let file = try await engine.stageUpload(job: job, datastore: "d").appending(path: "rows")
                try rows.write(to: file)
                return try await engine.submitUpload(
                    job: job, datastore: "d", rows: file, vectors: [:], digests: [FileDigest.of(file).sha256],
                    options: ImportOptions(), idempotencyKey: key)
            }
            let rows = try TestRow.ndjson(TestRow.several(5, seed: 1))
            let first = try await upload(rows, key: "k")
            let second = try await upload(rows, key: "k")
            #expect(second.id == first.id)
            #expect(try await engine.ended(first).counts.accepted == 5)
            #expect(try await engine.jobs(datastore: "d", state: nil, .init()).count == 1)
            // The job clears away its own files a moment after it has ended.
            while try !FileManager.default.contentsOfDirectory(atPath: harness.directory.staging.path).isEmpty {
                try await Task.sleep(for: .milliseconds(2))
            }
        }
    }

    // MARK: Without effect

    @Test func aDryRunSaysWhatWouldHappenAndChangesNothing() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            let rows = TestRow.several(10, seed: 1)
            try await engine.importRows(Array(rows[..<4]), into: "d")
            var second = rows
            second[0].text = "another"
            second.append(TestRow("", rows[0].vector))
            // The first import forgets its pending changes a moment after it has ended.
            let pending = harness.directory.datastore("d").appending(path: "pending").path
            while try !FileManager.default.contentsOfDirectory(atPath: pending).isEmpty {
                try await Task.sleep(for: .milliseconds(2))
            }
            let before = try FileManager.default.subpathsOfDirectory(
                atPath: harness.directory.datastore("d").path
            ).filter { !$0.hasPrefix("rejects") }.sorted()
            let job = try await engine.ended(
                engine.submit(TestRow.ndjson(second), into: "d", options: ImportOptions(dryRun: true)))
            #expect(job.state == .succeeded, "\(job)")
            #expect(job.version == nil)
            #expect(job.counts.seen == 11)
            #expect(job.counts.accepted == 6)
            #expect(job.counts.replaced == 1)
            #expect(job.counts.duplicate == 3)
            #expect(job.rejectedByCode == ["missing_text": 1])
            let report = try #require(job.report)
            #expect(report.dryRun)
            #expect(report.format == .ndjson)
            #expect(report.vectors == .rows)
            #expect(report.dim == 8)
            #expect(report.entries == 10)
            #expect(report.indexPlan == "exact")
            #expect(try #require(report.diskBytes) > 10 * 8 * 4)
            let after = try FileManager.default.subpathsOfDirectory(
                atPath: harness.directory.datastore("d").path
            ).filter { !$0.hasPrefix("rejects") }.sorted()
            #expect(after == before)
            let datastore = try await engine.datastore("d")
            #expect(datastore.entries == 4)
            #expect(datastore.pendingChanges == 0)
        }
    }

    @Test func aDryRunAsksTheEncoderOnce() async throws {
        let harness = try EngineHarness()
        try await HashingEncoder.with { encoder in
            try await harness.run(Self.configuration(harness, encoder)) { engine in
                try await engine.create("d", dim: HashingEncoder.dim, encoder: Self.encoder)
                let job = try await engine.ended(
                    engine.submit(Self.captions(1000), into: "d", options: ImportOptions(dryRun: true)))
                #expect(job.counts.accepted == 1000)
                #expect(job.report?.vectors == .encoder)
                #expect(encoder.texts.count == 1)
                #expect(try await engine.datastore("d").keys.first?.encoder?.revision == nil)
            }
        }
    }

    // MARK: Filters

    @Test func eachFilterHasItsCountAndItsCode() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            let vector: [Float] = [1, 2, 3, 4, 5, 6, 7, 8]
            let rows = [
                TestRow("a dog on a beach", vector, imageID: "1"),
                TestRow("one two three four five six seven", vector, imageID: "1"),
                TestRow("a, b, c, d, e, f", vector, imageID: "2"),
                TestRow("x", vector, imageID: "3"),
                TestRow("ein Hund am Strand", vector, imageID: "1", more: ["lang": .string("de")]),
                TestRow("a dog on a beach", vector, imageID: "1"),
                TestRow("a dog on a beach", vector, imageID: "2"),
                TestRow("a dog in the park", vector, imageID: "4", more: ["lang": .string("en-GB")]),
            ]
            let options = ImportOptions(
                filters: ImportFilters(
                    maxWords: 6, maxTokens: 12, minLetters: 2, languages: ["en"], dropDuplicates: true))
            let job = try await engine.ended(engine.submit(TestRow.ndjson(rows), into: "d", options: options))
            #expect(job.state == .succeeded, "\(job)")
            #expect(job.counts.accepted == 3)
            #expect(
                job.rejectedByCode == [
                    "too_many_words": 1, "too_many_tokens": 1, "too_few_letters": 1, "language_not_wanted": 1,
                    "duplicate_caption": 1,
                ])
            #expect(job.counts.rejected == job.rejectedByCode.values.reduce(0, +))
        }
    }
}
