import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// `capstan entries` and `--filter`, against a daemon.
struct EntriesCommandTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func lines<Value: Decodable>(_ outcome: CommandLineTool.Outcome, as type: Value.Type) throws -> [Value] {
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        return try outcome.output.split(separator: "\n").map { try WireJSON.decode(type, from: Data($0.utf8)) }
    }

    @Test func entriesAreListedShownDeletedAndFiltered() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        try await daemon.client.load(sample: "views-from-above")
        let all = try lines(
            capstan.run("entries", "list", "views-from-above", "--limit", "0", "--json"), as: EntryInfo.self)
        #expect(all.count > 400 && all.map(\.id) == all.map(\.id).sorted())
        #expect(
            try lines(capstan.run("entries", "list", "views-from-above", "--json"), as: EntryInfo.self).count == 100)
        let first = try #require(all.first)
        let shown = try lines(
            capstan.run("entries", "get", "views-from-above", "\(first.id)", "--vectors", "--json"), as: EntryInfo.self)
        #expect(shown[0].text == first.text)
        guard case .dense(let vector) = shown[0].vectors?["text"] else {
            Issue.record("no vector")
            return
        }
        #expect(vector.count == 384)
        try await daemon.client.bind("camera", to: "views-from-above")

        // What is deleted and what is added counts where pending changes do.
        let deleted = try lines(
            capstan.run("entries", "delete", "views-from-above", "--ids", "\(first.id)", "999999", "--json"),
            as: EntryDeletions.self)[0]
        #expect(deleted.counts.deleted == 1 && deleted.counts.unknown == 1)
        let told = try capstan.run(
            "entries", "delete", "views-from-above", "--file", "-",
            input: "{\"id\": \(all[1].id)}\n{\"id\": \"x\"}\n")
        #expect(told.exitCode == 1)
        #expect(told.output.contains("1 deleted, 0 unknown, 1 rejected; 2 pending changes"))
        #expect(told.errors.contains("line 2: invalid_value"))
        let row = try WireJSON.encode(
            JSONValue.object([
                "id": .string("new"), "text": .string("a new roof"), "origin": .string("human"), "lang": .string("en"),
                "payload": .object(["split": .string("train")]),
                "vector_base64": .string(QueryVectors.base64(vector)),
            ]))
        #expect(
            try capstan.run(
                "entries", "add", "views-from-above", "-", input: String(decoding: row, as: UTF8.self)
            ).exitCode == 0)
        let file = directory.file("question.json")
        try WireJSON.encode(vector).write(to: file)
        func ask(_ more: String...) throws -> QueryAnswer {
            try lines(
                capstan.run(["query", "camera", "--vector", file.path, "-k", "3", "--json"] + more),
                as: QueryAnswer.self)[0]
        }
        #expect(try ask().results.first?.id == first.id)
        let now = try ask("--include-pending")
        #expect(now.results.first?.text == "a new roof")
        #expect(!now.results.contains { $0.id == first.id || $0.id == all[1].id })
        let filtered = try ask("--include-pending", "--filter", "payload.split=train", "--filter", "origin=human")
        #expect(filtered.results.map(\.text) == ["a new roof"])
        #expect(filtered.shortfall?.reasons == [.filter])
        let wrong = try capstan.run("query", "camera", "--vector", file.path, "--filter", "colour=red")
        #expect(wrong.exitCode == 1 && wrong.errors.contains("invalid_value"))

        let listed = try capstan.run(
            "entries", "list", "views-from-above", "--pending", "--filter", "lang=en", "--limit", "0")
        #expect(listed.output.contains("a new roof") && listed.output.contains("pending"))
        let status = try capstan.run("status")
        #expect(status.output.contains("views-from-above: 3"))
        let gone = try capstan.run("entries", "get", "views-from-above", "\(first.id)")
        #expect(gone.exitCode == 1 && gone.errors.contains("unknown_entry"))

        #expect(try capstan.run("reindex", "views-from-above").exitCode == 0)
        #expect(try await daemon.client.datastore("views-from-above").entries == all.count - 1)
        #expect(try ask("--filter", "payload.split=train").results.map(\.text) == ["a new roof"])
        #expect(
            try capstan.run("domain", "set", "camera", "views-from-above", "--filter", "payload.split=train").exitCode
                == 0)
        #expect(try ask().results.count == 1)
        #expect(try ask("--filter", "none").results.count == 3)
        #expect(try capstan.run("domain", "show", "camera").output.contains("payload.split=\"train\""))
    }

    @Test func theLimitOfPendingChangesIsASetting() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"), arguments: ["--max-pending", "4"])
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        #expect(try capstan.run("datastore", "create", "d", "--kind", "names", "--key", "text:2:cosine").exitCode == 0)
        for number in 0..<2 {
            let added = try capstan.run(
                "entries", "add", "d", "-", input: "{\"text\": \"name \(number)\", \"vector\": [1, \(number)]}")
            #expect(added.exitCode == 0)
            #expect(added.errors.contains("warning: 2 pending changes, of 4") == (number == 1))
        }
        #expect(try capstan.run("status").output.contains("d: 2; warning: 2 pending changes, of 4"))
    }
}
