/// A Python literal, as far as the header of a NumPy file needs them.
enum PythonLiteral: Equatable {
    case none
    case bool(Bool)
    /// Digits with an optional sign: Python's integers have no size.
    case integer(String)
    case string(String)
    case tuple([PythonLiteral])
    case list([PythonLiteral])
    case dictionary([Item])

    struct Item: Equatable {
        let key: PythonLiteral
        let value: PythonLiteral
    }

    /// Why a text is not a literal.
    struct Fault: Error {
        let message: String
    }

    /// Reads one literal that white space may surround.
    ///
    /// - Throws: `Fault`, saying at which character.
    init(parsing text: some StringProtocol) throws(Fault) {
        var tokens = PythonLiteralParser(text: Array(text.unicodeScalars))
        self = try tokens.value(depth: 0)
        try tokens.expectEnd()
    }
}

private struct PythonLiteralParser {
    private static let maximumDepth = 16

    let text: [Unicode.Scalar]
    private var position = 0

    init(text: [Unicode.Scalar]) {
        self.text = text
    }

    mutating func value(depth: Int) throws(PythonLiteral.Fault) -> PythonLiteral {
        guard depth <= Self.maximumDepth else { throw fault("values nested deeper than \(Self.maximumDepth)") }
        guard let next = peek() else { throw fault("expected a value, got the end") }
        switch next {
        case "{":
            return .dictionary(try dictionary(depth: depth))
        case "[":
            return .list(try sequence(closing: "]", depth: depth).values)
        case "(":
            let (values, hasComma) = try sequence(closing: ")", depth: depth)
            // (5) is 5, (5,) is a tuple.
            if values.count == 1, !hasComma { return values[0] }
            return .tuple(values)
        case "'", "\"":
            return .string(try string())
        case "+", "-", "0"..."9":
            return .integer(try integer())
        default:
            return try word()
        }
    }

    mutating func expectEnd() throws(PythonLiteral.Fault) {
        if let scalar = peek() { throw fault("got \(scalar.debugDescription) after the value") }
    }

    private mutating func dictionary(depth: Int) throws(PythonLiteral.Fault) -> [PythonLiteral.Item] {
        var items: [PythonLiteral.Item] = []
        try expect("{")
        while peek() != "}" {
            let key = try value(depth: depth + 1)
            try expect(":")
            items.append(PythonLiteral.Item(key: key, value: try value(depth: depth + 1)))
            if peek() != "}" { try expect(",") }
        }
        try expect("}")
        return items
    }

    /// The values up to `closing`, and whether a comma follows the last.
    private mutating func sequence(
        closing: Unicode.Scalar, depth: Int
    ) throws(PythonLiteral.Fault) -> (values: [PythonLiteral], hasComma: Bool) {
        var values: [PythonLiteral] = []
        var hasComma = false
        position += 1
        while peek() != closing {
            values.append(try value(depth: depth + 1))
            hasComma = peek() == ","
            if peek() != closing { try expect(",") }
        }
        try expect(closing)
        return (values, hasComma)
    }

    private mutating func string() throws(PythonLiteral.Fault) -> String {
        let quote = text[position]
        position += 1
        var string = ""
        while position < text.count {
            var scalar = text[position]
            position += 1
            if scalar == quote { return string }
            if scalar == "\n" { break }
            if scalar == "\\" {
                guard position < text.count, ["\\", "'", "\""].contains(text[position]) else {
                    throw fault("unknown escape in a string")
                }
                scalar = text[position]
                position += 1
            }
            string.unicodeScalars.append(scalar)
        }
        throw fault("a string has no end")
    }

    private mutating func integer() throws(PythonLiteral.Fault) -> String {
        var digits = ""
        if text[position] == "-" || text[position] == "+" {
            if text[position] == "-" { digits = "-" }
            position += 1
        }
        let first = position
        while position < text.count, ("0"..."9").contains(text[position]) {
            digits.unicodeScalars.append(text[position])
            position += 1
        }
        guard position > first else { throw fault("expected digits") }
        // Python 2 wrote long integers as 5L.
        if position < text.count, text[position] == "L" { position += 1 }
        return digits
    }

    private mutating func word() throws(PythonLiteral.Fault) -> PythonLiteral {
        var word = ""
        while position < text.count, text[position].properties.isAlphabetic, word.utf8.count < 16 {
            word.unicodeScalars.append(text[position])
            position += 1
        }
        switch word {
        case "True": return .bool(true)
        case "False": return .bool(false)
        case "None": return .none
        default: throw fault(word.isEmpty ? "expected a value" : "got the word \(word)")
        }
    }

    /// The next character that is not white space, not yet consumed; nil at the end.
    private mutating func peek() -> Unicode.Scalar? {
        while position < text.count, [" ", "\t", "\n", "\r"].contains(text[position]) { position += 1 }
        return position < text.count ? text[position] : nil
    }

    private mutating func expect(_ scalar: Unicode.Scalar) throws(PythonLiteral.Fault) {
        guard peek() == scalar else { throw fault("expected \(scalar.debugDescription)") }
        position += 1
    }

    private func fault(_ message: String) -> PythonLiteral.Fault {
        PythonLiteral.Fault(message: "character \(position): \(message)")
    }
}
