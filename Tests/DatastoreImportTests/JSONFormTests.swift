import DatastoreCore
import DatastoreImport
import Testing

/// COCO, Karpathy, lists of captions, texts and LVIS.
struct JSONFormTests {
    private let rows: RowsFixture

    init() throws {
        rows = try RowsFixture()
    }

    // MARK: COCO

    private static let coco = """
        {"info": {"year": 2031, "nested": [[{"a": "]}"}]]}, "licenses": [],
         "images": [{"id": 9, "file_name": "9.jpg"}, {"id": 10, "file_name": "10.jpg"}],
         "annotations": [
          {"image_id": 9, "id": 501, "caption": "A boat on a lake. "},
          {"image_id": 10, "id": 502, "caption": "Zwei Hunde \\"spielen\\"", "lang": "de", "score": 0.5}
         ], "type": "captions"}
        """

    private static let cocoFields = [
        EntryFields(externalID: "501", text: "A boat on a lake.", imageID: "9"),
        EntryFields(
            externalID: "502", text: "Zwei Hunde \"spielen\"", imageID: "10", lang: "de",
            payload: .object(["score": .number(0.5)])),
    ]

    @Test func annotationsOfCocoAreRows() throws {
        #expect(try rows.fields(Self.coco, as: .coco) == Self.cocoFields)
        let records = try rows.records(Self.coco)
        #expect(records.map(\.row?.line) == [4, 5])
        for row in records.compactMap(\.row) {
            #expect(Array(Self.coco.utf8)[row.byte...].starts(with: Array(#"{"image_id": "#.utf8)))
        }
    }

    @Test func membersOfCocoMayComeInAnyOrder() throws {
        let text = """
            {"annotations":[{"id":1,"image_id":2,"caption":"a"}],"x":"}]","images":[{"id":2}],"info":null}
            """
        #expect(try rows.fields(text, as: .coco) == [EntryFields(externalID: "1", text: "a", imageID: "2")])
        #expect(try rows.fields(#"{"images":[{"id":2}],"annotations":[]}"#, as: .coco) == [])
    }

    @Test func faultyAnnotationsAreRejectedOneByOne() throws {
        let text = """
            {"images": [], "annotations": [
            {"id": 1, "caption": "good"}, 5, {"id": 2}, {"id": 3, "caption": " "}, {"id": 1, "caption": "again"},
            {"id": 4, "caption": "x", "n": 01}, {"id": 5, "caption": "\(String(repeating: "y", count: 300))"},
            {"id": [6], "caption": "x"}, {"id": 7, "caption": "a\\u0000b"}, {"id": 8, "caption": "last"}]}
            """
        let records = try rows.records(text, as: .coco, maximumRowBytes: 100)
        #expect(
            records.map(\.reject?.code) == [
                nil, .invalidJSON, .missingText, .missingText, .duplicateExternalID, .invalidJSON, .rowTooLong,
                .invalidValue, .invalidValue, nil,
            ])
        #expect(records.compactMap(\.reject).map(\.row) == Array(2...9))
        #expect(records[1].reject?.excerpt == "5")
        #expect(records[6].reject?.detail == "got a row of 324 bytes, expected at most 100")
        #expect(records[9].row?.line == 4)
    }

    @Test func invalidUTF8InAnAnnotationIsItsOwn() throws {
        var bytes = Array(#"{"images":[],"annotations":[{"caption":"#.utf8)
        bytes += Array("\"caf".utf8) + [0xE9] + Array("\"},{\"caption\":\"café\"}]}".utf8)
        let records = try rows.reader(bytes).readAll()
        #expect(records.error == nil)
        #expect(records.records.map(\.reject?.code) == [.invalidUTF8, nil])
    }

    @Test func vectorsBelongToAnnotationsInOrder() throws {
        let text = #"{"images":[],"annotations":[{"caption":"a"},{"caption":7},{"caption":"c"}]}"#
        let records = try rows.records(text, vectors: 3)
        #expect(records.map(\.row?.vector) == [[1, 1], nil, [3, 1]])
        #expect(rows.error(text, vectors: 2)?.code == .rowsVectorsMismatch)
        #expect(rows.error(text, vectors: 4)?.code == .rowsVectorsMismatch)
    }

    @Test func rowsWithoutVectorNeedAnEncoder() throws {
        let path = try rows.folder.write("rows", Self.coco)
        let reader = try ImportReader(rowsPath: path, vectorsPath: nil, key: rows.key)
        #expect(reader.readAll().records.map(\.reject?.code) == [.missingVector, .missingVector])
        #expect(try rows.records(Self.coco).allSatisfy { $0.row != nil && $0.row?.vector == nil })
    }

    // MARK: Structure

    @Test(arguments: [
        (#"{"images":[],"annotations":[{"caption":"a"},{"caption":"b"#, "annotations[1]", "byte 57"),
        (#"{"images":[],"annotations":[{"caption":"a"}"#, "annotations[0]", "byte 43"),
        (#"{"images":[],"annotations":[{"caption":"a"}]"#, "", "byte 44"),
        (#"{"images":[],"annotations":[{"caption":"a"} {"caption":"b"}]}"#, "annotations[0]", "byte 44"),
        (#"{"images":[],"annotations":[{"caption":"a"},]}"#, "annotations[1]", "got ']', expected a value"),
        (#"{"images":[],"annotations":[{"caption":["a"}]}"#, "annotations[0]", "got '}', expected ']'"),
        (#"{"images":[],"annotations":[{"caption":"a"}],}"#, "", "expected a name"),
        (#"{"images":[],"annotations":[{"caption":"a"}]} x"#, "", "got 'x'"),
        (#"{"images":[],"annotations":[],"annotations":[]}"#, "annotations", "no more than once"),
        (#"{"images":[],"annotations" [{"caption":"a"}]}"#, "", "expected ':'"),
        (#"{"images":[],"a\x":1,"annotations":[]}"#, "", "a name"),
    ])
    func structuralDamageNamesFileAndPlace(text: String, path: String, place: String) {
        for text in [text, "\n" + text] {
            let error = rows.error(text, ImportOptions(format: .coco))
            #expect(error?.code == .invalidJSON)
            #expect(error?.detail.hasPrefix("rows: not valid JSON: byte ") == true)
            #expect(error?.detail.contains(path) == true, "\(error?.detail ?? "")")
            #expect(error?.detail.contains(text.hasPrefix("\n") ? "line 2" : place) == true, "\(error?.detail ?? "")")
        }
    }

    @Test func depthIsBounded() throws {
        let deep = { (levels: Int) in String(repeating: "[", count: levels) + String(repeating: "]", count: levels) }
        func coco(_ value: String) -> String { #"{"images":[],"x":\#(value),"annotations":[{"caption":\#(value)}]}"# }
        #expect(try rows.records(coco(deep(200)), as: .coco).map(\.reject?.code) == [.invalidJSON])
        #expect(rows.error(coco(deep(100_000)), ImportOptions(format: .coco))?.code == .invalidJSON)
        #expect(
            rows.error(coco(String(repeating: "{\"\":", count: 9000)), ImportOptions(format: .coco))?.code
                == .invalidJSON)
    }

    // MARK: Karpathy

    private static let karpathy = """
        {"images": [
        {"sentids": [1, 2], "sentences": [{"tokens": ["a", "cat"], "raw": "A cat.", "imgid": 0, "sentid": 1},
          {"tokens": ["the", "cat"], "sentid": 2}], "imgid": 0, "split": "train", "filename": "0.tif"},
        {"sentences": [{"raw": "A dog.", "sentid": 3}], "imgid": 1, "split": "val", "filename": "1.tif"},
        {"cocoid": 77, "sentences": [{"raw": "A cow.", "tokens": ["a", "cow"], "sentid": 4}], "imgid": 2,
          "split": "restval", "filename": "2.tif", "filepath": "val2014"},
        {"sentences": [{"raw": "A hen.", "sentid": 5}], "imgid": 3, "split": "test"}], "dataset": "farm"}
        """

    @Test func sentencesOfKarpathyAreRows() throws {
        let payloads = [("train", nil), ("train", nil), ("val", nil), ("restval", "2.tif"), ("test", nil)]
            .map { (split: String, filename: String?) in
                var payload = ["split": JSONValue.string(split)]
                payload["filename"] = filename.map { .string($0) }
                return JSONValue.object(payload)
            }
        let expected = [
            EntryFields(externalID: "1", text: "A cat.", imageID: "0.tif", payload: payloads[0]),
            EntryFields(externalID: "2", text: "the cat", imageID: "0.tif", payload: payloads[1]),
            EntryFields(externalID: "3", text: "A dog.", imageID: "1.tif", payload: payloads[2]),
            EntryFields(externalID: "4", text: "A cow.", imageID: "77", payload: payloads[3]),
            EntryFields(externalID: "5", text: "A hen.", imageID: "3", payload: payloads[4]),
        ]
        #expect(try rows.fields(Self.karpathy, as: .karpathy) == expected)
        #expect(try rows.records(Self.karpathy).map(\.row?.line) == [2, 3, 4, 5, 7])
        let tokens = try rows.fields(Self.karpathy, ImportOptions(captionText: .tokens))
        #expect(tokens.map(\.text) == ["a cat", "the cat", "A dog.", "a cow", "A hen."])
    }

    @Test func bytesOfSentencesAreTheirOwn() throws {
        for row in try rows.records(Self.karpathy).compactMap(\.row) {
            let rest = Array(Self.karpathy.utf8)[row.byte...]
            #expect(rest.starts(with: Array(#"{"tokens""#.utf8)) || rest.starts(with: Array(#"{"raw""#.utf8)))
        }
    }

    @Test(arguments: [
        (["train"], ["1", "2", "4"]), (["restval"], ["4"]), (["val", "test"], ["3", "5"]),
        (["val", "nonsense"], ["3"]), ([], ["1", "2", "3", "4", "5"]),
    ])
    func splitsSelectRows(splits: [String], ids: [String]) throws {
        let fields = try rows.fields(Self.karpathy, ImportOptions(splits: splits))
        #expect(fields.map(\.externalID) == ids)
        let records = try rows.records(Self.karpathy, ImportOptions(splits: splits), vectors: ids.count)
        #expect(records.map(\.row?.vector) == ids.indices.map { [Float($0 + 1), 1] }, "only these have vectors")
    }

    @Test func unknownSplitListsThoseOfTheFile() {
        let error = rows.error(Self.karpathy, ImportOptions(splits: ["validation"]))
        #expect(error?.code == .unknownSplit)
        #expect(error?.detail.contains("\"validation\"") == true)
        #expect(error?.detail.contains(#""restval", "test", "train", "val""#) == true)
    }

    @Test func imageThatCannotBeReadIsOneRow() throws {
        let text = """
            {"images": [{"sentences": 5, "split": "val"}, {"split": "val", "sentences": [{"raw": "a"}, 7, {"raw": 1}]},
            7, {"sentences": [{"raw": "b"}], "split": 01}, {"sentences": [{"tokens": [1]}, {}]},
            {"sentences": [{"raw": "c"}], "split": "val"}]}
            """
        let records = try rows.records(text, ImportOptions(format: .karpathy))
        #expect(
            records.map(\.reject?.code) == [
                .malformedRow, nil, .malformedRow, .invalidValue, .invalidJSON, .invalidJSON, .invalidValue,
                .missingText, nil,
            ])
        let selected = try rows.records(text, ImportOptions(format: .karpathy, splits: ["val"]))
        #expect(selected.map(\.reject?.code).contains(.malformedRow))
        #expect(selected.compactMap(\.row?.fields.text) == ["a", "c"])
        let error = rows.error(text, ImportOptions(format: .karpathy), vectors: 9)
        #expect(error?.code == .rowsVectorsMismatch, "no one knows how many vectors the first image has")
        #expect(error?.detail.contains("byte 12, line 1") == true)
    }

    // MARK: Lists of captions

    @Test func captionListsAreTakenApart() throws {
        let text = """
            [{"image": "a.jpg", "caption": ["One.", "Two. "], "id": 7, "w": 1},
             {"image_id": 5, "image": "b.jpg", "caption": "Three.", "id": "x"},
             {"url": "http://host/c.jpg", "caption": "Four.", "lang": "en"}, {"image": "d.jpg", "caption": []},
             {"image": "e.jpg", "captions": ["Five."]}]
            """
        let expected = [
            EntryFields(externalID: "7#0", text: "One.", imageID: "a.jpg", payload: .object(["w": .integer(1)])),
            EntryFields(externalID: "7#1", text: "Two.", imageID: "a.jpg", payload: .object(["w": .integer(1)])),
            EntryFields(
                externalID: "x", text: "Three.", imageID: "5", payload: .object(["image": .string("b.jpg")])),
            EntryFields(text: "Four.", imageID: "http://host/c.jpg", lang: "en"),
            EntryFields(text: "Five.", imageID: "e.jpg"),
        ]
        #expect(try rows.fields(text, as: .captionList) == expected)
    }

    @Test func faultyCaptionsAreRejectedOneByOne() throws {
        let text = """
            [{"image": "a", "caption": "good"}, {"image": "b", "caption": ["x", 5, null, " ", "y"]},
             {"image": "c", "caption": {}}, {"image": "d"}, {"image": [1], "caption": "x"}]
            """
        #expect(
            try rows.records(text, as: .captionList).map(\.reject?.code) == [
                nil, nil, .invalidValue, .missingText, .missingText, nil, .invalidValue, .missingText, .invalidValue,
            ])
        let damaged = #"[{"image":"a","caption":"x"},{"caption":01}]"#
        #expect(rows.error(damaged, vectors: 2)?.code == .rowsVectorsMismatch)
        #expect(try rows.records(damaged).map(\.reject?.code) == [nil, .invalidJSON])
    }

    // MARK: Texts

    @Test func arrayOfTextsIsRead() throws {
        let text = "[\"One.\",\n \" Two \\u00e9\", \"\", null, 5, \"Six\"]"
        let records = try rows.records(text, as: .texts)
        #expect(records.map(\.row?.fields.text) == ["One.", "Two é", nil, nil, nil, "Six"])
        #expect(records.map(\.reject?.code) == [nil, nil, .missingText, .missingText, .invalidValue, nil])
        #expect(records.compactMap(\.row?.fields.externalID) == [])
        #expect(records.last?.row?.line == 2)
    }

    @Test func objectOfTextsIsReadByNumber() throws {
        let text = """
            {"0": "One.", "1": {"caption": "Two.", "image_id": 4, "id": 9}, "2": {"text": "Three."}, "3": null,
             "4": [1]}
            """
        let records = try rows.records(text, as: .texts, vectors: 5)
        #expect(records.map(\.reject?.code) == [nil, nil, nil, .missingText, .invalidValue])
        let fields = records.compactMap(\.row?.fields)
        #expect(fields.map(\.externalID) == ["0", "1", "2"])
        #expect(
            fields[1]
                == EntryFields(
                    externalID: "1", text: "Two.", imageID: "4", payload: .object(["id": .integer(9)])))
    }

    @Test(arguments: [
        (#"{"0":"a","2":"b","1":"c"}"#, "2", "1"), (#"{"1":"a"}"#, "1", "0"), (#"{"0":"a","0":"b"}"#, "0", "1"),
        (#"{"00":"a"}"#, "00", "0"), (#"{"0":"a","x":"b"}"#, "x", "1"),
    ])
    func keysOutOfOrderAreRefused(text: String, got: String, expected: String) {
        let error = rows.error(text)
        #expect(error?.code == .formatMismatch)
        #expect(error?.detail.contains("got the key \"\(got)\", expected \"\(expected)\"") == true)
        #expect(error?.detail.hasPrefix("rows: byte ") == true)
    }

    // MARK: LVIS

    @Test func namesOfLVISHaveSpaces() throws {
        let text = """
            [{"name": "spray_can", "id": 4, "synonyms": ["spray_can", "aerosol"], "def": "a can", "synset": "can.n.01",
              "frequency": "c", "image_count": 3, "instance_count": 5},
             {"id": 5, "name": "bow_(weapon)", "synonyms": []}, {"id": 6, "synonyms": []}]
            """
        let records = try rows.records(text, as: .lvis)
        let payload = JSONValue.object([
            "name": .string("spray_can"), "synonyms": .array([.string("spray_can"), .string("aerosol")]),
            "definition": .string("a can"), "synset": .string("can.n.01"), "frequency": .string("c"),
            "image_count": .integer(3), "instance_count": .integer(5),
        ])
        #expect(records[0].row?.fields == EntryFields(externalID: "4", text: "spray can", payload: payload))
        #expect(records[1].row?.fields.text == "bow (weapon)")
        #expect(records[2].reject?.code == .missingText)
    }
}
