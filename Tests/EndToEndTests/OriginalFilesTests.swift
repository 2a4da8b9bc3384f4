import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// The field's real files, each imported by one command into a datastore that the command makes, and counted here by
/// other means.
@Suite(.withRealData) struct OriginalFilesTests {
    /// A file, how it is imported, and how many rows it has.
    struct Original: Sendable, CustomTestStringConvertible {
        let file: String
        let format: ImportFormat
        var arguments: [String] = []
        let count: @Sendable (Data) throws -> Int

        var testDescription: String { file }
        var url: URL { TestData.shared.appending(path: file) }
    }

    static let all: [Original] = [
        Original(file: "original/captions_val2017.json.gz", format: .coco) { data in
            try members(data, "annotations").count
        },
        Original(file: "original/dataset_ucm_karpathy.json.gz", format: .karpathy) { data in
            try members(data, "images").reduce(0) { $0 + (($1["sentences"] as? [Any])?.count ?? 0) }
        },
        Original(file: "original/dataset_ucm_karpathy.json.gz", format: .karpathy, arguments: ["--split", "val"]) {
            data in
            try members(data, "images").filter { $0["split"] as? String == "val" }
                .reduce(0) { $0 + (($1["sentences"] as? [Any])?.count ?? 0) }
        },
        Original(file: "original/Flickr8k.token.txt.gz", format: .flickrToken) { filledLines($0) },
        Original(file: "original/albef_coco_test_sample.json", format: .captionList) { data in
            try objects(data).reduce(0) { $0 + (($1["caption"] as? [Any])?.count ?? 1) }
        },
        Original(file: "original/flickr30k_results_pipe_sample.csv", format: .flickrResults) { filledLines($0) - 1 },
        Original(file: "original/flickr8k_kaggle_header_sample.csv", format: .csv) { filledLines($0) - 1 },
        Original(file: "original/coco_captions_csv_sample.csv", format: .csv) { quotedRecords($0) - 1 },
        Original(file: "original/cc3m_validation_sample.tsv", format: .tsv) { filledLines($0) },
        Original(file: "original/precomp_sample_caps.txt", format: .text) { filledLines($0) },
        Original(file: "original/precomp_sample_filename.txt", format: .text) { filledLines($0) },
        Original(file: "original/lvis_v1_train_cat_info.json", format: .lvis) { try objects($0).count },
        Original(file: "captions/coco.jsonl.gz", format: .ndjson) { filledLines($0) },
        Original(file: "captions/flickr8k.jsonl.gz", format: .ndjson) { filledLines($0) },
        Original(file: "captions/flickr30k.jsonl.gz", format: .ndjson) { filledLines($0) },
        Original(file: "captions/rsitmd.jsonl.gz", format: .ndjson) { filledLines($0) },
        Original(file: "captions/ucm.jsonl.gz", format: .ndjson) { filledLines($0) },
        Original(file: "captions/lvis_v1_categories.json", format: .lvis) { try objects($0).count },
    ]

    @Test(arguments: all)
    func everyFileIsImportedByOneCommandAndEveryRowIsCounted(original: Original) async throws {
        let expected = try original.count(Self.inflated(original.url))
        #expect(expected > 0)
        try await HashingEncoder.with { encoder in
            let directory = try TemporaryDirectory()
            let daemon = try await Daemon(
                dataDirectory: directory.file("data"), arguments: ["--encoder", "words=\(encoder.url)"])
            let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
            // Under a name that says nothing.
            let file = directory.file("upload")
            try FileManager.default.createSymbolicLink(at: file, withDestinationURL: original.url)
            let imported = try capstan.run(
                [
                    "import", "store", file.path, "--create", "text:\(HashingEncoder.dim):cosine", "--encoder",
                    HashingEncoder.model, "--encoder-endpoint", "words", "--json",
                ] + original.arguments)
            try #require(imported.exitCode == 0, "\(imported.errors)")
            let job = try WireJSON.decode(JobInfo.self, from: Data(imported.output.utf8))
            #expect(job.state == .succeeded)
            #expect(job.report?.format == original.format)
            #expect(job.report?.vectors == .encoder)
            #expect(job.counts.seen == expected)
            #expect(job.counts.accepted == expected, "\(job.rejectedByCode)")
            #expect(try await daemon.client.datastore("store").entries == expected)
            #expect(try await daemon.stop() == 0)
        }
    }

    /// The names' vectors are beside them, as CLIP made them.
    @Test func lvisNamesAreImportedWithTheirVectors() async throws {
        let folder = TestData.shared.appending(path: "original")
        let directory = try TemporaryDirectory()
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
        let imported = try capstan.run(
            "import", "names", folder.appending(path: "lvis_v1_train_cat_info.json").path, "--vectors",
            folder.appending(path: "lvis_v1_clip_a+cname.npy").path, "--kind", "names", "--create", "text:512:cosine",
            "--json")
        try #require(imported.exitCode == 0, "\(imported.errors)")
        let job = try WireJSON.decode(JobInfo.self, from: Data(imported.output.utf8))
        #expect(job.counts.accepted == 1203)
        #expect(job.report?.vectors == .file)
        try await daemon.client.bind("objects", to: "names")
        // Each name is the nearest to its own vector.
        let vectors = try Vectors(npy: folder.appending(path: "lvis_v1_clip_a+cname.npy"))
        let names = try Self.objects(Data(contentsOf: folder.appending(path: "lvis_v1_train_cat_info.json")))
        let answers = try await daemon.client.results(vectors, of: "objects", options: QueryOptions(k: 1))
        let right = zip(answers, names).count { answer, name in
            answer.first?.text == (name["name"] as? String)?.replacing("_", with: " ")
        }
        #expect(right == 1203)
        let first = try #require(answers.first?.first?.payload)
        guard case .object(let payload) = first else { throw DatastoreError(.internalError, "no payload") }
        #expect(payload["definition"] == .string("a dispenser that holds a substance under pressure"))
        #expect(payload["synonyms"] == .array([.string("aerosol_can"), .string("spray_can")]))
        #expect(try await daemon.stop() == 0)
    }

    // MARK: Counting by other means

    private static func inflated(_ url: URL) throws -> Data {
        guard url.pathExtension == "gz" else { return try Data(contentsOf: url) }
        let directory = try TemporaryDirectory()
        let file = try directory.write("inflated", Data())
        let process = Process()
        process.executableURL = URL(filePath: "/bin/gzip")
        process.arguments = ["-dc", url.path]
        process.standardOutput = try FileHandle(forWritingTo: file)
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return try Data(contentsOf: file)
    }

    private static func filledLines(_ data: Data) -> Int {
        data.split(separator: UInt8(ascii: "\n")).count { $0.contains { $0 != 0x0D && $0 != 0x20 } }
    }

    /// Records of which a line break inside quotes is no end.
    private static func quotedRecords(_ data: Data) -> Int {
        var isQuoted = false
        return data.count { byte in
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            return byte == 0x0A && !isQuoted
        } + (data.last == 0x0A ? 0 : 1)
    }

    private static func objects(_ data: Data) throws -> [[String: Any]] {
        try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
    }

    private static func members(_ data: Data, _ name: String) throws -> [[String: Any]] {
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        return try #require(object[name] as? [[String: Any]])
    }
}
