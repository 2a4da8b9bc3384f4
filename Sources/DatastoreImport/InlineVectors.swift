import DatastoreCore

/// How the vectors that stand in rows are read.
struct InlineKeys: Sendable {
    let keys: [KeySpec]
    /// Names of keys that have a file of vectors: rows may carry none for these.
    let inFiles: Set<String>
    let pool: VectorPooling
    private let termIndex: TermIndex?
    private let wordless: Set<String>
    /// Place of the key that `vector` is for.
    let firstDense: Int?

    init(_ keys: [KeySpec], inFiles: Set<String>, pool: VectorPooling, termIndex: TermIndex?, wordless: Set<String>) {
        self.keys = keys
        self.inFiles = inFiles
        self.pool = pool
        self.termIndex = termIndex
        self.wordless = wordless
        firstDense = keys.firstIndex { $0.kind == .dense }
    }

    /// Finds the words of a key; nil when it has none.
    func termIndex(of key: KeySpec) -> TermIndex? { wordless.contains(key.name) ? nil : termIndex }
}

/// The vectors that stand in a row.
///
/// | field | meaning |
/// | --- | --- |
/// | `vector` | an array of numbers, for the first dense key |
/// | `vector_base64` | the same as base64 of little-endian 32-bit floats |
/// | `vectors` | an object of vectors by the names of keys |
/// | `vectors.DENSE` | an array of numbers, or base64 of them |
/// | `vectors.SPARSE` | weights by word, `{"cat": 0.5}`, or by index, `{"indices": [7], "values": [0.5]}` |
///
/// With `VectorPooling.mean` an array of arrays of numbers, or base64 of several vectors end to end, is their mean. What
/// is `null` counts as not given.
struct InlineVectors {
    static let names = ["vector", "vector_base64", "vectors"]

    /// One for each key, in the order of the keys; nil where none is given.
    private(set) var vectors: [KeyVector?]
    /// The first thing wrong with them.
    private(set) var fault: RowFault?

    private let keys: InlineKeys
    /// Where each vector was given.
    private var fields: [String?]

    init(of keys: InlineKeys) {
        self.keys = keys
        vectors = Array(repeating: nil, count: keys.keys.count)
        fields = Array(repeating: nil, count: keys.keys.count)
    }

    /// Reads the value of one of `names`. What is wrong with it as a vector is kept as `fault`.
    ///
    /// - Throws: `invalid_json`, or `invalid_value` for a number that would be changed.
    mutating func read(_ name: String, from scanner: inout JSONScanner) throws(RowFault) {
        if scanner.skip("null") { return }
        guard name == "vectors" else {
            return try readVector(of: keys.firstDense, field: name, from: &scanner)
        }
        if keys.inFiles.count == keys.keys.count {
            note(RowFault(.unexpectedVector, "the row carries vectors, but the vectors come from files"))
        }
        guard scanner.current == UInt8(ascii: "{") else {
            let value = try scanner.value(depth: 1)
            return note(
                RowFault(.invalidValue, "vectors: got \(value.kindName), expected an object of vectors by key"))
        }
        var known: Set<Int> = []
        try scanner.object(depth: 1) { (name, scanner) throws(RowFault) in
            let place = keys.keys.firstIndex { $0.name == name }
            if let place, !known.insert(place).inserted { throw scanner.duplicate(name) }
            if scanner.skip("null") { return }
            try readVector(of: place, field: "vectors.\(name.prefix(80))", from: &scanner)
        }
    }

    private mutating func note(_ fault: RowFault) {
        self.fault = self.fault ?? fault
    }

    /// - Parameter place: of the key; nil when there is none.
    private mutating func readVector(
        of place: Int?, field: String, from scanner: inout JSONScanner
    ) throws(RowFault) {
        let value = try GivenVector(keeping: place.map { keys.keys[$0].dim } ?? 0, from: &scanner)
        do throws(RowFault) {
            guard let place else { throw noKey(field) }
            let key = keys.keys[place]
            guard !keys.inFiles.contains(key.name) else {
                throw RowFault(
                    .unexpectedVector,
                    "\(field): the row carries a vector, but those of key \"\(key.name)\" come from a file")
            }
            if let other = fields[place] {
                throw RowFault(.invalidValue, "got both \"\(other)\" and \"\(field)\", expected one of them")
            }
            fields[place] = field
            vectors[place] =
                switch key.kind {
                case .dense: .dense(try value.numbers(of: key, field: field, pool: keys.pool))
                case .sparse: .sparse(try value.weights(of: key, field: field, termIndex: keys.termIndex(of: key)))
                }
        } catch {
            note(error)
        }
    }

    private func noKey(_ field: String) -> RowFault {
        guard field.hasPrefix("vectors.") else {
            return RowFault(.unexpectedVector, "\(field): got a vector, but the datastore has no dense key")
        }
        let known = keys.keys.map(\.name).joined(separator: ", ")
        return RowFault(.unknownKey, "\(field): not a key of the datastore, expected one of \(known)")
    }
}
