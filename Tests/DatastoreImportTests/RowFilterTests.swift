import DatastoreCore
import DatastoreImport
import Testing

struct RowFilterTests {
    private let rows: RowsFixture

    init() throws {
        rows = try RowsFixture()
    }

    private func reject(_ text: String, _ filters: ImportFilters, lang: String? = nil) throws -> RejectedRow? {
        let options = ImportOptions(format: .text, lang: lang, filters: filters)
        return try rows.records(text, options).first?.reject
    }

    @Test func longTextsAreRefused() throws {
        let most = ImportFilters(maxWords: 3)
        #expect(try reject("one two\u{A0} three", most) == nil)
        let reject = try reject("one two three four", most)
        #expect(reject?.code == .tooManyWords)
        #expect(reject?.detail == "text: got 4 words, expected at most 3")
    }

    @Test(arguments: [
        ("a cat", 4), ("A cat.", 5), ("it's the dogs' 12 bones!?", 11), ("can't, won't", 7), ("'twas", 4),
        ("x'll've", 5), ("...", 3), ("ein Hündchen", 4), ("½ ² 3", 5), ("漢字", 3), ("a\u{301}b", 5), ("O'Neil's", 6),
        ("!!'s", 4),
    ])
    func tokensAreCountedAsCLIPSplitsThem(text: String, count: Int) throws {
        #expect(try reject(text, ImportFilters(maxTokens: count)) == nil)
        let reject = try reject(text, ImportFilters(maxTokens: count - 1))
        #expect(reject?.code == .tooManyTokens)
        #expect(reject?.detail.contains("got \(count) tokens") == true, "\(reject?.detail ?? "")")
    }

    @Test func textsOfMarksAreRefused() throws {
        #expect(try reject("a1é", ImportFilters(minLetters: 3)) == nil)
        #expect(try reject("a1 .-", ImportFilters(minLetters: 3))?.code == .tooFewLetters)
        #expect(try reject("...", ImportFilters(minLetters: 1))?.detail.contains("got 0 letters") == true)
    }

    @Test(arguments: [
        ("en", true), ("en-GB", true), ("EN_us", true), ("pt-BR", true), ("pt", false), ("eng", false), ("de", false),
        (nil, true),
    ])
    func languagesAreTakenByPrefix(lang: String?, isTaken: Bool) throws {
        let reject = try reject("x", ImportFilters(languages: ["en", "pt-br"]), lang: lang)
        #expect(reject?.code == (isTaken ? nil : .languageNotWanted))
    }

    @Test func captionsOfTheSameImageAreDroppedOnce() throws {
        let text = """
            {"image_id":1,"text":"a"}
            {"image_id":2,"text":"a"}
            {"image_id":1,"text":" a "}
            {"text":"a"}
            {"text":"a"}
            {"image_id":1,"text":"b","id":7}
            {"image_id":1,"text":"a","id":8}
            {"image_id":3,"text":"a","id":8}
            """
        let options = ImportOptions(filters: ImportFilters(dropDuplicates: true))
        let records = try rows.records(text, options, vectors: 8)
        let dropped = ErrorCode.duplicateCaption
        #expect(records.map(\.reject?.code) == [nil, nil, dropped, nil, dropped, nil, dropped, nil])
        #expect(records[4].reject?.detail.contains("by row 4") == true)
        #expect(records.last?.row?.vector == [8, 1])
        #expect(try rows.records(text).map(\.reject?.code).compactMap { $0 } == [.duplicateExternalID])
    }

    @Test func refusedRowsDoNotTakeTheirID() throws {
        let text = #"{"id":1,"text":"a b c"}"# + "\n" + #"{"id":1,"text":"a"}"#
        let records = try rows.records(text, ImportOptions(filters: ImportFilters(maxWords: 2)))
        #expect(records.map(\.reject?.code) == [.tooManyWords, nil])
    }
}
