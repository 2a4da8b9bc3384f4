import DatastoreCore
import Foundation
import RetrievalEngine
import TestSupport
import Testing

/// Whatever happened to a file on its way here: an import of it ends, counts every row, says where it is wrong, and
/// never leaves half a version.
struct DamagedSourceTests {
    private static let places = 50

    /// Cuts `bytes` off at a random place, or changes one to three of them.
    private static func damage(_ bytes: [UInt8], _ turn: Int, _ random: inout SeededGenerator) -> [UInt8] {
        var damaged = bytes
        if turn.isMultiple(of: 2) {
            damaged.removeLast(Int.random(in: 1...bytes.count, using: &random))
        } else {
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                damaged[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
        }
        return damaged
    }

    /// Imports a file and checks what must hold however it ends.
    private static func importing(
        _ rows: Data, vectors: Data? = nil, _ options: ImportOptions, _ engine: CapstanEngine, _ comment: Comment
    ) async throws {
        let before = try await engine.datastore("d")
        let job = try await engine.ended(engine.submit(rows, vectors: vectors, into: "d", options: options))
        let after = try await engine.datastore("d")
        let counts = job.counts
        #expect(
            counts.seen == counts.accepted + counts.replaced + counts.duplicate + counts.rejected, comment)
        #expect(job.rejectedByCode.values.reduce(0, +) == counts.rejected, comment)
        #expect(after.pendingChanges == 0, comment)
        if job.state == .succeeded {
            #expect(after.entries == before.entries + counts.accepted, comment)
            #expect(after.latestVersion == (job.version ?? before.latestVersion), comment)
        } else {
            #expect(job.state == .failed, comment)
            #expect(after == before, comment)
            let error = try #require(job.error, comment)
            #expect(ErrorCode(rawValue: error.code) != nil, comment)
            // The file, or the rows whose places the rejects say.
            #expect(
                error.detail.contains(".ndjson") || error.detail.contains(".npy") || error.detail.contains("rows"),
                comment)
            if error.code == ErrorCode.invalidJSON.rawValue {
                #expect(error.detail.contains("byte ") && error.detail.contains("line "), "\(comment) \(error.detail)")
            }
        }
        let file = try await engine.rejects(ofJob: job.id)
        let rejects = try file.map { try String(contentsOf: $0, encoding: .utf8).split(separator: "\n") } ?? []
        #expect(rejects.count == counts.rejected, comment)
        for line in rejects {
            let row = try WireJSON.decode(RejectedRow.self, from: Data(line.utf8))
            #expect(
                row.row >= 1 && row.line >= 1 && row.byte >= 0 && row.byte < rows.count && !row.detail.isEmpty, comment)
        }
    }

    @Test(arguments: FormSamples.formats)
    func aDamagedFileOfRowsIsCountedAndNeverHalfPublished(format: ImportFormat) async throws {
        let sample = Array(try #require(FormSamples.all[format]).utf8)
        let harness = try EngineHarness()
        try await HashingEncoder.with { encoder in
            var configuration = harness.configuration
            configuration.encoders = [try EncoderEndpoint(argument: "words=\(encoder.url)", apiKey: nil)]
            try await harness.run(configuration) { engine in
                try await engine.create(
                    "d", dim: HashingEncoder.dim, encoder: Encoder(model: HashingEncoder.model, endpoint: "words"))
                var random = SeededGenerator(seed: 50)
                for turn in 0..<Self.places {
                    let options = ImportOptions(format: turn % 3 == 0 ? .auto : format)
                    let damaged = Self.damage(sample, turn, &random)
                    try await Self.importing(Data(damaged), options, engine, "\(format.rawValue), turn \(turn)")
                }
            }
        }
    }

    @Test func damagedVectorsAreNeverHalfPublished() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            let rows = TestRow.several(20, seed: 3)
            let text = try TestRow.ndjson(rows, withVectors: false)
            let npy = [UInt8](Vectors(values: rows.flatMap(\.vector), dim: 8).npy())
            var random = SeededGenerator(seed: 51)
            for turn in 0..<Self.places {
                let damaged = Self.damage(npy, turn, &random)
                try await Self.importing(
                    text, vectors: Data(damaged), ImportOptions(), engine, "vectors, turn \(turn)")
            }
        }
    }
}
