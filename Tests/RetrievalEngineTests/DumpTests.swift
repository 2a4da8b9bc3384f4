import DatastoreCore
import DatastoreStorage
import Foundation
import TestSupport
import Testing

@testable import RetrievalEngine

/// Dumps of a whole split: equal to single questions, of one revision, and going on after an interruption.
struct DumpTests {
    private static let rows = TestRow.several(400, seed: 21)
    private static let queries = Vectors(clustered: 1200, dim: 8, seed: 22)
    private static let images = (0..<1200).map { "caption-image-\($0)" }

    private static func submit(
        _ engine: CapstanEngine, options: DumpOptions, ids: [String] = images, queries: Vectors = queries
    ) async throws -> JobInfo {
        let job = CapstanEngine.newJobID()
        let folder = try await engine.stageDump(job: job, of: "street")
        let (vectors, names) = (folder.appending(path: "queries"), folder.appending(path: "ids"))
        try Data(queries.npy()).write(to: vectors)
        try WireJSON.encode(ids).write(to: names)
        return try await engine.submitDump(job: job, of: "street", queries: vectors, ids: names, options: options)
    }

    private static func captions(_ engine: CapstanEngine, _ job: JobInfo) async throws -> [String: [String]] {
        try WireJSON.decode([String: [String]].self, from: Data(contentsOf: await engine.output(ofJob: job.id)))
    }

    @Test func aDumpEqualsSingleQuestionsOfTheRevisionItBeganWith() async throws {
        let harness = try EngineHarness()
        let options = DumpOptions(
            k: 5, select: Selection(method: .topAndSample, from: 12, order: .permute, seed: 77))
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Self.rows, into: "d")
            try await engine.bind("street", "d", defaults: QueryDefaults(dedupe: .text))
            var expected: [String: [String]] = [:]
            for (index, image) in Self.images.enumerated() {
                expected[image] = try await engine.ask(
                    "street", Self.queries[index], options.question(index, imageID: image)
                ).results.map(\.text)
            }
            let job = try await Self.submit(engine, options: options)
            // The domain moves on at once.
            try await engine.importRows(TestRow.several(400, seed: 99, prefix: "other"), into: "d")
            let ended = try await engine.ended(job)
            #expect(ended.state == .succeeded, "\(String(describing: ended.error))")
            #expect(ended.dumpReport == DumpReport(revision: 1, images: 1200, short: 0))
            #expect(ended.domain == "street")
            #expect(try await Self.captions(engine, ended) == expected)
        }
    }

    @Test func aDumpGoesOnWhereItWasInterrupted() async throws {
        let harness = try EngineHarness()
        var configuration = harness.configuration
        configuration.shutdownGrace = .zero
        var job: JobInfo?
        try await harness.run(configuration) { engine in
            try await engine.create("d")
            try await engine.importRows(Self.rows, into: "d")
            try await engine.bind("street", "d")
            let submitted = try await Self.submit(engine, options: DumpOptions(k: 3))
            while try await engine.job(submitted.id).dumpReport == nil { try await Task.sleep(for: .milliseconds(1)) }
            job = submitted
        }
        let interrupted = try #require(job)
        try await harness.run { engine in
            let ended = try await engine.ended(interrupted)
            #expect(ended.state == .succeeded, "\(String(describing: ended.error))")
            let captions = try await Self.captions(engine, ended)
            #expect(captions.count == 1200)
            for index in stride(from: 0, to: 1200, by: 7) {
                let options = DumpOptions(k: 3).question(index, imageID: Self.images[index])
                let single = try await engine.ask("street", Self.queries[index], options)
                #expect(captions[Self.images[index]] == single.results.map(\.text))
            }
        }
    }

    @Test func aDumpThatMeansNothingFailsWithTheReason() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Self.rows, into: "d")
            try await engine.bind("street", "d")
            let few = Vectors(clustered: 3, dim: 8, seed: 1)
            let cases: [([String], Vectors, String)] = [
                (["a", "b"], few, "rows_vectors_mismatch"), (["a", "b", "a"], few, "invalid_value"),
                (["a", "b", "c"], Vectors(clustered: 3, dim: 4, seed: 1), "vector_dim_mismatch"),
            ]
            for (ids, queries, code) in cases {
                let job = try await engine.ended(
                    Self.submit(engine, options: DumpOptions(), ids: ids, queries: queries))
                #expect(job.state == .failed)
                #expect(job.error?.code == code)
                await expectError(.noOutput) { try await engine.output(ofJob: job.id) }
            }
            await expectError(.unknownDomain) { try await engine.stageDump(job: "x", of: "nothing") }
            await expectError(.kOutOfRange) { try await Self.submit(engine, options: DumpOptions(k: 0)) }
        }
    }
}
