import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// `capstan versions` and `capstan gc`, as people and scripts use them.
struct HistoryTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    @Test func versionsAreNamedComparedVerifiedAndLetGo() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        try await daemon.client.createDatastore(
            CreateDatastoreRequest(
                name: "coco", kind: .captions, keys: [KeySpec(name: "text", dim: 2, metric: .cosine)]))
        for text in ["a dog", "a cat", "a bird", "a horse"] {
            _ = try await daemon.client.addEntry(
                json: Data(#"{"text": "\#(text)", "vector": [1, 0.\#(text.count)]}"#.utf8), to: "coco")
            #expect(try capstan.run("reindex", "coco", "--if-changed").exitCode == 0)
        }
        #expect(try capstan.run("domain", "set", "street", "coco").exitCode == 0)

        let tagged = try capstan.run("versions", "tag", "coco@1", "gold")
        #expect(tagged.exitCode == 0 && tagged.output == "coco@1 is tagged gold\n", "\(tagged)")
        let taken = try capstan.run("versions", "tag", "coco@2", "gold")
        #expect(taken.exitCode == 1 && taken.errors.contains("tag_exists") && taken.errors.contains("--move"))
        #expect(try capstan.run("versions", "show", "coco@gold").output.contains("coco@1"))
        #expect(try capstan.run("versions", "list", "coco").output.contains("gold"))
        #expect(try capstan.run("domain", "set", "old", "coco@gold").exitCode == 0)
        #expect(try await daemon.client.domain("old").datastores.map(\.version) == [1])

        let diff = try capstan.run("versions", "diff", "coco@gold", "coco")
        #expect(diff.exitCode == 0)
        #expect(
            diff.output.hasPrefix("coco@1 to coco@4: 3 added, 0 replaced, 0 removed, 1 unchanged\n+ 2: a cat\n"),
            "\(diff)")
        let json = try capstan.run("versions", "diff", "coco@1", "coco@4", "--samples", "1", "--json")
        #expect(try WireJSON.decode(VersionDiff.self, from: Data(json.output.utf8)).samples.added.count == 1)
        #expect(try capstan.run("versions", "diff", "coco@1", "other@2").exitCode == 2)

        #expect(try capstan.run("datastore", "set", "coco", "--keep-last", "1").exitCode == 0)
        let dry = try capstan.run("gc", "--dry-run")
        #expect(dry.exitCode == 0)
        #expect(dry.output.contains("would remove coco@2, ") && dry.output.contains("would remove coco@3, "), "\(dry)")
        #expect(try capstan.run("versions", "remove", "coco@1").errors.contains("version_in_use"))
        let collected = try capstan.run("gc", "coco", "--json")
        let report = try WireJSON.decode(GCReport.self, from: Data(collected.output.utf8))
        #expect(report.items.map(\.version) == [2, 3] && report.freedBytes > 0)
        #expect(try await daemon.client.versions(of: "coco").map(\.version) == [4, 1])
        let gone = try capstan.run("versions", "show", "coco@2")
        #expect(gone.exitCode == 1 && gone.errors.contains("version_removed"))

        let verified = try capstan.run("versions", "verify", "coco@4")
        #expect(verified.exitCode == 0 && verified.output.contains("4 entries are right"), "\(verified)")
        let file = directory.file("data/datastores/coco/versions/000004/entries.sqlite")
        let bytes = try Data(contentsOf: file)
        try FileManager.default.removeItem(at: file)
        try (bytes.dropLast() + [bytes[bytes.count - 1] ^ 1]).write(to: file)
        let damaged = try capstan.run("versions", "verify", "coco@4")
        #expect(damaged.exitCode == 6 && damaged.errors.contains("entries.sqlite"), "\(damaged)")
        #expect(try await daemon.client.status().damagedVersions == ["coco@4"])
        #expect(try await daemon.stop() == 0)
    }
}
