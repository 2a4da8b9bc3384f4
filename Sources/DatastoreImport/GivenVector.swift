import DatastoreCore

/// What a row gives as the vector of a key, read in one pass before it is known to be right.
enum GivenVector {
    case array(JSONScanner.Floats)
    /// An array of which the first element is an array.
    case arrays(VectorArrays)
    case object(TermWeights)
    case other(JSONValue)

    /// - Parameter dim: numbers of a vector that are kept, and terms of the vocabulary.
    /// - Throws: `invalid_json`, or `invalid_value` for a number that would be changed.
    init(keeping dim: Int, from scanner: inout JSONScanner) throws(RowFault) {
        switch scanner.current {
        case UInt8(ascii: "[") where scanner.holdsArrays: self = .arrays(try VectorArrays(dim: dim, from: &scanner))
        case UInt8(ascii: "["): self = .array(try scanner.floats(keeping: dim))
        case UInt8(ascii: "{"): self = .object(try TermWeights(terms: dim, from: &scanner))
        default: self = .other(try scanner.value(depth: 1))
        }
    }

    private var kindName: String {
        switch self {
        case .array, .arrays: "an array"
        case .object: "an object"
        case .other(let value): value.kindName
        }
    }

    /// The numbers of a dense vector.
    ///
    /// - Parameter field: where it was given; `vector` takes no base64, and `vector_base64` nothing else.
    /// - Throws: `invalid_value`, `invalid_base64`, `vectors_ragged` or `vector_dim_mismatch`.
    func numbers(of key: KeySpec, field: String, pool: VectorPooling) throws(RowFault) -> [Float] {
        let isBase64 = field == "vector_base64"
        switch self {
        case .array(let numbers) where !isBase64:
            if let position = numbers.firstOther {
                throw RowFault(.invalidValue, "\(field): got something else than a number at position \(position)")
            }
            try Self.check(numbers.count, of: key, field: field)
            return numbers.values
        case .arrays(let arrays) where !isBase64:
            return try arrays.mean(field: field, pool: pool)
        case .other(.string(let text)) where field != "vector":
            return try Self.numbers(base64: text, of: key, field: field, pool: pool)
        default:
            let expected =
                switch field {
                case "vector": "an array of numbers"
                case "vector_base64": "a string"
                default: "an array of numbers or base64 of them"
                }
            throw RowFault(.invalidValue, "\(field): got \(kindName), expected \(expected)")
        }
    }

    /// The weights of a sparse vector, pruned as the key says.
    ///
    /// - Throws: `invalid_value`, `unknown_term`, `sparse_ragged`, `weight_not_finite` or `duplicate_term`.
    func weights(of key: KeySpec, field: String, termIndex: TermIndex?) throws(RowFault) -> SparseVector {
        guard case .object(let weights) = self else {
            throw RowFault(
                .invalidValue,
                "\(field): got \(kindName), expected weights by word, or {\"indices\": […], \"values\": […]}")
        }
        let vector = try weights.vector(of: key, field: field, termIndex: termIndex)
        return key.pruning?.apply(vector) ?? vector
    }

    private static func check(_ count: Int, of key: KeySpec, field: String) throws(RowFault) {
        guard count == key.dim else {
            throw RowFault(.vectorDimMismatch, "\(field): got \(count) numbers, expected \(key.dim)")
        }
    }

    private static func numbers(
        base64 text: String, of key: KeySpec, field: String, pool: VectorPooling
    ) throws(RowFault) -> [Float] {
        let numbers: [Float]
        do {
            numbers = try QueryVectors.floats(base64: text, field: field)
        } catch {
            throw RowFault(.invalidBase64, (error as? DatastoreError)?.detail ?? "\(field): \(error)")
        }
        guard pool == .mean, numbers.count > key.dim, numbers.count.isMultiple(of: key.dim) else {
            try check(numbers.count, of: key, field: field)
            return numbers
        }
        var mean = VectorMean(dim: key.dim)
        for start in stride(from: 0, to: numbers.count, by: key.dim) { mean.add(numbers[start..<start + key.dim]) }
        return mean.vector
    }
}

/// An array of arrays of numbers.
struct VectorArrays {
    private let dim: Int
    private var mean: VectorMean
    private var count = 0
    /// Numbers of the first.
    private var length = 0
    private var firstOfOtherLength: (position: Int, length: Int)?
    private var firstOther: Int?

    init(dim: Int, from scanner: inout JSONScanner) throws(RowFault) {
        self.dim = dim
        mean = VectorMean(dim: dim)
        try scanner.array(depth: 1) { (scanner) throws(RowFault) in
            defer { count += 1 }
            guard scanner.current == UInt8(ascii: "[") else {
                _ = try scanner.value(depth: 2)
                if firstOther == nil { firstOther = count }
                return
            }
            let numbers = try scanner.floats(keeping: dim)
            if numbers.firstOther != nil, firstOther == nil { firstOther = count }
            if count == 0 { length = numbers.count }
            if numbers.count != length, firstOfOtherLength == nil { firstOfOtherLength = (count, numbers.count) }
            if numbers.values.count == dim { mean.add(numbers.values) }
        }
    }

    /// - Throws: `invalid_value`, `vectors_ragged` or `vector_dim_mismatch`.
    func mean(field: String, pool: VectorPooling) throws(RowFault) -> [Float] {
        guard pool == .mean else {
            throw RowFault(
                .invalidValue,
                "\(field): got an array of arrays, shape (\(count), \(length)), expected an array of numbers; "
                    + VectorPooling.remedy)
        }
        if let position = firstOther {
            throw RowFault(.invalidValue, "\(field)[\(position)]: got something else than an array of numbers")
        }
        if let other = firstOfOtherLength {
            throw RowFault(
                .vectorsRagged,
                "\(field)[\(other.position)]: got \(other.length) numbers, expected \(length) as in the first")
        }
        guard length == dim else {
            throw RowFault(.vectorDimMismatch, "\(field): got vectors of \(length) numbers, expected \(dim)")
        }
        return mean.vector
    }
}

extension JSONScanner {
    /// Whether the array that comes next has an array as its first element.
    fileprivate var holdsArrays: Bool {
        var ahead = self
        guard ahead.skip("[") else { return false }
        ahead.skipWhitespace()
        return ahead.current == UInt8(ascii: "[")
    }
}
