import DatastoreCore

/// Refuses rows as `ImportFilters` asks, but for duplicates, which take a memory of what came before.
struct RowFilters {
    let filters: ImportFilters
    /// Languages that are taken, in lower case with hyphens.
    private let languages: [String]

    init(_ filters: ImportFilters) {
        self.filters = filters
        languages = filters.languages.map(Self.normalized)
    }

    /// - Throws: `too_many_words`, `too_many_tokens`, `too_few_letters` or `language_not_wanted`.
    func check(_ fields: EntryFields) throws(RowFault) {
        if let most = filters.maxWords {
            let words = fields.text.unicodeScalars.split { $0.properties.isWhitespace }.count
            guard words <= most else {
                throw RowFault(.tooManyWords, "text: got \(words) words, expected at most \(most)")
            }
        }
        if let most = filters.maxTokens {
            let tokens = CLIPTokens.count(in: fields.text)
            guard tokens <= most else {
                throw RowFault(
                    .tooManyTokens, "text: got \(tokens) tokens with start and end, expected at most \(most)")
            }
        }
        if let least = filters.minLetters {
            let letters = fields.text.unicodeScalars.count { CLIPTokens.isLetter($0) || CLIPTokens.isNumber($0) }
            guard letters >= least else {
                throw RowFault(.tooFewLetters, "text: got \(letters) letters and digits, expected at least \(least)")
            }
        }
        if let lang = fields.lang, !languages.isEmpty {
            let name = Self.normalized(lang)
            guard languages.contains(where: { name == $0 || name.hasPrefix($0 + "-") }) else {
                throw RowFault(
                    .languageNotWanted,
                    "lang: got \"\(lang.prefix(80))\", expected one of \(filters.languages.joined(separator: ", "))")
            }
        }
    }

    private static func normalized(_ language: String) -> String {
        language.lowercased().replacing("_", with: "-")
    }
}

/// What CLIP's tokenizer takes a text apart into before it merges: the pattern
/// `'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+` on the text in lower case.
enum CLIPTokens {
    private static let contractions = ["s", "t", "re", "ve", "m", "ll", "d"].map { Array($0.unicodeScalars) }

    /// Tokens of `text`, the marks at its start and end included.
    static func count(in text: String) -> Int {
        let scalars = Array(text.lowercased().unicodeScalars)
        var count = 2
        var position = 0
        while position < scalars.count {
            let scalar = scalars[position]
            if scalar.properties.isWhitespace {
                position += 1
                continue
            }
            count += 1
            if scalar == "'",
                let contraction = contractions.first(where: { scalars[(position + 1)...].starts(with: $0) })
            {
                position += 1 + contraction.count
            } else if isLetter(scalar) {
                position = scalars[position...].firstIndex { !isLetter($0) } ?? scalars.count
            } else if isNumber(scalar) {
                position += 1
            } else {
                position = scalars[position...].firstIndex { !isMark($0) } ?? scalars.count
            }
        }
        return count
    }

    /// `\p{L}`
    static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(UInt8(ascii: scalar) | 0x20) }
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return true
        default: return false
        }
    }

    /// `\p{N}`
    static func isNumber(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return ("0"..."9").contains(scalar) }
        switch scalar.properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: return true
        default: return false
        }
    }

    /// `[^\s\p{L}\p{N}]`
    private static func isMark(_ scalar: Unicode.Scalar) -> Bool {
        !scalar.properties.isWhitespace && !isLetter(scalar) && !isNumber(scalar)
    }
}
