import DatastoreCore
import Testing

/// Which texts are the same.
struct FoldedTextTests {
    @Test(arguments: [
        ("A man rides a horse.", "a man rides a horse"),
        ("  A man,\trides\r\na horse!? ", "a man rides a horse"),
        ("The man's dog", "the mans dog"),
        ("rock 'n' roll", "rock n roll"),
        ("the dogs' bowl", "the dogs bowl"),
        ("T-shirt", "t shirt"),
        ("7's & $5+3", "7 s $5+3"),
        ("a_b [c] {d} \\ e@f", "a b c d e f"),
        ("`a` ^ b|c<d>e=f~", "`a` ^ b|c<d>e=f~"),
        ("a", "a"),
    ])
    func asciiIsFolded(text: String, key: String) {
        #expect(FoldedText(text).key == key)
    }

    @Test(arguments: [
        ("The man\u{2019}s café", "the mans café"),
        ("CAFÉ\u{A0}– «noir»…", "café noir"),
        ("l\u{2019}été d'Été", "lété dété"),
        ("cafe\u{301}'s", "cafés"),
        ("一个人，骑马。", "一个人 骑马"),
        ("ΟΔΟΣ", "οδοσ"),
        ("οδος", "οδοσ"),
        ("\u{3000}x\u{3000}y", "x y"),
        ("¿qué? €5", "qué €5"),
        ("'\u{2019}é'", "é"),
    ])
    func otherLettersAreFolded(text: String, key: String) {
        #expect(FoldedText(text).key == key)
    }

    @Test(arguments: ["", "!!!", " ", "\r\n", "…", "« »", "'"])
    func textsOfPunctuationAloneStandForThemselves(text: String) {
        #expect(FoldedText(text).key == text)
        #expect(FoldedText(text) != FoldedText("?"))
    }

    @Test func bothPathsAgree() {
        // The same text with one letter that is not ASCII takes the way of scalars.
        var generator = SplitMix64(seed: 1)
        for _ in 0..<2000 {
            let length = generator.next(below: 12)
            let scalars = (0..<length).map { _ in Unicode.Scalar(UInt8(generator.next(below: 128))) }
            let text = String(String.UnicodeScalarView(scalars))
            let ascii = FoldedText("x " + text).key
            let other = FoldedText("é " + text).key
            #expect(ascii.dropFirst().utf8.elementsEqual(other.dropFirst().utf8), "\(text.debugDescription)")
        }
    }
}
