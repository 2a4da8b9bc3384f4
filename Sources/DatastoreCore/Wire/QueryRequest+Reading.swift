package import Foundation

extension QueryRequest {
    /// Reads a question's body as `WireJSON.decode` does, to the same question or the same error, but the numbers of its
    /// vectors without `JSONDecoder`, which takes longer for them than many a search.
    ///
    /// The array of numbers is taken out of the body and read by `JSONScanner`; `JSONDecoder` judges the rest with an empty
    /// array in its place. Whatever is not plain in the body (a name twice, an element that is no number, a vector of another
    /// length) leaves all of it to `JSONDecoder`.
    ///
    /// - Throws: `invalid_json`, `unknown_field`, `missing_field`, `invalid_value`, and what the fields are refused with.
    package static func read(_ body: UnsafeRawBufferPointer) throws -> QueryRequest {
        if let cut = VectorCut(body), var request = try? WireJSON.decode(QueryRequest.self, from: cut.rest(of: body)),
            let query = cut.filled(request.query)
        {
            request.query = query
            return request
        }
        return try WireJSON.decode(QueryRequest.self, from: Data(body))
    }
}

/// The numbers of `query.vector` or `query.vectors`, and where they stand in a body.
private struct VectorCut {
    private var values: [Float] = []
    /// Vectors of `query.vectors`; nil for `query.vector`.
    private var count: Int?
    private var range: Range<Int>?

    private init() {}

    /// Nil when there are none, or the body is not plain.
    init?(_ body: UnsafeRawBufferPointer) {
        var cut = VectorCut()
        var scanner = JSONScanner(body)
        var names: Set<String> = []
        do throws(RowFault) {
            try scanner.object { (name, scanner) throws(RowFault) in
                guard names.insert(name).inserted else { throw scanner.duplicate(name) }
                if name == "query", scanner.current == UInt8(ascii: "{") {
                    try cut.readQuery(&scanner)
                } else {
                    _ = try scanner.value(depth: 1)
                }
            }
            try scanner.end()
        } catch {
            return nil
        }
        guard let range = cut.range, !(cut.values.contains(0) && Self.holdsDoubtfulZero(body[range])) else {
            return nil
        }
        self = cut
    }

    /// Whether a zero is one that `JSONDecoder` may refuse: a number that is not 0 and reads as 0, or a 0 with an exponent.
    private static func holdsDoubtfulZero(_ numbers: Slice<UnsafeRawBufferPointer>) -> Bool {
        numbers.split { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "]") || $0 <= 0x20 }
            .contains { number in
                let significand = number.prefix { $0 | 0x20 != UInt8(ascii: "e") }
                guard significand.contains(where: { $0 > UInt8(ascii: "0") }) else {
                    return significand.count < number.count
                }
                let exponent = number.dropFirst(significand.count + 1).drop { $0 < UInt8(ascii: "0") }
                // A short number with an exponent below 20 is above 1e-45.
                let isFar = exponent.count > 2 || exponent.count == 2 && exponent.first ?? 0 > UInt8(ascii: "1")
                guard number.count > 24 || isFar else { return false }
                return Float(String(decoding: number, as: UTF8.self)) == 0
            }
    }

    private mutating func readQuery(_ scanner: inout JSONScanner) throws(RowFault) {
        var cut = self
        var names: Set<String> = []
        try scanner.object(depth: 1) { (name, scanner) throws(RowFault) in
            guard names.insert(name).inserted else { throw scanner.duplicate(name) }
            let start = scanner.offset
            switch name {
            case "vector" where scanner.current == UInt8(ascii: "["):
                _ = try cut.readVector(&scanner)
                cut.range = start..<scanner.offset
            case "vectors" where scanner.current == UInt8(ascii: "["):
                var count = 0
                var dim = 0
                try scanner.array(depth: 2) { (scanner) throws(RowFault) in
                    let length = try cut.readVector(&scanner)
                    if count == 0 { dim = length }
                    guard length == dim else { throw scanner.unexpected("as many numbers as in the first vector") }
                    count += 1
                }
                guard count > 0 else { throw scanner.unexpected("a vector") }
                cut.count = count
                cut.range = start..<scanner.offset
            default: _ = try scanner.value(depth: 2)
            }
        }
        self = cut
    }

    private mutating func readVector(_ scanner: inout JSONScanner) throws(RowFault) -> Int {
        let floats = try scanner.floats(keeping: .max)
        guard floats.firstOther == nil, floats.values.allSatisfy(\.isFinite) else {
            throw scanner.unexpected("finite numbers")
        }
        if values.isEmpty { values = floats.values } else { values += floats.values }
        return floats.count
    }

    /// The body with an empty vector instead.
    func rest(of body: UnsafeRawBufferPointer) -> Data {
        guard let range else { return Data(body) }
        var rest = Data(capacity: body.count - range.count + 4)
        rest.append(contentsOf: body[..<range.lowerBound])
        rest.append(contentsOf: (count == nil ? "[]" : "[[]]").utf8)
        rest.append(contentsOf: body[range.upperBound...])
        return rest
    }

    /// What was read from the rest, with the numbers.
    func filled(_ query: QueryInput) -> QueryInput? {
        switch (query, count) {
        case (.vector, nil): .vector(values)
        case (.vectors, let count?): .vectors(values, count: count)
        case (.fused(let dense, let lexical), _): filled(dense).map { .fused($0, lexical) }
        default: nil
        }
    }
}
