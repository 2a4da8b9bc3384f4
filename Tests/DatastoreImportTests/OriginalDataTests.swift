import DatastoreCore
import DatastoreImport
import Foundation
import Testing

/// The field's own files, read with their form found out, against rows counted by other means.
struct OriginalDataTests {
    /// A file, its form, and how to count its rows from its inflated bytes.
    struct Original: Sendable, CustomTestStringConvertible {
        let path: String
        let format: ImportFormat
        let count: @Sendable (Data) throws -> Int

        var testDescription: String { path }
        var file: String { CaptionDataTests.folder.appending(path: path).path() }
    }

    private static let originals = [
        Original(path: "original/captions_val2017.json.gz", format: .coco) { try array($0, "annotations").count },
        Original(path: "original/dataset_ucm_karpathy.json.gz", format: .karpathy) { data in
            try array(data, "images").map { ($0["sentences"] as? [Any])?.count ?? 0 }.reduce(0, +)
        },
        Original(path: "original/Flickr8k.token.txt.gz", format: .flickrToken, count: newlines),
        Original(path: "original/albef_coco_test_sample.json", format: .captionList) { data in
            try array(data).map { ($0["caption"] as? [Any])?.count ?? 1 }.reduce(0, +)
        },
        Original(path: "original/flickr30k_results_pipe_sample.csv", format: .flickrResults) { try newlines($0) - 1 },
        Original(path: "original/flickr8k_kaggle_header_sample.csv", format: .csv) { try newlines($0) - 1 },
        Original(path: "original/coco_captions_csv_sample.csv", format: .csv) { quotedRecords($0) - 1 },
        Original(path: "original/cc3m_validation_sample.tsv", format: .tsv, count: newlines),
        Original(path: "original/precomp_sample_caps.txt", format: .text, count: newlines),
        Original(path: "original/precomp_sample_filename.txt", format: .text, count: newlines),
        Original(path: "original/lvis_v1_train_cat_info.json", format: .lvis) { try array($0).count },
        Original(path: "captions/coco.jsonl.gz", format: .ndjson, count: newlines),
        Original(path: "captions/flickr30k.jsonl.gz", format: .ndjson, count: newlines),
        Original(path: "captions/flickr8k.jsonl.gz", format: .ndjson, count: newlines),
        Original(path: "captions/rsitmd.jsonl.gz", format: .ndjson, count: newlines),
        Original(path: "captions/ucm.jsonl.gz", format: .ndjson, count: newlines),
        Original(path: "captions/lvis_v1_categories.json", format: .lvis) { try array($0).count },
    ]

    private static let isPresent = originals.allSatisfy { FileManager.default.isReadableFile(atPath: $0.file) }

    /// Lines, of which the last may end with the file.
    private static func newlines(_ data: Data) throws -> Int {
        data.count { $0 == 0x0A } + (data.last == 0x0A ? 0 : 1)
    }

    /// Records of which a line break inside quotes is no end.
    private static func quotedRecords(_ data: Data) -> Int {
        var isQuoted = false
        return data.count { byte in
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            return byte == 0x0A && !isQuoted
        } + (data.last == 0x0A ? 0 : 1)
    }

    private static func array(_ data: Data, _ member: String? = nil) throws -> [[String: Any]] {
        let document = try JSONSerialization.jsonObject(with: data)
        guard let member else { return try #require(document as? [[String: Any]]) }
        return try #require((document as? [String: Any])?[member] as? [[String: Any]])
    }

    private func read(_ original: Original, options: ImportOptions = ImportOptions()) throws -> [ImportRecord] {
        let key = KeySpec(name: "text", dim: 512, metric: .cosine)
        let reader = try ImportReader(
            rowsPath: original.file, vectorsPath: nil, key: key, options: options, encodes: true)
        #expect(reader.format == original.format)
        let (records, error) = reader.readAll()
        #expect(error == nil)
        #expect(reader.rowsSeen == records.count)
        #expect(reader.bytesRead == reader.totalBytes)
        #expect(records.map { $0.row?.row ?? $0.reject?.row } == Array(1...max(1, records.count)))
        return records
    }

    @Test(.enabled(if: isPresent, "no original and captions under CAPSTAN_TEST_DATA"), arguments: originals)
    func everyRowIsRead(original: Original) throws {
        let records = try read(original)
        let bytes = Data(try ByteSource(path: original.file).readAll(step: 1 << 20))
        #expect(records.count == (try original.count(bytes)))
        #expect(records.compactMap(\.reject).prefix(3) == [])
    }

    @Test(.enabled(if: isPresent, "no original under CAPSTAN_TEST_DATA"))
    func namesOfLVISComeWithTheirVectors() throws {
        let reader = try ImportReader(
            rowsPath: CaptionDataTests.folder.appending(path: "original/lvis_v1_train_cat_info.json").path(),
            vectorsPath: CaptionDataTests.folder.appending(path: "original/lvis_v1_clip_a+cname.npy").path(),
            key: KeySpec(name: "clip", dim: 512, metric: .cosine))
        #expect(reader.vectorRows == 1203)
        #expect(reader.vectorsAreHalfPrecision)
        let (records, error) = reader.readAll()
        #expect(error == nil)
        let rows = records.compactMap(\.row)
        #expect(rows.count == 1203)
        #expect(rows.first?.fields.text == "aerosol can")
        #expect(rows.allSatisfy { $0.vector?.count == 512 && !$0.fields.text.contains("_") })
    }

    @Test(.enabled(if: isPresent, "no original under CAPSTAN_TEST_DATA"))
    func splitsOfUCMAreSelected() throws {
        let ucm = try #require(Self.originals.first { $0.format == .karpathy })
        for (splits, count) in [(["train"], 8400), (["val", "test"], 2100), (["restval", "test"], 1050)] {
            #expect(try read(ucm, options: ImportOptions(splits: splits)).count == count)
        }
    }
}
