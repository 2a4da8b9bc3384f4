import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// A version leaves one daemon as a file and comes into another, byte for byte.
struct BundleTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func files(_ data: URL, _ version: String) throws -> [String: Data] {
        let folder = data.appending(path: "datastores/shop-products/versions/\(version)")
        return try Dictionary(
            uniqueKeysWithValues: FileManager.default.contentsOfDirectory(atPath: folder.path).map {
                ($0, try Data(contentsOf: folder.appending(path: $0)))
            })
    }

    private func capstan(_ daemon: Daemon) -> CommandLineTool {
        CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
    }

    @Test func whatIsExportedAndImportedAgainIsTheSameVersion() async throws {
        let data = directory.file("data")
        let daemon = try await Daemon(dataDirectory: data)
        try await daemon.client.load(sample: "shop-products")
        try await daemon.client.bind("shop", to: "shop-products")
        let questions = try Vectors(npy: TestData.samples.appending(path: "shop-products/questions.f16.npy"))
        let before = try await daemon.client.results(questions, of: "shop", options: QueryOptions(k: 5))
        let files = try files(data, "000001")
        let bundle = directory.file("shop.capstan")
        let exported = try capstan(daemon).run("export", "shop-products", "-o", bundle.path, "--json")
        #expect(exported.exitCode == 0, "\(exported)")
        struct Exported: Decodable { var version, bytes: Int }
        let said = try WireJSON.decode(Exported.self, from: Data(exported.output.utf8))
        #expect(said.version == 1)
        #expect(try Data(contentsOf: bundle).count == said.bytes)
        #expect(!FileManager.default.fileExists(atPath: bundle.path + ".part"))

        try await daemon.client.deleteDomain("shop")
        try await daemon.client.deleteDatastore("shop-products")
        let imported = try capstan(daemon).run("import", bundle.path)
        #expect(imported.exitCode == 0, "\(imported)")
        #expect(imported.output.contains("version 1"))
        #expect(try self.files(data, "000001") == files)
        try await daemon.client.bind("shop", to: "shop-products")
        #expect(try await daemon.client.results(questions, of: "shop", options: QueryOptions(k: 5)) == before)

        // Into another daemon, by name too.
        let other = try await Daemon(dataDirectory: directory.file("other"))
        let elsewhere = try capstan(other).run("import", "shop-products", bundle.path, "--json")
        #expect(elsewhere.exitCode == 0, "\(elsewhere)")
        #expect(try self.files(directory.file("other"), "000001") == files)
        // Which it has by now: nothing to do.
        #expect(try capstan(other).run("import", bundle.path).exitCode == 0)
        #expect(try await daemon.stop() == 0)
        #expect(try await other.stop() == 0)
        let again = try await Daemon(dataDirectory: data)
        #expect(try await again.client.status().recovery == [])
        #expect(try await again.client.results(questions, of: "shop", options: QueryOptions(k: 5)) == before)
        #expect(try await again.stop() == 0)
    }

    @Test func anExportThatBreaksOffGoesOnWhereItWas() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        try await daemon.client.load(sample: "shop-products")
        let whole = directory.file("whole.capstan")
        #expect(try capstan(daemon).run("export", "shop-products@1", "-o", whole.path).exitCode == 0)
        let size = try Data(contentsOf: whole).count
        // The first connections break after a few bytes, in the header, between frames, and near the end.
        let proxy = try CuttingProxy(
            to: daemon.address,
            cuts: [(300, .close), (1000, .close), (size / 3, .close), (size / 3, .close), (1 << 16, .close)])
        let broken = directory.file("broken.capstan")
        let outcome = try CommandLineTool("capstan").run(
            "export", "shop-products@1", "-o", broken.path, "--url", proxy.url)
        #expect(outcome.exitCode == 0, "\(outcome)")
        #expect(proxy.connections > 5)
        #expect(try Data(contentsOf: broken) == Data(contentsOf: whole))
        proxy.close()
        #expect(try await daemon.stop() == 0)
    }

    @Test func whatIsWrongIsSaidAndLeavesNothing() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        try await daemon.client.load(sample: "shop-products")
        let bundle = directory.file("x.capstan")
        let tool = capstan(daemon)
        #expect(try tool.run("export", "shop-products@1", "-o", bundle.path).exitCode == 0)
        try await daemon.client.deleteDatastore("shop-products")

        let short = try directory.write("short.capstan", Data(contentsOf: bundle).dropLast(1))
        let refused = try tool.run("import", short.path)
        #expect(refused.exitCode == 1 && refused.errors.contains("bundle_truncated"), "\(refused)")
        #expect(try await daemon.client.datastores() == [])
        let named = try tool.run("import", "other", bundle.path)
        #expect(named.exitCode == 1 && named.errors.contains("invalid_value"), "\(named)")
        let rows = try tool.run("import", TestData.samples.appending(path: "shop-products/captions.ndjson").path)
        #expect(rows.exitCode == 2 && rows.errors.contains("ROWS"), "\(rows)")
        let none = try tool.run("export", "shop-products@9", "-o", directory.file("none").path)
        #expect(none.exitCode == 1 && none.errors.contains("unknown_datastore"), "\(none)")
        #expect(!FileManager.default.fileExists(atPath: directory.file("none").path))
        for command in ["export", "backup", "restore"] {
            let help = try tool.run(command, "--help")
            #expect(help.exitCode == 0 && help.output.contains("capstan \(command) "), "\(help)")
        }
        #expect(try await daemon.stop() == 0)
    }

    @Test(arguments: CrashTests.steps)
    func aRestoreThatIsKilledEndsWellAfterTheNextStart(step: String) async throws {
        let source = try await Daemon(dataDirectory: directory.file("source"))
        try await source.client.load(sample: "shop-products")
        let bundle = directory.file("x.capstan")
        #expect(try capstan(source).run("export", "shop-products@1", "-o", bundle.path).exitCode == 0)
        #expect(try await source.stop() == 0)
        let data = directory.file("data")
        let doomed = try await Daemon(dataDirectory: data, environment: ["CAPSTAN_FAULT_KILL_AFTER": step])
        let job = try await doomed.client.restoreBundle(file: bundle, into: "shop-products")
        #expect(try await doomed.waitForEnd() == -SIGKILL)

        let daemon = try await Daemon(dataDirectory: data)
        let ended = try await daemon.client.waitForJob(job.id)
        #expect(ended.state == .succeeded && ended.version == 1, "\(ended)")
        #expect(try files(data, "000001") == files(directory.file("source"), "000001"))
        try await daemon.client.bind("shop", to: "shop-products")
        #expect(try await daemon.stop() == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: data.appending(path: "staging").path) == [])
        let again = try await Daemon(dataDirectory: data)
        #expect(try await again.client.status().recovery == [])
        #expect(try await again.stop() == 0)
    }
}
