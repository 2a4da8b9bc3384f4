import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// `capstan` as people and scripts use it: what it prints, and how it exits.
struct CommandTests {
    private let directory: TemporaryDirectory
    private let samples = TestData.samples

    init() throws {
        directory = try TemporaryDirectory()
    }

    @Test func aFirstSessionImportsAsksSwitchesAndRollsBack() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        for name in ["everyday-photos", "views-from-above"] {
            #expect(
                try capstan.run("datastore", "create", name, "--kind", "captions", "--key", "text:384:cosine").exitCode
                    == 0)
            let imported = try capstan.run(
                "import", name, path(name, "captions.ndjson"), "--vectors", path(name, "captions.f16.npy"), "--json")
            #expect(imported.exitCode == 0, "\(imported.errors)")
            let job = try WireJSON.decode(JobInfo.self, from: Data(imported.output.utf8))
            #expect(job.state == .succeeded && job.version == 1)
            #expect(job.counts.seen == job.counts.accepted && job.counts.seen > 400)
        }
        #expect(try capstan.run("domain", "set", "camera", "everyday-photos").exitCode == 0)

        let questions = path("everyday-photos", "questions.f16.npy")
        let prompt = try capstan.run("query", "camera", "--vectors", questions, "--rows", "0:1", "-k", "4", "--prompt")
        #expect(prompt.exitCode == 0)
        #expect(prompt.output.contains("Similar images show\n\n"))
        #expect(prompt.output.contains("This image shows "))

        let asked = try capstan.run("query", "camera", "--vectors", questions, "--rows", "0:3", "-k", "2", "--json")
        let answers = try asked.output.split(separator: "\n").map {
            try WireJSON.decode(QueryAnswer.self, from: Data($0.utf8))
        }
        #expect(answers.count == 3)
        #expect(
            answers.allSatisfy { $0.results.count == 2 && $0.results.allSatisfy { $0.datastore == "everyday-photos" } })

        #expect(try capstan.run("domain", "set", "camera", "views-from-above@1", "--if-revision", "1").exitCode == 0)
        let conflict = try capstan.run("domain", "set", "camera", "views-from-above@1", "--if-revision", "1")
        #expect(conflict.exitCode == 1)
        #expect(conflict.errors.contains("revision_conflict"))
        #expect(try capstan.run("domain", "rollback", "camera").exitCode == 0)
        let revisions = try capstan.run("domain", "revisions", "camera", "--json")
        let history = try revisions.output.split(separator: "\n").map {
            try WireJSON.decode(DomainInfo.self, from: Data($0.utf8))
        }
        #expect(history.map(\.revision) == [3, 2, 1])
        #expect(history.map(\.reason) == [.rollback, .set, .set])
        #expect(history.first?.datastores.first?.name == "everyday-photos")

        for arguments in [
            ["datastore", "list"], ["datastore", "show", "everyday-photos"], ["versions", "list", "everyday-photos"],
            ["versions", "show", "everyday-photos@1"], ["domain", "list"], ["domain", "show", "camera"],
            ["jobs", "list"], ["status"],
        ] {
            let shown = try capstan.run(arguments)
            #expect(shown.exitCode == 0 && !shown.output.isEmpty && shown.errors.isEmpty, "\(arguments): \(shown)")
        }
        #expect(try capstan.run("datastore", "delete", "views-from-above").exitCode == 0)
        let inUse = try capstan.run("datastore", "delete", "everyday-photos")
        #expect(inUse.exitCode == 1 && inUse.errors.contains("datastore_in_use"))
        #expect(try await daemon.stop() == 0)
    }

    @Test func aVectorMayComeFromAFileOfJSONOrFromStandardInput() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        try await daemon.client.load(sample: "shop-products")
        try await daemon.client.bind("shop", to: "shop-products")
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        let vector = try Vectors(npy: samples.appending(path: "shop-products/questions.f16.npy"))[7]
        let json = "[" + vector.map { String($0) }.joined(separator: ",") + "]"
        let file = try directory.write("vector.json", Data(json.utf8))
        let fromFile = try capstan.run("query", "shop", "--vector", file.path, "-k", "3", "--json")
        let fromInput = try capstan.run("query", "shop", "--vector", "-", "-k", "3", "--json", input: json)
        let fromNumpy = try capstan.run(
            "query", "shop", "--vectors", path("shop-products", "questions.f16.npy"), "--rows", "7:8", "-k", "3",
            "--json")
        #expect(fromFile.exitCode == 0 && fromFile.output == fromInput.output && fromFile.output == fromNumpy.output)
        #expect(fromFile.output.contains(#""score":"#))
        #expect(try await daemon.stop() == 0)
    }

    @Test func rejectedRowsAreCountedShownAndKept() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        _ = try capstan.run("datastore", "create", "store", "--kind", "captions", "--key", "text:2")
        let rows = """
            {"id": "a", "text": "a cat on a mat", "vector": [1, 0]}
            {"id": "b", "text": "a dog", "vector": [1, 0, 0]}
            {"id": "a", "text": "a cat again", "vector": [0, 1]}
            {"id": "c", "text": "", "vector": [0, 1]}
            {"id": "d", "text": "a bird", "vector": [0, 0]}

            """
        let file = try directory.write("rows.ndjson", Data(rows.utf8))
        let imported = try capstan.run("import", "store", file.path)
        #expect(imported.exitCode == 0)
        for code in ["vector_dim_mismatch", "duplicate_external_id", "missing_text", "vector_zero"] {
            #expect(imported.errors.contains(code), "\(imported.errors)")
        }
        let job = try #require(try await daemon.client.jobs(datastore: "store").first)
        #expect(job.counts.seen == 5 && job.counts.accepted == 1 && job.counts.rejected == 4)
        let rejects = try capstan.run("jobs", "rejects", job.id, "--json")
        #expect(rejects.output.split(separator: "\n").count == 4)

        let strict = try capstan.run("import", "store", file.path, "--strict")
        #expect(strict.exitCode == 1 && strict.errors.contains("rows_rejected"))
        #expect(try await daemon.client.datastore("store").latestVersion == 1)
        #expect(try await daemon.stop() == 0)
    }

    @Test func rowsWaitWithNoBuildUntilAReindex() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        _ = try capstan.run("datastore", "create", "store", "--kind", "names", "--key", "text:2")
        let file = try directory.write("rows.ndjson", Data(#"{"text": "teapot", "vector": [1, 0]}"#.utf8))
        #expect(try capstan.run("import", "store", file.path, "--no-build").exitCode == 0)
        let waiting = try await daemon.client.datastore("store")
        #expect(waiting.pendingChanges == 1 && waiting.latestVersion == nil)
        #expect(try capstan.run("reindex", "store").exitCode == 0)
        let built = try await daemon.client.datastore("store")
        #expect(built.pendingChanges == 0 && built.latestVersion == 1 && built.entries == 1)
        #expect(try capstan.run("reindex", "store").exitCode == 0, "nothing to build is no failure")
        #expect(try await daemon.stop() == 0)
    }

    @Test func vectorsOfEachKeyComeFromAFileOfTheirOwn() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        let keys = [
            KeySpec(name: "text", dim: 2, metric: .cosine), KeySpec(name: "image", dim: 3, metric: .innerProduct),
        ]
        _ = try await daemon.client.createDatastore(
            CreateDatastoreRequest(name: "store", kind: .captions, keys: keys))
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        let rows = try directory.write("rows.txt", Data("a cat\na dog\n".utf8)).path()
        // Not KEY=FILE: no key has such a name.
        let text = try directory.write("text=1.npy", Vectors(values: [1, 0, 0, 1], dim: 2).npy()).path()
        let image = Vectors(values: [1, 0, 0, 0, 1, 0], dim: 3).npy()
        let whole = try directory.write("image.npy", image).path()
        var stack = image
        let shape = try #require(stack.firstRange(of: Data("(2, 3), }".utf8)))
        stack.replaceSubrange(shape, with: Data("(1,2,3),}".utf8))
        let stacked = try directory.write("stacked.npy", stack).path()

        let imported = try capstan.run(
            "import", "store", rows, "--vectors", text, "--vectors", "image=\(whole)", "--json")
        #expect(imported.exitCode == 0, "\(imported.errors)")
        let one = try directory.write("one.txt", Data("a cow\n".utf8)).path()
        let pooled = try capstan.run(
            "import", "store", one, "--vectors", "image=\(stacked)", "--vectors",
            "text=\(try directory.write("t.npy", Vectors(values: [1, 1], dim: 2).npy()).path())", "--pool", "mean")
        #expect(pooled.exitCode == 0, "\(pooled.errors)")
        let refused = try capstan.run("import", "store", one, "--vectors", "image=\(stacked)")
        #expect(refused.exitCode == 1)
        #expect(refused.errors.contains("--pool mean"), "\(refused.errors)")
        let twice = try capstan.run("import", "store", rows, "--vectors", text, "--vectors", text)
        #expect(twice.exitCode == 2, "\(twice)")
        #expect(twice.errors.contains("--vectors is given twice"))
        #expect(try await daemon.client.datastore("store").entries == 3)
        #expect(try await daemon.stop() == 0)
    }

    @Test func exitCodesTellRefusedUsageAndUnreachableApart() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        let refused = try capstan.run("domain", "show", "nowhere")
        #expect(refused.exitCode == 1 && refused.errors.contains("unknown_domain"))
        #expect(try capstan.run("domain", "show").exitCode == 2)
        #expect(try capstan.run("no-such-command").exitCode == 2)
        #expect(try capstan.run("--help").exitCode == 0)
        #expect(try await daemon.stop() == 0)
        let unreachable = try capstan.run("status")
        #expect(unreachable.exitCode == 3 && unreachable.errors.contains("is capstand running"), "\(unreachable)")
    }

    @Test func importByPathReadsOnlyBelowTheImportRoots() async throws {
        let daemon = try await Daemon(
            dataDirectory: directory.file("data"), arguments: ["--import-root", samples.path])
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        _ = try capstan.run("datastore", "create", "store", "--kind", "captions", "--key", "text:384")
        let inside = try capstan.run(
            "import", "store", path("shop-products", "captions.ndjson"), "--vectors",
            path("shop-products", "captions.f16.npy"), "--server-paths")
        #expect(inside.exitCode == 0, "\(inside.errors)")
        let outside = try directory.write("outside.ndjson", Data("{}".utf8))
        let refused = try capstan.run("import", "store", outside.path, "--server-paths")
        #expect(refused.exitCode == 1 && refused.errors.contains("path_outside_import_roots"))
        #expect(try await daemon.stop() == 0)
    }

    private func path(_ sample: String, _ file: String) -> String {
        samples.appending(path: sample).appending(path: file).path
    }
}
