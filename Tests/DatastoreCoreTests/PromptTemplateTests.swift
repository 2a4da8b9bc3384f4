import DatastoreCore
import Testing

/// Prompts byte for byte as Python's `str.replace` makes them; the expected values are Python's.
struct PromptTemplateTests {
    @Test(arguments: [
        ("||", "A\n\nb."),
        ("|||", "A\n\nb.|"),
        ("||||", "A\n\nb.A\n\nb."),
        ("a||b||c", "aA\n\nb.bA\n\nb.c"),
        ("|a||", "|aA\n\nb."),
        ("a|b", "a|b"),
        ("|", "|"),
        ("", ""),
        ("||\u{301}", "A\n\nb.\u{301}"),
        ("\u{301}||", "\u{301}A\n\nb."),
        ("|\u{301}|", "|\u{301}|"),
        ("||\u{200D}|", "A\n\nb.\u{200D}|"),
        ("x\r\n||\r\n", "x\r\nA\n\nb.\r\n"),
    ])
    func placesAreReplacedFromLeftToRight(template: String, prompt: String) throws {
        let rendered = try #require(PromptTemplate(template).render(["A", "b"]))
        #expect(Array(rendered.utf8) == Array(prompt.utf8))
    }

    @Test func captionsStayAsTheyAre() throws {
        let rendered = try #require(PromptTemplate("<||>").render(["a || b.\r", "\u{301}c\n"]))
        #expect(Array(rendered.utf8) == Array("<a || b.\r\n\n\u{301}c\n.>".utf8))
        #expect(
            PromptTemplate.smallCap.render(["a man rides a horse"])
                == "Similar images show\n\na man rides a horse.\n\nThis image shows ")
        #expect(PromptTemplate.smallCap.render([]) == nil)
    }
}
