import DatastoreCore
import DatastoreStorage
import Foundation
import GRDB
import Migrations
import TestSupport
import Testing

/// Changes that wait: durable, all of a job or none, each id given once.
struct PendingChangesTests {
    private let folder: TemporaryDirectory
    private let pending: PendingChanges

    init() throws {
        folder = try TemporaryDirectory()
        pending = try PendingChanges(folder.file("pending.sqlite"))
    }

    private func change(
        _ text: String, id: Int64 = 0, externalID: String? = nil, vector: [Float] = [1, 2], isHalf: Bool = false
    ) -> PendingEntry {
        PendingEntry(
            entry: Entry(id: id, fields: EntryFields(externalID: externalID, text: text)), vector: vector,
            isHalfPrecision: isHalf)
    }

    private func put(_ changes: [PendingEntry], job: String, in pending: PendingChanges? = nil) throws {
        let pending = pending ?? self.pending
        try pending.begin(job: job)
        try pending.stage(changes, job: job)
        try pending.commit(job: job)
    }

    private func entries(through sequence: Int64? = nil, of pending: PendingChanges? = nil) throws -> [PendingEntry] {
        let pending = pending ?? self.pending
        var found: [PendingEntry] = []
        try pending.forEachEntry(through: try sequence ?? pending.lastSequence()) { found.append($0) }
        return found
    }

    @Test func aFirstImportIsOneRunUntilSomethingElseComesBesideIt() throws {
        try pending.begin(job: "one")
        for part in 0..<3 {
            try pending.stage(
                (0..<4).map { change("\(part) \($0)", vector: [Float(part), Float($0)], isHalf: true) }, job: "one")
        }
        #expect(try pending.run(through: .max) == nil)
        try pending.commit(job: "one")
        let run = try #require(try pending.run(through: pending.lastSequence()))
        #expect(run.ids == 1...12)
        #expect(run.dim == 2)
        #expect(run.isHalfPrecision)
        #expect(run.offset == 64)
        #expect(try pending.run(through: 5)?.ids == 1...5)
        // A backup has the file: it is not written to.
        let file = folder.url.appending(path: "pending/one.vectors")
        #expect(try pending.link(run, to: folder.file("first")))
        #expect(try pending.link(run, to: folder.file("second")) == false)
        try FileManager.default.removeItem(at: folder.file("first"))
        #expect(try pending.link(run, to: folder.file("second")))
        #expect(try Data(contentsOf: folder.file("second")) == Data(contentsOf: file))

        try put([change("beside")], job: "two")
        #expect(try pending.run(through: pending.lastSequence()) == nil)
        try pending.discard(job: "two", evenCommitted: true)
        #expect(try pending.run(through: pending.lastSequence())?.ids == 1...12)
        try pending.delete([.deletion(of: 3, externalID: nil)], job: "three")
        #expect(try pending.run(through: pending.lastSequence()) == nil)
    }

    @Test func changesOfOtherVectorsOrOrderAreNoRun() throws {
        try put([change("a", isHalf: true), change("b", isHalf: false)], job: "mixed")
        #expect(try pending.run(through: .max) == nil)
        try pending.discard(job: "mixed", evenCommitted: true)
        try put([change("a", id: 9), change("b", id: 8)], job: "backwards")
        #expect(try pending.run(through: .max) == nil)
        try pending.discard(job: "backwards", evenCommitted: true)
        try put([change("a", id: 8), change("b", id: 10)], job: "gap")
        #expect(try pending.run(through: .max) == nil)
    }

    @Test func whatIsNotCommittedDoesNotCount() throws {
        try pending.begin(job: "one")
        try pending.stage([change("a", externalID: "x"), change("b")], job: "one")
        #expect(try pending.count() == 0)
        #expect(try pending.lastSequence() == 0)
        #expect(try entries(through: .max).isEmpty)
        #expect(try pending.entries(externalIDs: ["x"]).isEmpty)
        #expect(try pending.isCommitted(job: "one") == false)
        #expect(try pending.uncommittedJobs() == ["one"])

        try pending.stage([change("c")], job: "one")
        try pending.commit(job: "one")
        #expect(try pending.count() == 3)
        #expect(try entries().map(\.entry.fields.text) == ["a", "b", "c"])
        #expect(try entries().map(\.entry.id) == [1, 2, 3])
        #expect(try pending.entries(externalIDs: ["x", "y"]).mapValues(\.entry.id) == ["x": 1])
        #expect(try pending.isCommitted(job: "one"))
        #expect(try pending.uncommittedJobs() == [])
        #expect(try pending.isCommitted(job: "another") == false)
    }

    @Test func whatIsDiscardedIsGoneAndWhatIsCommittedStays() throws {
        try put([change("kept")], job: "committed")
        try pending.begin(job: "torn")
        try pending.stage([change("lost")], job: "torn")
        for job in ["torn", "committed", "unknown"] { try pending.discard(job: job) }
        #expect(try entries().map(\.entry.fields.text) == ["kept"])
        #expect(try pending.isCommitted(job: "committed"))
        #expect(try pending.uncommittedJobs() == [])
        // The job can begin again.
        try put([change("again")], job: "torn")
        #expect(try entries().map(\.entry.id) == [1, 3])
    }

    @Test func idsAreNeverGivenAgain() throws {
        try put([change("a"), change("b")], job: "one")
        try pending.begin(job: "two")
        try pending.stage([change("c"), change("d"), change("e")], job: "two")
        try pending.discard(job: "two")
        try put([change("f")], job: "three")
        #expect(try entries().map(\.entry.id) == [1, 2, 6])
        try pending.consume(through: pending.lastSequence())
        #expect(try pending.count() == 0)
        try put([change("g"), change("changed", id: 2), change("h")], job: "four")
        #expect(try entries().map(\.entry.id) == [2, 7, 8])
        try pending.consume(through: pending.lastSequence())
        try pending.close()
        let again = try PendingChanges(folder.file("pending.sqlite"))
        try put([change("i")], job: "five", in: again)
        #expect(try entries(of: again).map(\.entry.id) == [9])
        try again.close()
    }

    @Test func theLastChangeOfAnEntryWins() throws {
        try put([change("first", externalID: "x"), change("other", externalID: "y")], job: "one")
        try put([change("second", id: 1, externalID: "x", vector: [3, 4])], job: "two")
        try put([change("third", id: 1, externalID: "x", vector: [5, 6]), change("new")], job: "three")
        #expect(try pending.count() == 5)
        let all = try entries()
        #expect(all.map(\.entry.id) == [1, 2, 3])
        #expect(all.map(\.entry.fields.text) == ["third", "other", "new"])
        #expect(all[0].vector == [5, 6])
        let found = try pending.entries(externalIDs: ["x", "y"])
        #expect(found.mapValues(\.entry.fields.text) == ["x": "third", "y": "other"])
        // As of an earlier change, the earlier one.
        #expect(try entries(through: 3).map(\.entry.fields.text) == ["second", "other"])
        #expect(try entries(through: 2).map(\.entry.fields.text) == ["first", "other"])
        #expect(try entries(through: 0).isEmpty)
    }

    @Test func anUncommittedChangeDoesNotHideTheCommittedOne() throws {
        try put([change("committed", externalID: "x")], job: "one")
        try pending.begin(job: "two")
        try pending.stage([change("torn", id: 1, externalID: "x")], job: "two")
        #expect(try entries(through: .max).map(\.entry.fields.text) == ["committed"])
        #expect(try pending.entries(externalIDs: ["x"])["x"]?.entry.fields.text == "committed")
        #expect(try pending.lastSequence() == 1)
    }

    @Test func consumingLeavesWhatCameLaterAndWhatIsNotCommitted() throws {
        try put([change("a"), change("b")], job: "one")
        let through = try pending.lastSequence()
        try pending.begin(job: "open")
        try pending.stage([change("open")], job: "open")
        try put([change("c", id: 1), change("d")], job: "two")
        try pending.consume(through: through)
        #expect(try entries().map(\.entry.fields.text) == ["c", "d"])
        #expect(try pending.count() == 2)
        #expect(try pending.isCommitted(job: "two"))
        #expect(try pending.uncommittedJobs() == ["open"])
        // Everything up to the last: the one that is open stays, whatever its number.
        try pending.consume(through: .max)
        #expect(try pending.count() == 0)
        try pending.commit(job: "open")
        #expect(try entries().map(\.entry.fields.text) == ["open"])
        // And once more changes nothing.
        try pending.consume(through: through)
        #expect(try pending.count() == 1)
    }

    @Test func sequencesGoOnAfterAllWasConsumed() throws {
        try put([change("a"), change("b")], job: "one")
        let last = try pending.lastSequence()
        try pending.consume(through: last)
        #expect(try pending.lastSequence() == 0)
        try put([change("c")], job: "two")
        #expect(try pending.lastSequence() > last)
        // What a version consumed before does not take this one.
        try pending.consume(through: last)
        #expect(try entries().map(\.entry.fields.text) == ["c"])
    }

    @Test func vectorsComeBackExactly() throws {
        let halves: [Float] = [
            0, -0.0, 1, -2, 65504, -65504, 0x1p-24, 0x1.ff8p-15, 0x1p-14, Float(Float16(0.1)), Float(Float16.pi),
        ]
        let floats: [Float] = [
            0, -0.0, .pi, 1e-20, 1e18, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 0.1, -1 / 3, 1, 2,
        ]
        try put([change("half", vector: halves, isHalf: true), change("full", vector: floats)], job: "one")
        let found = try entries()
        #expect(found[0].vector.map(\.bitPattern) == halves.map(\.bitPattern))
        #expect(found[0].vectors[0].isHalfPrecision)
        #expect(found[1].vector.map(\.bitPattern) == floats.map(\.bitPattern))
        #expect(!found[1].vectors[0].isHalfPrecision)
    }

    @Test func layoutsTellWhichChangesAreHalf() throws {
        func halves(through sequence: Int64) throws -> Set<Bool> {
            Set(
                try pending.layouts(through: sequence).map { layout in
                    if case .dense(_, half: true) = layout.parts.first { true } else { false }
                })
        }
        #expect(try halves(through: Int64.max).isEmpty)
        try put([change("a", isHalf: true)], job: "one")
        let half = try pending.lastSequence()
        #expect(try halves(through: half) == [true])
        try put([change("b", isHalf: false)], job: "two")
        #expect(try halves(through: half) == [true])
        #expect(try halves(through: pending.lastSequence()) == [true, false])
        try pending.consume(through: pending.lastSequence())
        #expect(try halves(through: Int64.max).isEmpty)
    }

    @Test func vectorsOfSeveralKeysComeBackExactly() throws {
        let sparse = try SparseVector(indices: [0, 7, 1 << 24 - 1], values: [0.5, -1e-30, 3])
        let vectors = [
            PendingVector(.dense([1, -2, 65504]), isHalfPrecision: true),
            PendingVector(.sparse(sparse), isHalfPrecision: false),
            PendingVector(.dense([.pi, 1e-20]), isHalfPrecision: false),
            PendingVector(.sparse(.empty), isHalfPrecision: false),
        ]
        let entry = PendingEntry(entry: Entry(id: 0, fields: EntryFields(externalID: "a", text: "a")), vectors: vectors)
        try put([entry, entry], job: "one")
        for found in try entries() { #expect(found.vectors == vectors) }
        #expect(try pending.layouts(through: .max) == [PendingLayout(vectors)])
    }

    @Test func anExternalIDThatAnotherBatchTookMeanwhileKeepsItsEntry() throws {
        try pending.begin(job: "long")
        try pending.stage([change("of the long one", externalID: "x")], job: "long")
        try put([change("of the short one", externalID: "x")], job: "short")
        let id = try pending.entries(externalIDs: ["x"])["x"]?.entry.id
        try pending.commit(job: "long")
        let found = try entries()
        #expect(found.map(\.entry.id) == [id])
        // What was written later counts, whenever its batch was committed.
        #expect(found.map(\.entry.fields.text) == ["of the short one"])
    }

    @Test func everyFieldComesBack() throws {
        let fields = EntryFields(
            externalID: "id/ü", text: "ein Pferd 🐎 \u{301}\n\"quoted\"", imageID: "42", origin: .synthetic, lang: "de",
            source: "'; DROP TABLE changes; --",
            payload: .object([
                "integer": .integer(.max), "number": .number(0.1), "null": .null, "": .bool(false),
                "nested": .array([.object(["x": .string("\u{0}y")]), .array([])]),
            ]))
        let entry = PendingEntry(entry: Entry(id: 0, fields: fields), vector: [1], isHalfPrecision: false)
        try put([entry], job: "one")
        #expect(try entries().map(\.entry) == [Entry(id: 1, fields: fields)])
        #expect(try pending.entries(externalIDs: ["id/ü"])["id/ü"]?.entry.fields == fields)
    }

    @Test func openingAgainKeepsWhatWasCommittedAndWhatWasNot() throws {
        try put([change("a", externalID: "x")], job: "one")
        try pending.begin(job: "torn")
        try pending.stage([change("b")], job: "torn")
        try pending.close()
        let again = try PendingChanges(folder.file("pending.sqlite"))
        #expect(try entries(of: again).map(\.entry.fields.text) == ["a"])
        #expect(try again.isCommitted(job: "one"))
        #expect(try again.uncommittedJobs() == ["torn"])
        try again.close()
    }

    @Test func numbersGoOnAfterThoseOfAVersion() throws {
        try pending.goOn(afterID: 41, sequence: 99)
        try put([change("a")], job: "one")
        #expect(try entries().map(\.entry.id) == [42])
        #expect(try pending.lastSequence() == 100)
        // What is behind already changes nothing.
        try pending.goOn(afterID: 7, sequence: 3)
        try put([change("b")], job: "two")
        #expect(try entries().map(\.entry.id) == [42, 43])
        #expect(try pending.lastSequence() == 101)
    }

    @Test func whatIsAcknowledgedIsOnDisk() throws {
        #expect(try pending.syncsEveryCommit())
        let catalog = try Catalog(folder.file("catalog.sqlite"))
        #expect(try catalog.syncsEveryCommit())
        try catalog.close()
    }

    @Test func aFileOfANewerReleaseIsRefused() throws {
        try pending.close()
        let url = folder.file("pending.sqlite")
        let queue = try DatabaseQueue(path: url.path)
        try queue.write { try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('0099_later')") }
        try queue.close()
        let error = expectError(.newerFormat) { try PendingChanges(url) }
        #expect(error?.detail.contains("pending.sqlite") == true)
    }

    private static func position(_ rows: Int) -> ImportPosition {
        var position = ImportPosition()
        position.rows = rows
        position.tally.reject(.missingText)
        position.rejectBytes = 17
        position.encoderRevision = "r1"
        position.sources = [SourceStamp(name: "rows", bytes: 5, modifiedAt: 6, changedAt: 7, inode: 8)]
        return position
    }

    @Test func anInterruptedBatchGoesOnWhereItWasStaged() throws {
        #expect(try pending.begin(job: "one") == nil)
        try pending.stage([change("a")], job: "one", position: Self.position(1))
        try pending.stage([change("b"), change("c")], job: "one", position: Self.position(4))
        try pending.close()
        let again = try PendingChanges(folder.file("pending.sqlite"))
        #expect(try again.begin(job: "one") == Self.position(4))
        try again.stage([change("d")], job: "one", position: Self.position(5))
        try again.commit(job: "one")
        #expect(try entries(of: again).map(\.entry.fields.text) == ["a", "b", "c", "d"])
        #expect(try entries(of: again).map(\.entry.id) == [1, 2, 3, 4])
        try again.close()
    }

    @Test func aBatchThatDoesNotSayHowFarItIsBeginsAnew() throws {
        try pending.begin(job: "one")
        try pending.stage([change("a")], job: "one")
        #expect(try pending.begin(job: "one") == nil)
        try pending.stage([change("b")], job: "one")
        try pending.commit(job: "one")
        #expect(try entries().map(\.entry.fields.text) == ["b"])
    }

    private var vectorFiles: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: folder.file("pending").path).sorted() }
    }

    @Test func filesOfVectorsGoWithTheirChanges() throws {
        try put([change("a")], job: "one")
        try put([change("b"), change("c", vector: [3, 4])], job: "two")
        try pending.begin(job: "three")
        try pending.stage([change("d")], job: "three")
        #expect(try vectorFiles == ["one.vectors", "three.vectors", "two.vectors"])
        try pending.discard(job: "three")
        #expect(try vectorFiles == ["one.vectors", "two.vectors"])
        // Sequence 2 is the first of two: the file stays for the other.
        try pending.consume(through: 2)
        #expect(try vectorFiles == ["two.vectors"])
        #expect(try entries().map(\.vector) == [[3, 4]])
        try pending.consume(through: 3)
        #expect(try vectorFiles == [])
    }

    @Test func filesThatACrashLeftGoAtTheNextStart() throws {
        try put([change("a")], job: "one")
        try pending.close()
        _ = try folder.write("pending/gone.vectors", Data(count: 8))
        // Bytes behind those that the database knows: of a batch that never was.
        let handle = try FileHandle(forWritingTo: folder.file("pending/one.vectors"))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data(repeating: 0xFF, count: 12))
        try handle.close()
        let again = try PendingChanges(folder.file("pending.sqlite"))
        #expect(try vectorFiles == ["one.vectors"])
        #expect(try entries(of: again).map(\.vector) == [[1, 2]])
        try again.close()
    }

    @Test func aVectorThatIsNotThereIsAnErrorAndNotANumber() throws {
        try put([change("a"), change("b")], job: "one")
        try #require(truncate(folder.file("pending/one.vectors").path, 12) == 0)
        expectError(.storageFailed) { try entries() }
    }

    @Test func changesOfTheFirstReleaseAreRead() throws {
        let url = folder.file("first.sqlite")
        try firstRelease(Migration.pending, at: url) { database in
            let floats = [Float(1), 2].withUnsafeBytes { Data($0) }
            let halves = [Float16(3), 4].withUnsafeBytes { Data($0) }
            try database.execute(
                sql: """
                    INSERT INTO batches VALUES ('j', 1);
                    INSERT INTO changes (job_id, entry_id, text, vector, half_precision) VALUES ('j', 1, 'a', ?, 0);
                    INSERT INTO changes (job_id, entry_id, text, vector, half_precision) VALUES ('j', 2, 'b', ?, 1);
                    """, arguments: [floats, halves])
        }
        let first = try PendingChanges(url)
        #expect(try entries(of: first).map(\.vector) == [[1, 2], [3, 4]])
        #expect(try entries(of: first).map(\.vectors[0].isHalfPrecision) == [false, true])
        try first.close()
    }

    @Test func aCommittedBatchIsDroppedOnlyWhenAskedTo() throws {
        try put([change("a")], job: "one")
        try put([change("b")], job: "two")
        try pending.discard(job: "two")
        #expect(try pending.count() == 2)
        try pending.discard(job: "two", evenCommitted: true)
        #expect(try entries().map(\.entry.fields.text) == ["a"])
    }

    @Test func aJobStagesOnlyAfterItBegan() throws {
        try pending.begin(job: "one")
        #expect(throws: (any Error).self) { try pending.stage([change("a")], job: "none") }
        try pending.stage([], job: "one")
        try pending.commit(job: "one")
        #expect(try pending.count() == 0)
        // What failed gave no ids away.
        try put([change("b")], job: "two")
        #expect(try entries().map(\.entry.id) == [1])
    }

    @Test func readersDuringAStageSeeOnlyWhatIsCommitted() async throws {
        let pending = self.pending
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for job in 0..<20 {
                    try pending.begin(job: "job-\(job)")
                    for _ in 0..<5 {
                        try pending.stage((0..<10).map { self.change("\(job) \($0)") }, job: "job-\(job)")
                    }
                    try pending.commit(job: "job-\(job)")
                }
            }
            for _ in 0..<3 {
                group.addTask {
                    for _ in 0..<100 {
                        let count = try pending.count()
                        #expect(count % 50 == 0)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try pending.count() == 1000)
        #expect(try entries().map(\.entry.id) == Array(1...1000))
    }
}
