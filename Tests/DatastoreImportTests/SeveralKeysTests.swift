import DatastoreCore
import DatastoreImport
import Foundation
import TestSupport
import Testing

struct SeveralKeysTests {
    private var fixture: KeysFixture

    init() throws {
        fixture = try KeysFixture()
    }

    private static let image = "[1, 2.5, -3]"
    private static let whole = #"{"text":"a","vectors":{"image":\#(image),"text":[1,0],"lexical":{"cat":0.5}}}"#
    private static let vectors: [KeyVector?] = [
        .sparse(SparseVector(ascending: [0], values: [0.5])), .dense([1, 0]), .dense([1, 2.5, -3]),
    ]

    @Test func vectorsOfEachKeyAreReadFromTheRow() throws {
        let row = try #require(try fixture.record(Self.whole).row)
        #expect(row.vectors == Self.vectors)
        #expect(row.vector == [1, 0])
        #expect(row.fields == EntryFields(text: "a"))
    }

    @Test func vectorIsTheFirstDenseKeys() throws {
        let base64 = QueryVectors.base64([1, 0])
        for given in [
            "\"vector\":[1,0]", "\"vector_base64\":\"\(base64)\"",
            "\"vector\":null,\"vector\u{5f}base64\":\"\(base64)\"",
        ] {
            let line = #"{"text":"a",\#(given),"vectors":{"image":\#(Self.image),"lexical":{"cat":0.5},"text":null}}"#
            #expect(try fixture.record(line).row?.vectors == Self.vectors)
        }
    }

    @Test func denseKeysByNameTakeBase64() throws {
        let line = """
            {"text":"a","vectors":{"image":"\(QueryVectors.base64([1, 2.5, -3]))","text":"\(QueryVectors.base64([1, 0]))",\
            "lexical":{"indices":[0],"values":[0.5]}}}
            """
        #expect(try fixture.record(line).row?.vectors == Self.vectors)
    }

    @Test(arguments: [
        (#""vector":[1,0],"vectors":{"text":[1,0]}"#, ErrorCode.invalidValue, #""vector" and "vectors.text""#),
        (
            #""vectors":{"text":[1,0]},"vector_base64":"AACAPwAAAAA=""#, .invalidValue,
            #""vectors.text" and "vector_base64""#
        ),
        (#""vectors":{"tekst":[1,0]}"#, .unknownKey, "lexical, text, image"),
        (#""vectors":{"tekst":{"indices":[9,NaN],"a":"b"}}"#, .invalidJSON, "byte"),
        (#""vectors":{"tekst":{"a":NaN},"text":[[1]]}"#, .unknownKey, "vectors.tekst"),
        (#""vectors":[1,0]"#, .invalidValue, "vectors: got an array, expected an object"),
        (#""vectors":"x""#, .invalidValue, "vectors: got a string"),
        (#""vectors":{"text":5}"#, .invalidValue, "vectors.text: got a number, expected an array of numbers or base64"),
        (#""vectors":{"text":{"cat":1}}"#, .invalidValue, "vectors.text: got an object"),
        (#""vectors":{"text":[1,"0"]}"#, .invalidValue, "vectors.text: got something else than a number at position 1"),
        (#""vectors":{"text":"%%%%"}"#, .invalidBase64, "vectors.text: got 4 characters"),
        (#""vectors":{"text":[1,0,0]}"#, .vectorDimMismatch, "vectors.text: got 3 numbers, expected 2"),
        (#""vector":[1,0],"vectors":{"image":[1,0]}"#, .vectorDimMismatch, "vectors.image: got 2 numbers, expected 3"),
        (#""vectors":{"text":[1,0],"image":[1,NaN,0],"lexical":{}}"#, .vectorNotFinite, "vectors.image: got nan"),
        (#""vectors":{"text":[0,0],"image":[1,0,0],"lexical":{}}"#, .vectorZero, "vector: got a vector of zeros"),
        (#""vectors":{"text":[1,0],"text":[1,0]}"#, .invalidJSON, "occurs twice"),
        (#""vectors":{},"vectors":{}"#, .invalidJSON, "occurs twice"),
        (#""vectors":{"text":[1,0}"#, .invalidJSON, "byte"),
        (#""vectors":{"text":[1,0],"image":[0,0,0]}"#, .missingVector, #"key "lexical": expected weights of terms"#),
        (#""vector":[1,0],"vectors":{"lexical":{}}"#, .missingVector, #"key "image": expected a vector in "vectors""#),
        (#""vectors":{"image":[0,0,0],"lexical":{}}"#, .missingVector, #"key "text": expected "vector" or"#),
        (#""vectors":{"image":null,"text":[1,0],"lexical":{}}"#, .missingVector, #"key "image""#),
        (#""vectors":null"#, .missingVector, #"key "lexical""#),
        (#""vectors":{}"#, .missingVector, #"key "lexical""#),
    ])
    func faultyVectorIsRejectedNamingItsKey(members: String, code: ErrorCode, part: String) throws {
        let reject = try #require(try fixture.record(#"{"text":"a",\#(members)}"#).reject)
        #expect(reject.code == code)
        #expect(reject.detail.contains(part), "\(reject.detail)")
    }

    @Test func vectorWithoutADenseKeyIsUnexpected() throws {
        var fixture = fixture
        fixture.keys = [fixture.keys[0]]
        let reject = try fixture.record(#"{"text":"a","vector":[1,0],"vectors":{"lexical":{}}}"#).reject
        #expect(reject?.code == .unexpectedVector)
        let row = try fixture.record(#"{"text":"a","vectors":{"lexical":{}}}"#).row
        #expect(row?.vectors == [.sparse(.empty)])
        #expect(row?.vector == nil)
    }

    @Test func vectorsAreNoFieldOfThePayload() throws {
        let row = try fixture.record(
            #"{"more":1,"vectors":\#(#"{"image":[1,0,0],"text":[1,0],"lexical":{}}"#),"text":"a"}"#
        ).row
        #expect(row?.fields.payload == .object(["more": .integer(1)]))
    }

    @Test func filesAndRowsTogetherGiveTheVectors() throws {
        let image = NumpyFixture(rows: [[1, 2.5, -3]], dim: 3)
        let line = #"{"text":"a","vector":[1,0],"vectors":{"lexical":{"cat":0.5}}}"#
        #expect(try fixture.record(line, ["image": image]).row?.vectors == Self.vectors)
        let text = NumpyFixture(rows: [[1, 0]], dim: 2)
        let other = #"{"text":"a","vectors":{"image":\#(Self.image),"lexical":{"cat":0.5}}}"#
        #expect(try fixture.record(other, ["text": text]).row?.vectors == Self.vectors)
        let both = #"{"text":"a","vectors":{"lexical":{"cat":0.5}}}"#
        #expect(try fixture.record(both, ["text": text, "image": image]).row?.vectors == Self.vectors)
    }

    @Test(arguments: [
        #""vector":[1,0]"#, #""vector_base64":"x""#, #""vectors":{"text":[1,0]}"#, #""vectors":{"text":{"x":NaN}}"#,
        #""vector":[NaN,"x"]"#,
    ])
    func vectorBesideTheKeysFileIsUnexpected(member: String) throws {
        let text = NumpyFixture(rows: [[1, 0]], dim: 2)
        let reject = try fixture.record(#"{"text":"a",\#(member)}"#, ["text": text]).reject
        #expect(reject?.code == .unexpectedVector)
        #expect(reject?.detail.contains(#"key "text""#) == true)
    }

    @Test func vectorsAreUnexpectedWhereFilesHaveThemAll() throws {
        var fixture = fixture
        fixture.keys.removeFirst()
        let files = ["text": NumpyFixture(rows: [[1, 0]], dim: 2), "image": NumpyFixture(rows: [[1, 0, 0]], dim: 3)]
        for vectors in ["{}", "5", #"{"text":[1,0]}"#, #"{"x":1}"#] {
            #expect(try fixture.record(#"{"text":"a","vectors":\#(vectors)}"#, files).reject?.code == .unexpectedVector)
        }
        #expect(try fixture.record(#"{"text":"a","vectors":null}"#, files).row != nil)
    }

    @Test func encoderMakesOnlyWhatItIsAskedFor() throws {
        var fixture = fixture
        fixture.encodes = ["text", "lexical"]
        let line = #"{"text":"a","vectors":{"image":\#(Self.image),"lexical":{}}}"#
        let row = try #require(try fixture.record(line).row)
        #expect(row.vectors == [.sparse(.empty), nil, .dense([1, 2.5, -3])])
        #expect(row.vector == nil)
        #expect(try fixture.record(#"{"text":"a","vectors":{"lexical":{}}}"#).reject?.detail.contains("image") == true)
        let reject = try fixture.record(#"{"text":"a","vectors":{"image":\#(Self.image)}}"#).reject
        #expect(reject?.code == .missingVector)
        #expect(reject?.detail.contains("lexical") == true, "no encoder makes weights of terms")
    }

    @Test func rejectedRowsKeepEveryFileInPlace() throws {
        let lexical = #""vectors":{"lexical":{"indices":[],"values":[]}}"#
        let lines = [
            #"{"text":"a",\#(lexical)}"#, "not json", #"{"text":"b",\#(lexical)}"#, "", #"{\#(lexical)}"#,
            #"{"text":"c","vectors":{"image":[1,2,3]}}"#, #"{"text":"d"}"#, #"{"text":"e",\#(lexical)}"#,
            #"{"text":"f",\#(lexical)}"#, #"{"text":"g",\#(lexical)}"#,
        ]
        let text: [[Float]] = (1...9).map { $0 == 7 ? [.nan, 1] : [Float($0), 1] }
        let image: [[Float]] = (1...9).map { $0 == 8 ? [.infinity, 0, 0] : [Float($0), 0, 0] }
        for chunkSize in [1, 16, 4096] {
            var fixture = fixture
            fixture.chunkSize = chunkSize
            let reader = try fixture.reader(
                lines, ["text": NumpyFixture(rows: text, dim: 2), "image": NumpyFixture(rows: image, dim: 3)])
            let (records, error) = reader.readAll()
            #expect(error == nil)
            #expect(
                records.map(\.reject?.code) == [
                    nil, .invalidJSON, nil, .missingText, .unexpectedVector, .missingVector, .vectorNotFinite,
                    .vectorNotFinite, nil,
                ])
            #expect(records[6].reject?.detail.hasPrefix("vector: got nan") == true)
            #expect(records[7].reject?.detail.hasPrefix("vectors.image: got inf") == true)
            let rows = records.compactMap(\.row)
            #expect(rows.map { $0.vectors[1]?.numbers } == [text[0], text[2], text[8]])
            #expect(rows.map { $0.vectors[2]?.numbers } == [image[0], image[2], image[8]])
            #expect(reader.vectorRows == 9)
        }
    }

    @Test(arguments: [(3, 5), (5, 3), (0, 2), (2, 0)])
    func filesMustHaveAsManyVectorsAsThereAreRows(rows: Int, vectors: Int) throws {
        let line = #"{"text":"a","vectors":{"lexical":{}}}"#
        let files = [
            "text": NumpyFixture(rows: Array(repeating: [1, 0], count: vectors), dim: 2),
            "image": NumpyFixture(rows: Array(repeating: [1, 0, 0], count: vectors), dim: 3),
        ]
        let (records, error) = try fixture.reader(Array(repeating: line, count: rows), files).readAll()
        #expect(records.count == min(rows, vectors))
        let got = error as? DatastoreError
        #expect(got?.code == .rowsVectorsMismatch)
        let said = "rows has \(rows) rows, text.npy and image.npy have \(vectors) vectors"
        #expect(got?.detail.contains(said) == true)
    }

    @Test func filesOfDifferentLengthsAreRefusedAtOnce() {
        let files = [
            "text": NumpyFixture(rows: [[1, 0], [1, 0]], dim: 2), "image": NumpyFixture(rows: [[1, 0, 0]], dim: 3),
        ]
        let error = datastoreError { _ = try fixture.reader([#"{"text":"a"}"#, #"{"text":"b"}"#], files) }
        #expect(error?.code == .rowsVectorsMismatch)
        #expect(error?.detail.contains("text.npy has 2 vectors, image.npy has 1 vectors") == true)
    }

    @Test(arguments: [
        ("none", ErrorCode.unknownKey, "none"), ("lexical", .invalidValue, "sparse"),
        ("image", .vectorDimMismatch, "image.npy: got vectors of 2 numbers, expected 3 (key image)"),
    ])
    func fileMustBeADenseKeys(key: String, code: ErrorCode, part: String) {
        let error = datastoreError { _ = try fixture.reader([], [key: NumpyFixture(rows: [], dim: 2)]) }
        #expect(error?.code == code)
        #expect(error?.detail.contains(part) == true)
    }

    @Test func halfPrecisionIsToldForEachKey() throws {
        let reader = try fixture.reader(
            [],
            ["text": NumpyFixture(rows: [], dim: 2, type: .f32), "image": NumpyFixture(rows: [], dim: 3, type: .f16)])
        #expect((0..<3).map { reader.vectorsAreHalfPrecision(key: $0) } == [false, false, true])
        #expect(!reader.vectorsAreHalfPrecision)
        #expect(!reader.vectorsAreHalfPrecision(key: 3))
        #expect(!reader.vectorsAreHalfPrecision(key: -1))
    }

    @Test func otherFormsTakeVectorsFromFilesOnly() throws {
        var fixture = fixture
        fixture.options = ImportOptions(format: .csv)
        let files = ["text": NumpyFixture(rows: [[1, 0]], dim: 2), "image": NumpyFixture(rows: [[1, 0, 0]], dim: 3)]
        let rows = ["caption,image_id", "a cat,1"]
        let reject = try fixture.reader(rows, files).next()?.reject
        #expect(reject?.code == .missingVector)
        #expect(reject?.detail.contains(#"key "lexical": expected NDJSON rows"#) == true)
        fixture.keys.removeFirst()
        #expect(try fixture.reader(rows, files).next()?.row?.vectors == [.dense([1, 0]), .dense([1, 0, 0])])
        let missing = try fixture.reader(rows, ["text": NumpyFixture(rows: [[1, 0]], dim: 2)]).next()?.reject
        #expect(missing?.detail == #"key "image": expected a file of vectors, or an encoder"#)
    }
}
