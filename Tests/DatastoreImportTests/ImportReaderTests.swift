import DatastoreCore
import DatastoreImport
import Foundation
import TestSupport
import Testing

struct ImportReaderTests {
    private let folder: TemporaryDirectory
    private let key = KeySpec(name: "text", dim: 2, metric: .cosine)

    init() throws {
        folder = try TemporaryDirectory()
    }

    private func reader(
        _ lines: [String], vectors: [[Float]]? = nil, type: NumpyElementType = .f32, key: KeySpec? = nil,
        encodes: Bool = false, maximumRowBytes: Int = LineReader.defaultMaximumLineBytes
    ) throws -> ImportReader {
        let rowsPath = try folder.write("rows.jsonl", lines.joined(separator: "\n"))
        let key = key ?? self.key
        let vectorsPath = try vectors.map { rows in
            let fixture = NumpyFixture(rows: rows, dim: rows.first?.count ?? key.dim, type: type)
            return try folder.write("vectors.npy", fixture.bytes)
        }
        return try ImportReader(
            rowsPath: rowsPath, vectorsPath: vectorsPath, key: key, options: ImportOptions(format: .ndjson),
            encodes: encodes, maximumRowBytes: maximumRowBytes)
    }

    /// The one record of a line, read without a file of vectors.
    private func record(_ line: String, key: KeySpec? = nil) throws -> ImportRecord {
        let reader = try reader([line], key: key)
        let record = try #require(try reader.next())
        #expect(try reader.next() == nil)
        #expect(reader.rowsSeen == 1)
        return record
    }

    @Test func everyFieldIsRead() throws {
        let line = """
            {"id": "a-1", "text": "  A zebra \\u00e9 \\n", "image_id": 34, "source": "coco", "origin": "synthetic", \
            "lang": "en", "payload": {"n": 1}, "vector": [0.5, -1e-1]}
            """
        let fields = EntryFields(
            externalID: "a-1", text: "A zebra é", imageID: "34", origin: .synthetic, lang: "en", source: "coco",
            payload: .object(["n": .integer(1)]))
        #expect(try record(line) == .row(ImportRow(row: 1, line: 1, byte: 0, fields: fields, vector: [0.5, -0.1])))
    }

    @Test func fieldsMayBeAbsentOrNull() throws {
        let nulls = """
            {"id": null, "caption": "x", "text": null, "image_id": null, "source": null, "origin": null, "lang": null, \
            "payload": null, "vector_base64": null, "vector": [1, 0]}
            """
        for line in [nulls, #"{"caption":"x","vector":[1,0]}"#, #"{"caption":" x","text":"x ","vector":[1,0]}"#] {
            let row = ImportRow(row: 1, line: 1, byte: 0, fields: EntryFields(text: "x"), vector: [1, 0])
            #expect(try record(line) == .row(row))
        }
    }

    @Test(arguments: [
        ("7", "7"), ("-3", "-3"), ("-0", "0"), ("18446744073709551616", "18446744073709551616"), (#""007""#, "007"),
    ])
    func idsAreStringsOrIntegersOfAnySize(json: String, expected: String) throws {
        let row = try record(#"{"id":\#(json),"image_id":\#(json),"text":"x","vector":[1,0]}"#).row
        #expect(row?.fields.externalID == expected)
        #expect(row?.fields.imageID == expected)
    }

    @Test func unknownFieldsGoToThePayload() throws {
        let row = try record(
            #"{"text":"x","vector":[1,0],"def":"a cat","n":null,"payload":{"own":1.5,"same":2},"same":2.0}"#
        ).row
        #expect(
            row?.fields.payload
                == .object(["def": .string("a cat"), "n": .null, "own": .number(1.5), "same": .integer(2)]))
        let empty = try record(#"{"text":"x","vector":[1,0],"payload":{}}"#).row
        #expect(empty?.fields.payload == .object([:]))
    }

    @Test func base64VectorIsRead() throws {
        let text = QueryVectors.base64([0.25, -3])
        #expect(try record(#"{"text":"x","vector_base64":"\#(text)"}"#).row?.vector == [0.25, -3])
    }

    @Test(arguments: [
        (#"{"vector":[1,0]}"#, ErrorCode.missingText),
        (#"{"text":" \t\u00a0\n","vector":[1,0]}"#, .missingText),
        (#"{"text":null,"vector":[1,0]}"#, .missingText),
        (#"{"text":5,"vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a\u0000b","vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a","id":"a\u0000","vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a","caption":"b","vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a","id":1.5,"vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a","id":true,"vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a","id":"","vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a","image_id":[1],"vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a","origin":"robot","vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a","lang":{},"vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a","source":1,"vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a","payload":[1],"vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a","payload":{"x":1},"x":2,"vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a","big":1e999,"vector":[1,0]}"#, .invalidValue),
        (#"{"text":"a","vector":"1,0"}"#, .invalidValue),
        (#"{"text":"a","vector":[1,"0"]}"#, .invalidValue),
        (#"{"text":"a","vector":[1,0],"vector_base64":"AACAPwAAAAA="}"#, .invalidValue),
        (#"{"text":"a","vector_base64":[1,0]}"#, .invalidValue),
        (#"{"text":"a"}"#, .missingVector),
        (#"{"text":"a","vector":null}"#, .missingVector),
        (#"{"text":"a","vector":[]}"#, .vectorDimMismatch),
        (#"{"text":"a","vector":[1]}"#, .vectorDimMismatch),
        (#"{"text":"a","vector":[1,2,3]}"#, .vectorDimMismatch),
        (#"{"text":"a","vector_base64":""}"#, .vectorDimMismatch),
        (#"{"text":"a","vector_base64":"AACAPw=="}"#, .vectorDimMismatch),
        (#"{"text":"a","vector":[1,NaN]}"#, .vectorNotFinite),
        (#"{"text":"a","vector":[1,-Infinity]}"#, .vectorNotFinite),
        (#"{"text":"a","vector":[1e39,0]}"#, .vectorNotFinite),
        (#"{"text":"a","vector_base64":"AACAPwAAgH8="}"#, .vectorNotFinite),
        (#"{"text":"a","vector":[0,-0.0]}"#, .vectorZero),
        (#"{"text":"a","vector_base64":"AAAAAAAAAAA="}"#, .vectorZero),
        (#"{"text":"a","vector_base64":"%%%"}"#, .invalidBase64),
        (#"{"text":"a","vector_base64":"AAAA"}"#, .invalidBase64),
        ("5", .invalidJSON), ("text", .invalidJSON), ("{", .invalidJSON),
        (#"{"text":"a","vector":[1,0]} {}"#, .invalidJSON),
        (#"{"text":"a","text":"b","vector":[1,0]}"#, .invalidJSON),
        (#"{"text":"a","vector":[1,0],"vector":[1,0]}"#, .invalidJSON),
        (#"{"text":"a","x":NaN,"vector":[1,0]}"#, .invalidJSON),
    ])
    func faultyRowIsRejectedWithItsReason(line: String, code: ErrorCode) throws {
        let reject = try record(line).reject
        #expect(reject?.code == code)
        #expect(reject?.line == 1)
        #expect(reject?.excerpt == line)
        #expect(reject?.detail.isEmpty == false)
    }

    @Test func wrongCountSaysGotAndExpected() throws {
        let reject = try record(#"{"text":"a","vector":[1,2,3]}"#).reject
        #expect(reject?.detail == "vector: got 3 numbers, expected 2")
    }

    @Test func zeroVectorIsAcceptedUnderInnerProduct() throws {
        let key = KeySpec(name: "text", dim: 2, metric: .innerProduct)
        #expect(try record(#"{"text":"a","vector":[0,0]}"#, key: key).row?.vector == [0, 0])
    }

    @Test func invalidUTF8IsRejectedWithARepairedExcerpt() throws {
        let bytes = Array(#"{"text":"caf"#.utf8) + [0xE9] + Array(#"","vector":[1,0]}"#.utf8)
        let reader = try ImportReader(
            rowsPath: try folder.write("rows.jsonl", bytes), vectorsPath: nil, key: key)
        let reject = try #require(try reader.next()?.reject)
        #expect(reject.code == .invalidUTF8)
        #expect(reject.detail.contains("byte 12"))
        #expect(reject.excerpt == "{\"text\":\"caf\u{FFFD}\",\"vector\":[1,0]}")
    }

    @Test func tooLongRowIsRejectedAndReadingGoesOn() throws {
        let good = #"{"text":"a","vector":[1,0]}"#
        let long = #"{"text":"\#(String(repeating: "ü", count: 300))","vector":[1,0]}"#
        let records = try reader([good, long, good], maximumRowBytes: 100).readAll().records
        #expect(records.map(\.reject?.code) == [nil, .rowTooLong, nil])
        #expect(records[1].reject?.excerpt == String(long.prefix(200)))
        #expect(records[1].reject?.line == 2)
        #expect(records[2].row?.line == 3)
    }

    @Test func secondRowWithAnIDIsRejectedNamingTheFirst() throws {
        let records = try reader([
            #"{"id":"7","vector":[1,0]}"#, "", #"{"id":7,"text":"a","vector":[1,0]}"#,
            #"{"id":"7","text":"b","vector":[1,0]}"#, #"{"text":"c","vector":[1,0]}"#,
            #"{"text":"c","vector":[1,0]}"#,
        ]).readAll().records
        #expect(records.map(\.reject?.code) == [.missingText, nil, .duplicateExternalID, nil, nil])
        #expect(records[2].reject?.detail.contains("by row 2") == true)
    }

    @Test func blankLinesAreNoRows() throws {
        let reader = try reader(
            ["", " \t ", #"{"text":"a"}"#, "\r", #"{"text":"b"}"#, ""], vectors: [[1, 0], [0, 1]])
        let (records, error) = reader.readAll()
        #expect(error == nil)
        #expect(records.map(\.row?.line) == [3, 5])
        #expect(records.map(\.row?.vector) == [[1, 0], [0, 1]])
    }

    @Test func rejectedRowsKeepLaterVectorsInPlace() throws {
        let lines = [
            #"{"text":"a"}"#, "not json", #"{"text":"b"}"#, "", #"{"text":"c","vector":[9,9]}"#,
            #"{"text":"d","vector_base64":"x"}"#, String(repeating: "y", count: 200), #"{"text":"e"}"#,
            #"{"text":"f"}"#, #"{"text":"g"}"#,
        ]
        let vectors = (1...9).map { [Float($0), 1] }
        var faulty = vectors
        faulty[6] = [.nan, 1]
        faulty[7] = [0, 0]
        let reader = try reader(lines, vectors: faulty, maximumRowBytes: 100)
        let (records, error) = reader.readAll()
        #expect(error == nil)
        #expect(
            records.map(\.reject?.code) == [
                nil, .invalidJSON, nil, .unexpectedVector, .unexpectedVector, .rowTooLong, .vectorNotFinite,
                .vectorZero, nil,
            ])
        #expect(records.compactMap(\.row?.vector) == [vectors[0], vectors[2], vectors[8]])
        #expect(records.compactMap(\.row?.fields.text) == ["a", "b", "g"])
        #expect(reader.rowsSeen == 9)
    }

    @Test(arguments: [(3, 5), (5, 3), (0, 2), (2, 0)])
    func unequalCountsAreAnErrorThatSaysBoth(rows: Int, vectors: Int) throws {
        var lines = Array(repeating: #"{"text":"a"}"#, count: rows)
        lines.insert("", at: rows / 2)
        let reader = try reader(lines + ["", " "], vectors: Array(repeating: [1, 0], count: vectors))
        let (records, error) = reader.readAll()
        #expect(records.count == min(rows, vectors))
        let got = error as? DatastoreError
        #expect(got?.code == .rowsVectorsMismatch)
        #expect(got?.detail.contains("rows.jsonl has \(rows) rows, vectors.npy has \(vectors) vectors") == true)
        #expect(datastoreError { _ = try reader.next() } == got, "keeps failing")
    }

    @Test func dimOfTheFileMustBeTheKeys() throws {
        let error = datastoreError { _ = try reader([#"{"text":"a"}"#], vectors: [[1, 2, 3]]) }
        #expect(error?.code == .vectorDimMismatch)
        #expect(error?.detail.contains("got vectors of 3 numbers, expected 2") == true)
    }

    @Test func missingFilesAreUnreadable() throws {
        let rows = try folder.write("rows.jsonl", "")
        let none = folder.url.appending(path: "none").path()
        for (rowsPath, vectorsPath) in [(none, nil), (rows, none)] as [(String, String?)] {
            let error = datastoreError {
                _ = try ImportReader(rowsPath: rowsPath, vectorsPath: vectorsPath, key: key)
            }
            #expect(error?.code == .sourceUnreadable)
        }
    }

    @Test func onlyHalfPrecisionFilesAreHalfPrecision() throws {
        let line = [#"{"text":"a"}"#]
        #expect(try reader(line, vectors: [[1, 0]], type: .f16).vectorsAreHalfPrecision)
        #expect(try !reader(line, vectors: [[1, 0]], type: .f32).vectorsAreHalfPrecision)
        #expect(try !reader(line, vectors: [[1, 0]], type: .f64).vectorsAreHalfPrecision)
        #expect(try !reader(line).vectorsAreHalfPrecision)
    }

    @Test func truncatedGzipGivesItsRowsAndThenTheError() throws {
        let lines = (0..<2000).map { #"{"id":\#($0),"text":"row \#($0)","vector":[1,\#($0)]}"# }
        let file = try gzip(Array(lines.joined(separator: "\n").utf8))
        let path = try folder.write("rows.gz", Array(file.dropLast(file.count / 3)))
        let reader = try ImportReader(rowsPath: path, vectorsPath: nil, key: key)
        let (records, error) = reader.readAll()
        #expect((error as? DatastoreError)?.code == .gzipTruncated)
        #expect(records.allSatisfy { $0.row != nil }, "the last line, cut, is no row")
        #expect(reader.bytesRead <= reader.totalBytes)
    }

    @Test func progressGoesToTheSizeOfTheFile() throws {
        let reader = try reader([#"{"text":"a","vector":[1,0]}"#])
        #expect(reader.bytesRead == 0)
        _ = reader.readAll()
        #expect(reader.bytesRead == reader.totalBytes)
    }
}
