import DatastoreCore
import DatastoreStorage
import Foundation
import RetrievalEngine
import TestSupport
import Testing

/// What changed between two versions, and whether one is whole.
struct ComparingTests {
    private static let rows = TestRow.several(60, seed: 700)

    @Test func addedReplacedAndRemovedEntriesAreCountedAndShown() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Array(Self.rows[0..<50]), into: "d")
            var text = Self.rows[3]
            text.text = "another text"
            var vector = Self.rows[7]
            vector.vector[2] += 1e-6
            var both = Self.rows[9]
            both.imageID = "another image"
            both.vector[0] = 5
            try await engine.importRows([text, vector, both] + Self.rows[50..<60], into: "d")

            let diff = try await engine.compare("d", from: "1", to: "latest", samples: 2)
            #expect((diff.from, diff.to) == (1, 2))
            #expect((diff.added, diff.removed, diff.replaced, diff.unchanged) == (10, 0, 3, 47))
            #expect(diff.samples.added.map(\.text) == ["caption 50", "caption 51"])
            #expect(diff.samples.replaced.map(\.externalID) == ["caption-3", "caption-7"])
            #expect(diff.samples.replaced.map(\.fields) == [["text"], []])
            #expect(diff.samples.replaced.map(\.keys) == [[], ["text"]])
            #expect(diff.samples.replaced[0].before == "caption 3" && diff.samples.replaced[0].after == "another text")

            // The way back has what came as gone.
            let back = try await engine.compare("d", from: "2", to: "1", samples: 100)
            #expect((back.added, back.removed, back.replaced, back.unchanged) == (0, 10, 3, 47))
            #expect(back.samples.replaced[2].fields == ["image_id"] && back.samples.replaced[2].keys == ["text"])
            let same = try await engine.compare("d", from: "2", to: "2", samples: 5)
            #expect((same.added, same.removed, same.replaced, same.unchanged) == (0, 0, 0, 60))

            // A build of nothing new holds the same.
            try await engine.build("d")
            let anew = try await engine.compare("d", from: "2", to: "3", samples: 5)
            #expect((anew.added, anew.removed, anew.replaced, anew.unchanged) == (0, 0, 0, 60))
            await expectError(.unknownVersion) { try await engine.compare("d", from: "1", to: "9", samples: 5) }
        }
    }

    @Test func oneDifferenceInManyEntriesIsFound() async throws {
        let harness = try EngineHarness()
        // More than a chunk, with differences at both ends and around a border.
        let rows = TestRow.several(20_000, seed: 701)
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(rows, into: "d")
            let changed = [0, 8191, 8192, 16383, 19_999].map { position in
                var row = rows[position]
                row.text += " again"
                return row
            }
            try await engine.importRows(changed, into: "d")
            let clock = ContinuousClock()
            let start = clock.now
            let diff = try await engine.compare("d", from: "1", to: "2", samples: 10)
            print("compared 20000 entries in \(clock.now - start)")
            #expect((diff.added, diff.removed, diff.replaced, diff.unchanged) == (0, 0, 5, 19_995))
            #expect(diff.samples.replaced.map(\.after) == changed.map(\.text))
        }
    }

    @Test func aVersionThatIsWholeIsFoundSo() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Self.rows, into: "d")
            let job = try await engine.ended(engine.submitVerification(of: VersionID(datastore: "d", number: 1)))
            #expect(job.state == .succeeded && job.kind == .verify, "\(job)")
            let report = try #require(job.verifyReport)
            #expect(report.files >= 2 && report.bytes > 0 && report.entries == 60)
            #expect(report.sampled == 20 && report.foundThemselves == 20 && report.agreed == 20)
            #expect(job.version == nil)
        }
    }

    @Test func damageIsFoundWhileTheVersionAnswersAndMended() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Self.rows, into: "d")
            try await engine.bind("street", "d")
            let id = VersionID(datastore: "d", number: 1)
            let file = harness.directory.version(id).appending(path: "text.vectors")
            let sound = try Data(contentsOf: file)
            var data = sound
            data[data.count / 2] ^= 1
            // Another file of this name: what is open stays as it was.
            try FileManager.default.removeItem(at: file)
            try data.write(to: file)
            #expect(try await engine.ask("street", Self.rows[0].vector).results.isEmpty == false)

            let job = try await engine.ended(engine.submitVerification(of: id))
            #expect(job.state == .failed && job.error?.code == "version_damaged")
            #expect(job.error?.detail.contains("text.vectors") == true)
            #expect(try await engine.version(id).state == .damaged)
            await expectError(.versionDamaged) { try await engine.ask("street", Self.rows[0].vector) }

            try FileManager.default.removeItem(at: file)
            try sound.write(to: file)
            let mended = try await engine.ended(engine.submitVerification(of: id))
            #expect(mended.state == .succeeded, "\(mended)")
            #expect(try await engine.version(id).state == .ready)
            #expect(try await engine.ask("street", Self.rows[0].vector).results.count == 4)
        }
    }
}
