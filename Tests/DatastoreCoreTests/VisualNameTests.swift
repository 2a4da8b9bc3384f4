import DatastoreCore
import Testing

/// Names as EVCap's own Python makes them; the expected values are Python's.
struct VisualNameTests {
    @Test(arguments: [
        ("Dog", "dog"),
        ("traffic_light", "traffic light"),
        ("Hot Dog!", "hot dog"),
        ("  the cat  ", "the cat"),
        ("it's", "it s"),
        ("(dog)", "dog"),
        ("a _ b", "a b"),
        ("a~b*c#d:e;f", "a b c d e f"),
        ("a-b/c", "a-b/c"),
        ("", ""),
        ("   ", ""),
        ("___", ""),
    ])
    func namesAreNormalised(text: String, name: String) {
        #expect(VisualName.normalised(text) == name)
    }

    @Test(arguments: [
        ("a\r\nb", "a b"), ("a\rb", "a\rb"), ("a\nb\n", "a\nb"), ("a\n\n", "a"), ("a \n", "a"), ("a\t", "a\t"),
        ("\ta", "\ta"), ("\na", "\na"), (" \na", "a"), ("\n", ""),
        ("a\u{A0}\u{A0}b", "a b"), ("a\u{2003}b", "a\u{2003}b"), ("a\u{1C}b\u{1C}\u{1D}", "a\u{1C}b"),
        ("a\u{200B}b", "a\u{200B}b"), ("\u{3000}x\u{3000}", "\u{3000}x\u{3000}"), ("a\u{85}\u{85}b", "a b"),
        ("x\u{85}", "x\u{85}"),
    ])
    func whiteSpaceIsPythons(text: String, name: String) {
        #expect(Array(VisualName.normalised(text).utf8) == Array(name.utf8))
    }

    @Test(arguments: [
        ("CAF\u{C9}", "caf\u{E9}"), ("cafe\u{301} 'x", "cafe\u{301} x"), ("\u{301}_a", "\u{301} a"),
        ("_\u{301}a", "\u{301}a"), ("\u{130}stanbul", "i\u{307}stanbul"), ("STRASSE \u{DF} \u{1E9E}", "strasse ß ß"),
        ("\u{1C5}", "\u{1C6}"), ("👩\u{200D}🌾 Farmer", "👩\u{200D}🌾 farmer"),
        ("ΟΔΟΣ", "οδος"), ("Σ", "σ"), ("ΑΣ'Α", "ασ α"), ("ΑΣ.", "ας."), ("ΑΣ.Β", "ασ.β"), ("ΑΣ\u{301}", "ας\u{301}"),
        ("\u{301}Σ", "\u{301}σ"),
    ])
    func lettersAreLoweredAsPythonDoes(text: String, name: String) {
        #expect(Array(VisualName.normalised(text).utf8) == Array(name.utf8))
    }
}
