/// A text for comparison: two texts of one `FoldedText` are the same to `dedupe`.
///
/// Lower case, punctuation (Unicode's `P*`) as spaces, runs of white space as one space, none around it. An apostrophe
/// between two letters is left out, so that "man's" and "mans" are the same. A text of nothing but punctuation stands for
/// itself. As strings of Swift, canonically equivalent texts are equal.
package struct FoldedText: Hashable, Sendable {
    package let key: String

    package init(_ text: String) {
        var text = text
        let folded = text.withUTF8 { Self.folded(ascii: $0) } ?? Self.folded(text.unicodeScalars)
        key = folded.isEmpty ? text : folded
    }

    /// Nil when a byte is not ASCII.
    private static func folded(ascii bytes: UnsafeBufferPointer<UInt8>) -> String? {
        guard bytes.allSatisfy({ $0 < 0x80 }) else { return nil }
        return String(unsafeUninitializedCapacity: bytes.count) { buffer in
            var count = 0
            var isSpaceDue = false
            for index in 0..<bytes.count {
                var byte = bytes[index]
                switch byte {
                case 0x41...0x5A: byte |= 0x20
                case 0x27 where isBetweenLetters(index, of: bytes): continue
                case _ where isSeparator(byte):
                    isSpaceDue = count > 0
                    continue
                default: break
                }
                if isSpaceDue {
                    buffer[count] = 0x20
                    count += 1
                    isSpaceDue = false
                }
                buffer[count] = byte
                count += 1
            }
            return count
        }
    }

    private static func isBetweenLetters(_ index: Int, of bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        index > 0 && index + 1 < bytes.count && isLetter(bytes[index - 1]) && isLetter(bytes[index + 1])
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte | 0x20)
    }

    /// White space, and the punctuation of ASCII without its symbols: `$+<=>^|~` and the grave accent stay.
    private static func isSeparator(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x09...0x0D, 0x20...0x23, 0x25...0x2A, 0x2C...0x2F, 0x3A, 0x3B, 0x3F, 0x40, 0x5B...0x5D, 0x5F, 0x7B, 0x7D:
            true
        default: false
        }
    }

    private static func folded(_ text: String.UnicodeScalarView) -> String {
        let scalars = Array(text)
        var folded = String.UnicodeScalarView()
        var isSpaceDue = false
        for (index, scalar) in scalars.enumerated() {
            if scalar == "'" || scalar == "\u{2019}", index > 0, index + 1 < scalars.count,
                isLetter(scalars[index - 1]), isLetter(scalars[index + 1])
            {
                continue
            }
            if isSeparator(scalar) {
                isSpaceDue = !folded.isEmpty
                continue
            }
            if isSpaceDue {
                folded.append(" ")
                isSpaceDue = false
            }
            // One sigma for both ends of a word, whatever case it was written in.
            let lower = scalar.properties.lowercaseMapping.unicodeScalars
            folded.append(contentsOf: lower.first == "ς" ? "σ".unicodeScalars : lower)
        }
        return String(folded)
    }

    /// A letter, or a mark that belongs to one.
    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        case .nonspacingMark, .spacingMark, .enclosingMark: true
        default: false
        }
    }

    private static func isSeparator(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.properties.isWhitespace { return true }
        return switch scalar.properties.generalCategory {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
            .finalPunctuation, .otherPunctuation:
            true
        default: false
        }
    }
}
