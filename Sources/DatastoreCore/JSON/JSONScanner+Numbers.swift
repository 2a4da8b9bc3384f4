extension JSONScanner {
    /// The numbers of an array, as far as they were wanted.
    package struct Floats: Sendable {
        /// The first numbers.
        package var values: [Float] = []
        /// Elements of the array, whatever they are.
        package var count = 0
        /// Position of the first element that is no number.
        package var firstOther: Int?
    }

    /// Reads an array of numbers, each rounded to the nearest `Float`; keeps the first `limit`.
    ///
    /// `NaN`, `Infinity` and `-Infinity` are not JSON, but Python writes them: they are read, so that the row can be
    /// refused for what is wrong with it.
    ///
    /// - Throws: `invalid_json`.
    package mutating func floats(keeping limit: Int) throws(RowFault) -> Floats {
        var floats = Floats()
        floats.values.reserveCapacity(min(limit, (bytes.count - offset) / 2))
        try array { (scanner) throws(RowFault) in
            if let value = try scanner.float() {
                if floats.count < limit { floats.values.append(value) }
            } else {
                _ = try scanner.value(depth: 1)
                if floats.firstOther == nil { floats.firstOther = floats.count }
            }
            floats.count += 1
        }
        return floats
    }

    /// The places of an array of indices.
    package struct Indices: Sendable {
        package var values: [UInt32] = []
        /// Position of the first element that is no whole number.
        package var firstOther: Int?
        /// The first element that is no index below the limit.
        package var firstOutside: (position: Int, text: String)?
    }

    /// Reads an array of whole numbers from 0.
    ///
    /// - Throws: `invalid_json`, or `invalid_value` for a number that would be changed.
    package mutating func indices(below limit: Int) throws(RowFault) -> Indices {
        var indices = Indices()
        var count = 0
        try array { (scanner) throws(RowFault) in
            defer { count += 1 }
            guard let number = try scanner.numberToken() else {
                _ = try scanner.value(depth: 1)
                if indices.firstOther == nil { indices.firstOther = count }
                return
            }
            let text = scanner.text(number.range)
            let double = number.isInteger ? nil : Double(text)
            if let double, double.isFinite, double.rounded() != double {
                if indices.firstOther == nil { indices.firstOther = count }
                return
            }
            let index = double.map { UInt32(exactly: $0) } ?? UInt32(text)
            guard let index, index < limit else {
                if indices.firstOutside == nil { indices.firstOutside = (count, String(text.prefix(40))) }
                indices.values.append(0)
                return
            }
            indices.values.append(index)
        }
        return indices
    }

    /// Reads an integer of any size as its decimal digits; any other value as it is.
    ///
    /// - Throws: as `value(depth:)`.
    package mutating func integerAsStringOrValue(depth: Int) throws(RowFault) -> JSONValue {
        skipWhitespace()
        let start = offset
        guard let number = try numberToken(), number.isInteger else {
            offset = start
            return try value(depth: depth)
        }
        let digits = text(number.range)
        return .string(digits == "-0" ? "0" : digits)
    }

    /// Reads a number of which the first byte comes next.
    ///
    /// As `JSONDecoder` would, 1.0 and 1e2 are read as integers, so that a value does not change when it is stored.
    mutating func number() throws(RowFault) -> JSONValue {
        guard let number = try numberToken() else { throw unexpected("a number") }
        let digits = text(number.range)
        if let integer = Int64(digits) { return .integer(integer) }
        guard !number.isInteger, let double = Double(digits), double.isFinite else {
            throw RowFault(
                .invalidValue,
                "byte \(number.range.lowerBound): the number \(digits.prefix(80)) cannot be kept exactly; "
                    + "write it as a string")
        }
        if let integer = Int64(exactly: double) { return .integer(integer) }
        return .number(double)
    }

    /// Reads one number; nil, with nothing read, when something else comes next.
    package mutating func float() throws(RowFault) -> Float? {
        switch current {
        case UInt8(ascii: "N") where skip("NaN"): return .nan
        case UInt8(ascii: "I") where skip("Infinity"): return .infinity
        case UInt8(ascii: "-") where skip("-Infinity"): return -.infinity
        default: break
        }
        guard let number = try numberToken() else { return nil }
        // A text that the grammar allows is a number to Swift; one too large is infinite.
        return number.float ?? Float(text(number.range)) ?? .nan
    }

    private func text(_ range: Range<Int>) -> String {
        String(decoding: bytes[range], as: UTF8.self)
    }

    /// Reads a number by JSON's grammar; nil, with nothing read, when something else comes next.
    private mutating func numberToken() throws(RowFault) -> NumberToken? {
        let start = offset
        var digits = DecimalDigits()
        digits.isNegative = skip("-")
        if skip("0") {
            if isDigit(current) { throw unexpected("no digit after a leading 0") }
        } else if !skipDigits(into: &digits) {
            if digits.isNegative { throw unexpected("a digit") }
            return nil
        }
        let integerEnd = offset
        if skip(".") {
            let pointEnd = offset
            guard skipDigits(into: &digits) else { throw unexpected("a digit after '.'") }
            digits.exponent = pointEnd - offset
        }
        if current | 0x20 == UInt8(ascii: "e") {
            offset += 1
            let isNegative = skip("-")
            if !isNegative { _ = skip("+") }
            guard isDigit(current) else { throw unexpected("a digit in the exponent") }
            var exponent = 0
            while isDigit(current) {
                // Beyond what the digits of any line can make up for.
                exponent = min(exponent * 10 + Int(current & 0x0F), 1_000_000_000_000)
                offset += 1
            }
            digits.exponent += isNegative ? -exponent : exponent
        }
        return NumberToken(range: start..<offset, isInteger: offset == integerEnd, float: digits.float)
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    private mutating func skipDigits(into digits: inout DecimalDigits) -> Bool {
        let start = offset
        while isDigit(current) {
            digits.append(current & 0x0F)
            offset += 1
        }
        return offset > start
    }
}

private struct NumberToken {
    let range: Range<Int>
    let isInteger: Bool
    /// The nearest `Float`, when it could be found quickly.
    let float: Float?
}

/// A decimal number, ± significand × 10^exponent, as it is read digit by digit.
private struct DecimalDigits {
    private static let largestExactPower = 22
    private static let powersOfTen: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]

    var isNegative = false
    var exponent = 0
    private var significand: UInt64 = 0
    private var overflowed = false

    mutating func append(_ digit: UInt8) {
        let (tens, tooLarge) = significand.multipliedReportingOverflow(by: 10)
        let (sum, carry) = tens.addingReportingOverflow(UInt64(digit))
        significand = sum
        overflowed = overflowed || tooLarge || carry
    }

    /// The nearest `Float`, nil when a quick calculation cannot be sure of it.
    ///
    /// The significand rounds to a double once and the exact power of ten rounds the result once more: the double is
    /// within 2 units of its last place of the true value. Rounding it to a `Float` then is right unless a point half
    /// way between two floats lies that near, which its last 29 bits show. Neither subnormal nor infinite floats
    /// occur: the double lies between 1e-22 and 3e38.
    var float: Float? {
        guard !overflowed, abs(exponent) <= Self.largestExactPower else { return nil }
        guard significand != 0 else { return isNegative ? -0.0 : 0 }
        let power = Self.powersOfTen[abs(exponent)]
        let magnitude = exponent < 0 ? Double(significand) / power : Double(significand) * power
        let distance = Int64(magnitude.bitPattern & 0x1FFF_FFFF) - 0x1000_0000
        guard abs(distance) > 4, magnitude < 3e38 else { return nil }
        let float = Float(magnitude)
        return isNegative ? -float : float
    }
}
