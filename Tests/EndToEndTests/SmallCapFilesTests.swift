import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// SmallCap's published datastore: a FAISS index beside a JSON file of captions, which only their positions tie together.
struct SmallCapFilesTests {
    private static let dim = 24
    private static let count = 300

    private struct Scene {
        let directory: TemporaryDirectory
        let vectors = Vectors(clustered: SmallCapFilesTests.count, dim: SmallCapFilesTests.dim, seed: 9)
        let index: URL
        let list: URL
        let object: URL

        init() throws {
            directory = try TemporaryDirectory()
            index = directory.file("coco_index")
            let captions = (0..<SmallCapFilesTests.count).map { "caption \($0)" }
            list = try directory.write("list.json", try JSONEncoder().encode(captions))
            let members = captions.enumerated().map { "\"\($0)\": \"\($1)\"" }.joined(separator: ", ")
            object = try directory.write("object.json", Data("{\(members)}".utf8))
            try TestIndex.write(vectors, as: "Flat", to: index)
        }

        func run(_ capstan: CommandLineTool, _ name: String, _ rows: URL, _ index: URL) throws
            -> CommandLineTool.Outcome
        {
            try capstan.run(
                "import", name, rows.path, "--vectors", index.path, "--create", "text:\(SmallCapFilesTests.dim):cosine",
                "--json")
        }
    }

    @Test func indexAndCaptionsBecomeAnOrdinaryVersion() async throws {
        let scene = try Scene()
        let daemon = try await Daemon(
            dataDirectory: scene.directory.file("data"), arguments: ["--allow-index-files"])
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        for (name, rows) in [("list", scene.list), ("object", scene.object)] {
            let imported = try scene.run(capstan, name, rows, scene.index)
            try #require(imported.exitCode == 0, "\(imported.errors)")
            let job = try WireJSON.decode(JobInfo.self, from: Data(imported.output.utf8))
            #expect(job.counts.accepted == Self.count)
            #expect(job.report?.format == .texts)
            #expect(job.report?.vectors == .index)
            #expect(job.report?.notes == [])
            try await daemon.client.bind(name, to: name)
            let answers = try await daemon.client.results(scene.vectors, of: name, options: QueryOptions(k: 1))
            #expect(answers.map { $0.first?.text } == (0..<Self.count).map { "caption \($0)" })
        }
        #expect(try await daemon.stop() == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scene.directory.file("data/staging").path) == [])
    }

    @Test func anIndexOfRoundedVectorsSaysSo() async throws {
        let scene = try Scene()
        try TestIndex.write(scene.vectors, as: "SQ8", to: scene.index)
        let daemon = try await Daemon(
            dataDirectory: scene.directory.file("data"), arguments: ["--allow-index-files"])
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        let imported = try scene.run(capstan, "rounded", scene.list, scene.index)
        let job = try WireJSON.decode(JobInfo.self, from: Data(imported.output.utf8))
        #expect(job.state == .succeeded)
        #expect(job.report?.notes.first?.contains("rounded") == true)
        #expect(try await daemon.stop() == 0)
    }

    @Test func anIndexIsReadOnlyWhereTheOperatorAllowsIt() async throws {
        let scene = try Scene()
        let daemon = try await Daemon(dataDirectory: scene.directory.file("data"))
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        let refused = try scene.run(capstan, "store", scene.list, scene.index)
        #expect(refused.exitCode == 1)
        #expect(refused.errors.contains("index_files_disabled"))
        #expect(refused.errors.contains("--allow-index-files"))
        #expect(try await daemon.client.datastore("store").latestVersion == nil)
        #expect(try await daemon.stop() == 0)
    }

    @Test func whatIsNoIndexIsNamedForWhatItIs() async throws {
        let scene = try Scene()
        let daemon = try await Daemon(
            dataDirectory: scene.directory.file("data"), arguments: ["--allow-index-files"])
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        let pointer = Data(
            """
            version https://git-lfs.github.com/spec/v1
            oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
            size 1162346541

            """.utf8)
        let whole = try Data(contentsOf: scene.index)
        let cases: [(Data, String, String)] = [
            (pointer, "lfs_pointer", "git lfs pull"), (Data("<!DOCTYPE html><html>".utf8), "html_page", "page"),
            (whole.prefix(whole.count / 2), "index_file_invalid", "vectors"), (Data(), "npy_not_numpy", "empty"),
        ]
        for (number, (content, code, word)) in cases.enumerated() {
            try content.write(to: scene.index)
            let refused = try scene.run(capstan, "store\(number)", scene.list, scene.index)
            #expect(refused.exitCode == 1)
            #expect(refused.errors.contains(code), "\(refused.errors)")
            #expect(refused.errors.contains(word), "\(refused.errors)")
            #expect(try await daemon.client.datastore("store\(number)").latestVersion == nil)
        }
        #expect(try await daemon.stop() == 0)
    }
}
