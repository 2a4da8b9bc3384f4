import DatastoreCore

/// The object of a sparse vector: weights by word, or two arrays, `indices` and `values`.
struct TermWeights {
    private let terms: Int
    private var words: [(word: String, weight: Float)] = []
    private var indices: JSONScanner.Indices?
    private var values: JSONScanner.Floats?
    /// The first member that is neither a number nor one of the two arrays.
    private var firstOther: (name: String, kind: String)?

    /// - Parameter terms: of the vocabulary.
    /// - Throws: `invalid_json`, or `invalid_value` for a number that would be changed.
    init(terms: Int, from scanner: inout JSONScanner) throws(RowFault) {
        self.terms = terms
        try scanner.object(depth: 2) { (name, scanner) throws(RowFault) in
            switch (name, scanner.current) {
            case ("indices", UInt8(ascii: "[")):
                guard indices == nil else { throw scanner.duplicate(name) }
                indices = try scanner.indices(below: terms)
            case ("values", UInt8(ascii: "[")):
                guard values == nil else { throw scanner.duplicate(name) }
                values = try scanner.floats(keeping: .max)
            default:
                if let weight = try scanner.float() {
                    words.append((name, weight))
                } else {
                    let kind = try scanner.value(depth: 3).kindName
                    if firstOther == nil { firstOther = (name, kind) }
                }
            }
        }
    }

    /// - Throws: `invalid_value`, `unknown_term`, `sparse_ragged`, `weight_not_finite` or `duplicate_term`.
    func vector(of key: KeySpec, field: String, termIndex: TermIndex?) throws(RowFault) -> SparseVector {
        if let indices, let values {
            return try vector(indices, values, of: key, field: field)
        }
        let lone = indices != nil ? "indices" : values != nil ? "values" : nil
        if let other = firstOther ?? lone.map({ ($0, "an array") }) {
            throw RowFault(
                .invalidValue,
                "\(field): got \(other.kind) for \"\(other.name.prefix(80))\", expected a number for each word, or "
                    + "\"indices\" and \"values\" that both are arrays")
        }
        return try vector(ofWords: key, field: field, termIndex: termIndex)
    }

    private func vector(
        _ indices: JSONScanner.Indices, _ values: JSONScanner.Floats, of key: KeySpec, field: String
    ) throws(RowFault) -> SparseVector {
        if let name = words.first?.word ?? firstOther?.name {
            throw RowFault(.invalidValue, "\(field): got \"\(name.prefix(80))\" beside \"indices\" and \"values\"")
        }
        if let position = indices.firstOther {
            throw RowFault(
                .invalidValue, "\(field).indices: got something else than a whole number at position \(position)")
        }
        if let position = values.firstOther {
            throw RowFault(.invalidValue, "\(field).values: got something else than a number at position \(position)")
        }
        guard indices.values.count == values.count else {
            throw RowFault(
                .sparseRagged,
                "\(field): got \(indices.values.count) indices and \(values.count) values, expected as many of the one "
                    + "as of the other")
        }
        if let outside = indices.firstOutside {
            throw RowFault(
                .unknownTerm,
                "\(field).indices: got \(outside.text) at position \(outside.position), expected 0 to \(key.dim - 1) "
                    + "(key \(key.name))")
        }
        return try Self.vector(indices.values, values.values, field: field)
    }

    private func vector(
        ofWords key: KeySpec, field: String, termIndex: TermIndex?
    ) throws(RowFault) -> SparseVector {
        guard !words.isEmpty else { return .empty }
        guard let termIndex else {
            throw RowFault(
                .unknownTerm,
                "\(field): got the word \"\(words[0].word.prefix(80))\", but this key has no vocabulary of words: give "
                    + "indices and values, or load one")
        }
        var indices: [UInt32] = []
        indices.reserveCapacity(words.count)
        for (word, weight) in words {
            guard let index = termIndex(key.name, word), index < key.dim else {
                throw RowFault(
                    .unknownTerm, "\(field): the vocabulary of key \"\(key.name)\" has no word \"\(word.prefix(80))\"")
            }
            guard weight.isFinite else {
                throw RowFault(
                    .weightNotFinite, "\(field): got \(weight) for \"\(word.prefix(80))\", expected a finite number")
            }
            indices.append(index)
        }
        do {
            return try Self.vector(indices, words.map(\.weight), field: field)
        } catch {
            throw error.code == .duplicateTerm ? duplicate(indices, field: field) : error
        }
    }

    /// What is said of words that are one term.
    private func duplicate(_ indices: [UInt32], field: String) -> RowFault {
        var places: [UInt32: Int] = [:]
        var got = "a term twice"
        for (place, index) in indices.enumerated() {
            guard let first = places.updateValue(place, forKey: index) else { continue }
            let (one, other) = (words[first].word.prefix(80), words[place].word.prefix(80))
            got = one == other ? "the word \"\(one)\" twice" : "\"\(one)\" and \"\(other)\", which are one term"
            break
        }
        return RowFault(.duplicateTerm, "\(field): got \(got), expected it once")
    }

    private static func vector(
        _ indices: [UInt32], _ values: [Float], field: String
    ) throws(RowFault) -> SparseVector {
        do {
            return try SparseVector(indices: indices, values: values, field: field)
        } catch {
            let error = error as? DatastoreError
            throw RowFault(error?.code ?? .invalidValue, error?.detail ?? "\(field): not weights of terms")
        }
    }
}
