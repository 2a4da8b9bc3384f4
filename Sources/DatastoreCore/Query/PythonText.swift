/// What Python's `str` and `re` make of text, where an answer has to equal that of a captioner's own code.
enum PythonText {
    /// `str.lower()`: the full mappings of Unicode, and a capital sigma at the end of a word as a final one.
    static func lower(_ text: String) -> [Unicode.Scalar] {
        let scalars = Array(text.unicodeScalars)
        var lower: [Unicode.Scalar] = []
        lower.reserveCapacity(scalars.count)
        for (index, scalar) in scalars.enumerated() {
            if scalar.isASCII {
                lower.append(asciiLower(scalar))
            } else if scalar == "Σ" {
                lower.append(endsWord(at: index, of: scalars) ? "ς" : "σ")
            } else {
                lower.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
            }
        }
        return lower
    }

    /// `\s` of a pattern for `str`.
    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09...0x0D, 0x1C...0x20: true
        case 0..<0x80: false
        default: scalar.properties.isWhitespace
        }
    }

    private static func asciiLower(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        ("A"..."Z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value) | 0x20) : scalar
    }

    /// Unicode's `Final_Sigma`: a cased letter before, none after, those ignored that case ignores.
    private static func endsWord(at index: Int, of scalars: [Unicode.Scalar]) -> Bool {
        let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
        let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
        return before?.properties.isCased == true && after?.properties.isCased != true
    }
}
