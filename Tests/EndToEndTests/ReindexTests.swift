import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// `capstan reindex`, as people and the nightly entry call it.
struct ReindexTests {
    private let directory: TemporaryDirectory

    /// A line of `--json`.
    private struct Line: Decodable {
        var datastore: String
        var outcome: String
        var version: Int?
        var entries: Int?
        var seconds: Double
        var job: String?
        var code: String?
    }

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func capstan(_ daemon: Daemon) -> CommandLineTool {
        CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
    }

    private func lines(_ outcome: CommandLineTool.Outcome) throws -> [Line] {
        try outcome.output.split(separator: "\n").map { try WireJSON.decode(Line.self, from: Data($0.utf8)) }
    }

    /// A datastore of two numbers a vector, with one pending entry.
    private func make(_ name: String, _ daemon: Daemon) async throws {
        try await daemon.client.createDatastore(
            CreateDatastoreRequest(name: name, kind: .captions, keys: [KeySpec(name: "text", dim: 2, metric: .cosine)]))
        try await add("a dog", to: name, daemon)
    }

    private func add(_ text: String, to name: String, _ daemon: Daemon) async throws {
        let changes = try await daemon.client.addEntry(
            json: Data(#"{"text": "\#(text)", "vector": [1, 0.5]}"#.utf8), to: name)
        #expect(changes.counts.accepted == 1)
    }

    @Test func allThatChangedIsBuiltAndTheRestIsLeft() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        for name in ["alpha", "beta", "gamma"] { try await make(name, daemon) }
        let first = try capstan(daemon).run("reindex", "alpha", "beta", "--json")
        #expect(first.exitCode == 0, "\(first)")
        #expect(try lines(first).map(\.outcome) == ["built", "built"])
        try await daemon.client.bind("street", to: "beta")
        try await add("a cat", to: "beta", daemon)

        let second = try capstan(daemon).run("reindex", "--all", "--if-changed", "--max-time", "15m", "--json")
        #expect(second.exitCode == 0, "\(second)")
        let seen = try lines(second)
        #expect(seen.map(\.datastore) == ["alpha", "beta", "gamma"])
        #expect(seen.map(\.outcome) == ["nothing_to_do", "built", "built"])
        #expect(seen.map(\.version) == [1, 2, 1])
        #expect(seen.map(\.entries) == [nil, 2, 1])
        #expect(seen[0].job == nil)
        // The domain has moved in one revision.
        #expect(try await daemon.client.domain("street").revision == 2)
        #expect(try await daemon.client.domain("street").datastores.map(\.version) == [2])

        // Without --if-changed it is built anew, and people see one line.
        let third = try capstan(daemon).run("reindex", "alpha")
        #expect(third.exitCode == 0)
        #expect(third.output.hasPrefix("alpha: version 2, 1 entries, in "), "\(third.output)")
        #expect(third.output.split(separator: "\n").count == 1)
        #expect(try await daemon.stop() == 0)
    }

    @Test func twoRunsAtOnceBuildOnce() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        try await make("alpha", daemon)
        let tool = capstan(daemon)
        let runs = try await withThrowingTaskGroup(of: CommandLineTool.Outcome.self) { group in
            for _ in 0..<4 { group.addTask { try tool.run("reindex", "--all", "--if-changed", "--json") } }
            var runs: [CommandLineTool.Outcome] = []
            for try await run in group { runs.append(run) }
            return runs
        }
        let outcomes = try runs.flatMap { try lines($0) }.map(\.outcome)
        #expect(outcomes.filter { $0 == "built" }.count == 1, "\(outcomes)")
        #expect(outcomes.allSatisfy { ["built", "busy", "nothing_to_do"].contains($0) }, "\(outcomes)")
        #expect(runs.allSatisfy { $0.exitCode == 0 || $0.exitCode == 5 })
        #expect(try await daemon.client.versions(of: "alpha").count == 1)
    }

    @Test func whatFailedSaysSoAndTheOthersAreStillDone() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        try await make("alpha", daemon)
        let run = try capstan(daemon).run("reindex", "nope", "alpha", "--json")
        #expect(run.exitCode == 1)
        #expect(try lines(run).map(\.outcome) == ["failed", "built"])
        #expect(try lines(run).first?.code == "unknown_datastore")
        #expect(try capstan(daemon).run("reindex").exitCode == 2)
        #expect(try capstan(daemon).run("reindex", "alpha", "--all").exitCode == 2)
        #expect(try capstan(daemon).run("reindex", "alpha", "--max-time", "3 hours").exitCode == 2)
        #expect(try await daemon.stop() == 0)
        let unreachable = try capstan(daemon).run("reindex", "--all")
        #expect(unreachable.exitCode == 3)
        #expect(unreachable.errors.contains("capstand --data-dir"))
    }

    @Test func aBuildThatIsNotReadyInTimeIsCancelledAndNothingIsLost() async throws {
        try await HashingEncoder.with { encoder in
            let daemon = try await Daemon(
                dataDirectory: directory.file("data"), arguments: ["--encoder", "words=\(encoder.url)"])
            try await daemon.client.createDatastore(
                CreateDatastoreRequest(
                    name: "alpha", kind: .captions,
                    keys: [
                        KeySpec(
                            name: "text", dim: HashingEncoder.dim, metric: .cosine,
                            encoder: Encoder(model: HashingEncoder.model, endpoint: "words"))
                    ]))
            let vector = [Float](repeating: 1, count: HashingEncoder.dim).map { "\($0)" }.joined(separator: ",")
            _ = try await daemon.client.addEntry(
                json: Data(#"{"text": "a dog", "vector": [\#(vector)]}"#.utf8), to: "alpha")
            // An import that waits for its encoder is at work on the datastore.
            encoder.hold(after: 0)
            let rows = try directory.write("rows.ndjson", Data(#"{"text": "a cat"}"#.utf8))
            let held = try await daemon.client.importRows(
                file: rows, into: "alpha", options: ImportOptions(build: false))
            let busy = try capstan(daemon).run("reindex", "alpha", "--json")
            #expect(busy.exitCode == 5)
            #expect(try lines(busy).map(\.outcome) == ["busy"])
            #expect(try lines(busy).first?.code == "datastore_busy")

            let late = try capstan(daemon).run("reindex", "alpha", "missing", "--queue", "--max-time", "1s", "--json")
            #expect(late.exitCode == 1)
            #expect(try lines(late).map(\.outcome) == ["failed", "failed"])
            #expect(late.output.contains("--max-time 1s is over; the job was cancelled"))
            #expect(late.output.contains("not begun"))
            let job = try #require(try lines(late).first?.job)
            let cancelled = try await daemon.client.job(job)
            #expect(cancelled.state == .cancelled)

            encoder.resume()
            #expect(try await daemon.client.waitForJob(held.id).state == .succeeded)
            let run = try capstan(daemon).run("reindex", "alpha", "--if-changed", "--json")
            #expect(run.exitCode == 0)
            #expect(try lines(run).map(\.entries) == [2])
            #expect(try await daemon.stop() == 0)
        }
    }
}
