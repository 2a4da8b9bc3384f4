import DatastoreCore
import DatastoreImport
import Testing

/// Flickr's two forms and plain text.
struct LineFormTests {
    private let rows: RowsFixture

    init() throws {
        rows = try RowsFixture()
    }

    @Test(arguments: ["\n", "\r\n"])
    func flickrTokensAreRead(newline: String) throws {
        let lines = ["12_ab.jpg#0\tA boat .", "", "12_ab.jpg#1\t A red\tboat ", "a#b.jpg#0\tA hat"]
        let expected = [
            EntryFields(externalID: "12_ab.jpg#0", text: "A boat .", imageID: "12_ab.jpg"),
            EntryFields(externalID: "12_ab.jpg#1", text: "A red\tboat", imageID: "12_ab.jpg"),
            EntryFields(externalID: "a#b.jpg#0", text: "A hat", imageID: "a#b.jpg"),
        ]
        let text = lines.joined(separator: newline)
        #expect(try rows.fields(text, as: .flickrToken) == expected)
        #expect(try rows.records(text + newline).map(\.row?.line) == [1, 3, 4])
    }

    @Test func faultyTokensAreRejected() throws {
        let lines = (0..<20).map { "p.jpg#\($0)\tA boat ." } + ["p.jpg#20 A boat .", "p.jpg\tA boat", "#1\tx", "p#1\t"]
        let records = try rows.records(lines.joined(separator: "\n"), as: .flickrToken)
        #expect(
            records.compactMap(\.reject?.code) == [.malformedRow, .malformedRow, .malformedRow, .missingText])
        #expect(records.compactMap(\.reject?.line) == [21, 22, 23, 24])
        #expect(records[20].reject?.excerpt == "p.jpg#20 A boat .")
    }

    @Test(arguments: ["image_name|comment_number|comment\n", "image_name| comment_number| comment\r\n", ""])
    func flickrResultsAreReadWithAndWithoutHeader(header: String) throws {
        let text = header + "9.jpg|0|A boat .\n9.jpg| 1| A boat | two boats .\n8.jpg|0| A hat"
        let expected = [
            EntryFields(externalID: "9.jpg#0", text: "A boat .", imageID: "9.jpg"),
            EntryFields(externalID: "9.jpg#1", text: "A boat | two boats .", imageID: "9.jpg"),
            EntryFields(externalID: "8.jpg#0", text: "A hat", imageID: "8.jpg"),
        ]
        #expect(try rows.fields(text, as: .flickrResults) == expected)
    }

    @Test func resultWithoutItsSecondPipeIsRejected() throws {
        let lines =
            ["image_name| comment_number| comment"] + (0..<9).map { "7.jpg| \($0)| A boat ." }
            + ["7.jpg| 9   A dog runs .", "|0|x", "7.jpg|x|y", "7.jpg|10|"]
        let records = try rows.records(lines.joined(separator: "\n"), ImportOptions(format: .flickrResults))
        #expect(records.count == 13)
        #expect(
            records.compactMap(\.reject?.code) == [.malformedRow, .malformedRow, .malformedRow, .missingText])
        #expect(records[9].reject?.detail.contains("got 2 fields, expected 3") == true)
    }

    @Test func linesOfTextAreRows() throws {
        let text = "\u{FEFF}A boat, and a hat.\r\n\n  A \"dog\". \n\t\nEin Hündchen"
        let records = try rows.records(text, as: .text)
        #expect(records.map(\.row?.fields.text) == ["A boat, and a hat.", "A \"dog\".", "Ein Hündchen"])
        #expect(records.map(\.row?.line) == [1, 3, 5])
        #expect(records.first?.row?.byte == 3)
    }

    @Test func faultyLinesAreRejected() throws {
        let text =
            Array("good\na\0b\ncaf".utf8) + [0xE9] + Array("\n\(String(repeating: "x", count: 101))\n\u{A0}".utf8)
        let reader = try rows.reader(text, maximumRowBytes: 100)
        #expect(reader.format == .text)
        #expect(
            reader.readAll().records.map(\.reject?.code) == [
                nil, .invalidValue, .invalidUTF8, .rowTooLong, .missingText,
            ])
    }

    @Test func optionsFillWhatRowsDoNotSay() throws {
        let text = #"{"text":"a","lang":"de","origin":"web"}"# + "\n" + #"{"text":"b","source":"own"}"#
        let options = ImportOptions(origin: .human, lang: "en", source: "set")
        #expect(
            try rows.fields(text, options, as: .ndjson) == [
                EntryFields(text: "a", origin: .web, lang: "de", source: "set"),
                EntryFields(text: "b", origin: .human, lang: "en", source: "own"),
            ])
    }
}
