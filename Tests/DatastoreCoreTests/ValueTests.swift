import DatastoreCore
import Foundation
import Testing

/// The words that everything else is made of: prompts, names, keys.
struct ValueTests {
    // MARK: Prompt

    @Test(arguments: [
        (["a"], "Similar images show\n\na.\n\nThis image shows "),
        (
            ["a man rides a horse", "b", "c"],
            "Similar images show\n\na man rides a horse\n\nb\n\nc.\n\nThis image shows "
        ),
        (["ends with a dot."], "Similar images show\n\nends with a dot..\n\nThis image shows "),
        (["has || in it", ""], "Similar images show\n\nhas || in it\n\n.\n\nThis image shows "),
        ([""], "Similar images show\n\n.\n\nThis image shows "),
    ])
    func smallCapsPromptIsAsSmallCapMakesIt(captions: [String], expected: String) {
        #expect(PromptTemplate.smallCap.render(captions) == expected)
    }

    @Test func noCaptionsMakeNoPrompt() {
        #expect(PromptTemplate.smallCap.render([]) == nil)
    }

    @Test(arguments: [
        ("no place", "no place"), ("||", "x\n\ny."), ("||||", "x\n\ny.x\n\ny."), ("a||b||c", "ax\n\ny.bx\n\ny.c"),
        ("| |", "| |"), ("|||", "x\n\ny.|"), ("", ""),
    ])
    func everyPlaceOfATemplateIsFilled(template: String, expected: String) {
        #expect(PromptTemplate(template).render(["x", "y"]) == expected)
    }

    // MARK: Names

    @Test(arguments: [
        "a", "Z", "0", "coco", "coco-2017.v2_x", "a.", "a-", "a..b", String(repeating: "x", count: 64),
    ])
    func namesThatAreFoldersAndURLSegmentsAreTaken(name: String) throws {
        #expect(try ResourceName.validate(name) == name)
    }

    @Test(arguments: [
        "", ".", "..", ".a", "-a", "_a", "a/b", "a\\b", "a b", "a\n", "a\0", "ä", "e\u{301}", "🐎", "a:b", "a@1", "a%2F",
        "a?", "a#", String(repeating: "x", count: 65), "\u{FF21}",
    ])
    func namesThatAreNotAreRefused(name: String) {
        let error = expectError(.invalidName) { try ResourceName.validate(name, field: "domain") }
        #expect(error?.errors.map(\.field) == ["domain"])
        #expect((error?.detail.utf8.count ?? 0) < 300)
    }

    // MARK: Keys

    @Test(arguments: [
        ("text:384:cosine", KeySpec(name: "text", dim: 384, metric: .cosine)),
        ("text:384", KeySpec(name: "text", dim: 384, metric: .cosine)),
        ("image-2:1:ip", KeySpec(name: "image-2", dim: 1, metric: .innerProduct)),
        ("k:65536:ip", KeySpec(name: "k", dim: 65_536, metric: .innerProduct)),
    ])
    func keysAreReadAsTheCommandLineWritesThem(argument: String, expected: KeySpec) throws {
        #expect(try KeySpec(argument: argument) == expected)
        let encoder = Encoder(model: "m", revision: "r")
        #expect(try KeySpec(argument: argument, encoder: encoder).encoder == encoder)
    }

    @Test(arguments: [
        "", "text", "text:", "text::cosine", "text:x", "text:3.5", "text:384:", "text:384:l2", "text:384:COSINE",
        "text:384:cosine:more", "text:0", "text:-1", "text:65537", "text:99999999999999999999", "text: 384",
    ])
    func keysThatMeanNothingAreRefused(argument: String) {
        let error = expectError(.invalidValue) { try KeySpec(argument: argument) }
        #expect(error?.errors.isEmpty == false)
    }

    @Test(arguments: [":384", "a/b:384", ".:3", "ä:3:ip"])
    func keysWithBadNamesAreRefused(argument: String) {
        let error = expectError(.invalidName) { try KeySpec(argument: argument) }
        #expect(error?.errors.map(\.field) == ["keys.name"])
    }

    @Test(arguments: [
        ("clip", Encoder(model: "clip")), ("clip@1", Encoder(model: "clip", revision: "1")),
        ("a/b@c@d", Encoder(model: "a/b", revision: "c@d")), ("clip@", Encoder(model: "clip")),
    ])
    func encodersAreReadAsTheCommandLineWritesThem(argument: String, expected: Encoder) {
        #expect(Encoder(argument: argument) == expected)
    }

    @Test(arguments: [
        ("coco", DatastoreBinding(name: "coco")), ("coco@latest", DatastoreBinding(name: "coco")),
        ("coco@7", DatastoreBinding(name: "coco", version: 7)),
        ("coco@gold-2", DatastoreBinding(name: "coco", tag: "gold-2")),
    ])
    func bindingsAreReadAsTheCommandLineWritesThem(argument: String, expected: DatastoreBinding) throws {
        #expect(try DatastoreBinding(argument: argument) == expected)
    }

    @Test(arguments: ["coco@", "coco@0", "coco@-1", "coco@7@8", "coco@1.5", "coco@Latest"])
    func bindingsThatMeanNothingAreRefused(argument: String) {
        let error = expectError(.invalidValue) { try DatastoreBinding(argument: argument) }
        #expect(error?.detail.contains(argument) == true)
    }

    // MARK: Errors

    @Test func codesAreSnakeCaseAndOnce() {
        let codes = ErrorCode.allCases.map(\.rawValue)
        #expect(Set(codes).count == codes.count)
        for code in codes { #expect(code.wholeMatch(of: /[a-z0-9]+(_[a-z0-9]+)*/) != nil, "\(code)") }
    }

    @Test func anErrorOfAFieldNamesItTwice() {
        let error = DatastoreError.field(.kOutOfRange, "k", "got 0")
        #expect(error.detail == "k: got 0")
        #expect(error.errors == [FieldError(field: "k", message: "got 0")])
        #expect(error.description == "k_out_of_range: k: got 0")
    }
}
