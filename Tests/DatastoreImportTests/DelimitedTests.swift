import DatastoreCore
import DatastoreImport
import Testing

/// Comma- and tab-separated values.
struct DelimitedTests {
    private let rows: RowsFixture

    init() throws {
        rows = try RowsFixture()
    }

    @Test(arguments: [",", ";"], ["\n", "\r\n"])
    func columnsAreFoundByTheirNames(delimiter: String, newline: String) throws {
        let lines = [
            ["image_id", "id", "caption", "image", "lang"], ["9", "501", "A boat.", "9.jpg", "en"],
            ["9", "502", "\"A \"\"red\"\"\(delimiter) fast\nboat.\"", "9.jpg", ""],
            ["", "503", " A 5\" nail ", "", ""],
        ]
        let text = lines.map { $0.joined(separator: delimiter) }.joined(separator: newline)
        let image = JSONValue.object(["image": .string("9.jpg")])
        let expected = [
            EntryFields(externalID: "501", text: "A boat.", imageID: "9", lang: "en", payload: image),
            EntryFields(externalID: "502", text: "A \"red\"\(delimiter) fast\nboat.", imageID: "9", payload: image),
            EntryFields(externalID: "503", text: "A 5\" nail"),
        ]
        for text in [text, text + newline, text + newline + newline, "\u{FEFF}" + text] {
            #expect(try rows.fields(text, as: .csv) == expected)
            #expect(try rows.records(text).map(\.row?.line) == [2, 3, 5])
        }
    }

    @Test func oneColumnWithAHeaderIsTheText() throws {
        let fields = try rows.fields("Caption\nA boat\n\"A hat, red\"\n", as: .csv)
        #expect(fields.map(\.text) == ["A boat", "A hat, red"])
        let header = try rows.fields("Caption\nA boat\n", ImportOptions(format: .csv, header: false))
        #expect(header.map(\.text) == ["Caption", "A boat"])
    }

    @Test func fileOfCC3MIsRead() throws {
        let text = "a boat : the photo\thttp://host/a.jpg\n\"hat\" she said\thttps://host/b?x=1\na 5\" nail\thttp://c\n"
        #expect(
            try rows.fields(text, as: .tsv) == [
                EntryFields(text: "a boat : the photo", imageID: "http://host/a.jpg"),
                EntryFields(text: "\"hat\" she said", imageID: "https://host/b?x=1"),
                EntryFields(text: "a 5\" nail", imageID: "http://c"),
            ])
    }

    @Test func onlyWholeFieldsOfTabsAreQuoted() throws {
        let text = "caption\turl\n\"A \"\"red\"\" hat\"\tu\n\"A\" and \"B\"\tu\n\"open\tu\n\"\"\tu\n\"\t\"\n"
        let records = try rows.records(text, ImportOptions(format: .tsv))
        #expect(
            records.map { $0.row?.fields.text ?? $0.reject?.code.rawValue } == [
                "A \"red\" hat", "\"A\" and \"B\"", "\"open", "missing_text", "\"",
            ])
    }

    @Test func columnsWithoutHeaderAreFoundByWhatTheyHold() throws {
        let text = "a.jpg,A boat.\nb.JPG,\"A hat, red.\"\n"
        #expect(
            try rows.fields(text, as: .csv) == [
                EntryFields(text: "A boat.", imageID: "a.jpg"), EntryFields(text: "A hat, red.", imageID: "b.JPG"),
            ])
        let one = try rows.fields("A boat.\n\"A hat, red.\"\n", ImportOptions(format: .csv))
        #expect(one.map(\.text) == ["A boat.", "A hat, red."])
    }

    @Test func columnsAreTakenAsNamed() throws {
        let text = "Key,Words,pic,extra\n1,A boat,a.jpg,x\n2,A hat,b.jpg,\n"
        let options = ImportOptions(columns: ["text": "words", "id": "1", "image_id": "pic"])
        let expected = [
            EntryFields(
                externalID: "1", text: "A boat", imageID: "a.jpg", payload: .object(["extra": .string("x")])),
            EntryFields(externalID: "2", text: "A hat", imageID: "b.jpg"),
        ]
        #expect(try rows.fields(text, options, as: .csv) == expected)
        let numbered = ImportOptions(columns: ["text": "2", "id": "1"], header: false)
        let fields = try rows.fields("1;A boat;7\n2;A hat;8\n", numbered, as: .csv)
        #expect(fields[0] == EntryFields(externalID: "1", text: "A boat", payload: .object(["column_3": .string("7")])))
    }

    @Test(arguments: [
        ("a,b,c\n1,2,3\n", ImportOptions(format: .csv), "3 columns"),
        ("1,2\n3,4\n", ImportOptions(format: .csv), "2 columns"),
        ("id,words\n1,x\n", ImportOptions(format: .csv), #""id", "words""#),
        ("id,words\n1,x\n", ImportOptions(columns: ["text": "wrods"]), #"got the column "wrods""#),
        ("id,words\n1,x\n", ImportOptions(columns: ["text": "3"], header: true), "1 to 2"),
        ("a\tb\n1\t2\n", ImportOptions(columns: ["text": "0"]), "1 to 2"),
        ("\"id\nx", ImportOptions(format: .csv, header: true), "cannot be read"),
    ])
    func unknownColumnsAreListed(text: String, options: ImportOptions, message: String) {
        let error = rows.error(text, options)
        #expect(error?.code == .unknownColumn)
        #expect(error?.detail.contains(message) == true, "\(error?.detail ?? "")")
    }

    @Test func recordsOfAnotherWidthAreRejected() throws {
        let records = try rows.records("image,caption\na.jpg,A boat, red\nb.jpg,A hat\nc.jpg\n", as: .csv)
        #expect(records.map(\.reject?.code) == [.malformedRow, nil, .malformedRow])
        #expect(records[0].reject?.detail == "got 3 fields, expected 2 as in the header")
        #expect(records[2].reject?.detail == "got 1 field, expected 2 as in the header")
    }

    @Test(arguments: [0, 40_000])
    func quoteThatNeverClosesCostsItsLineOnly(count: Int) throws {
        let tail = (0..<count).map { "\($0).jpg,A boat\n" }.joined()
        let text = "image,caption\na.jpg,A boat\nb.jpg,\"A hat\nc.jpg,A cow\nd.jpg,\"A dog\" red\ne.jpg,A hen\n" + tail
        let records = try rows.records(text, as: .csv)
        #expect(records.count == count + 5)
        #expect(records.prefix(5).map(\.reject?.code) == [nil, .malformedRow, nil, .malformedRow, nil])
        #expect(records.prefix(5).map { $0.row?.line ?? $0.reject?.line } == [2, 3, 4, 5, 6])
        #expect(records[1].reject?.excerpt == "b.jpg,\"A hat")
        #expect(records.dropFirst(5).allSatisfy { $0.row != nil })
    }

    @Test func longRecordIsSkipped() throws {
        let text = "image,caption\na.jpg,\(String(repeating: "x", count: 5000))\nb.jpg,A hat\n"
        let reader = try rows.reader(Array(text.utf8), maximumRowBytes: 100, chunkSize: 64)
        let (records, error) = reader.readAll()
        #expect(error == nil)
        #expect(records.map(\.reject?.code) == [.rowTooLong, nil])
    }

    @Test func cellsAreCheckedAsFieldsAre() throws {
        let text = "caption,origin\nA boat,web\nA hat,robot\na\0b,web\n ,web\n"
        let records = try rows.records(text, as: .csv)
        #expect(records.map(\.reject?.code) == [nil, .invalidValue, .invalidValue, .missingText])
        #expect(records[0].row?.fields.origin == .web)
    }

    @Test func headersMayLackNamesOrRepeatThem() throws {
        let fields = try rows.fields(",caption,note,note\n0,A boat,x,y\n", as: .csv)
        let payload = JSONValue.object([
            "column_1": .string("0"), "note": .string("x"), "column_4": .string("y"),
        ])
        #expect(fields == [EntryFields(text: "A boat", payload: payload)])
    }
}
