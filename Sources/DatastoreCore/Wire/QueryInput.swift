/// What is looked for. One of several forms; a dense one may stand beside `lexical`, and both are fused then.
public indirect enum QueryInput: Codable, Sendable, Hashable {
    case vector([Float])
    /// Base64 of little-endian 32-bit floats.
    case vectorBase64(String)
    /// Row-major: `count` vectors end to end; answered apart, or together with `QueryOptions.merge`.
    case vectors([Float], count: Int)
    /// A text, for the encoder that the datastore names.
    case text(String)
    /// A picture as base64 or as a data URI, for the encoder that the datastore names.
    case image(String)
    /// A weighted sum (ZeroCap).
    case terms(WeightedSum)
    /// An entry of one of the domain's datastores; it is not among its own results.
    case entry(EntryReference)
    /// Weights of terms, for a sparse key (LexVLA).
    case lexical(LexicalWeights)
    /// A dense form and weights of terms, each with a ranking of its own that are fused.
    case fused(QueryInput, LexicalWeights)

    enum CodingKeys: String, CodingKey, CaseIterable {
        case vector, vectors, text, image, terms, entry, lexical
        case vectorBase64 = "vector_base64"
        case normaliseTerms = "normalise_terms"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        let forms = container.allKeys.filter { $0 != .normaliseTerms && $0 != .lexical }
        let lexical = try container.decodeIfPresent(LexicalWeights.self, forKey: .lexical)
        guard forms.count <= 1, forms.count == 1 || lexical != nil else {
            throw DatastoreError.field(
                forms.isEmpty ? .missingField : .invalidValue, "query",
                "expected one of vector, vector_base64, vectors, text, image, terms and entry, or lexical, or lexical "
                    + "beside one of them; got \(forms.isEmpty ? "none" : forms.map(\.stringValue).sorted().joined(separator: ", "))"
            )
        }
        if container.contains(.normaliseTerms), forms.first != .terms {
            throw DatastoreError.field(.invalidValue, "query.normalise_terms", "goes with terms only")
        }
        let dense = try forms.first.map { try Self.dense($0, container) }
        switch (dense, lexical) {
        case (let dense?, let lexical?): self = .fused(dense, lexical)
        case (let dense?, nil): self = dense
        case (nil, let lexical?): self = .lexical(lexical)
        case (nil, nil): throw DatastoreError.field(.missingField, "query", "got nothing to look for")
        }
    }

    private static func dense(
        _ key: CodingKeys, _ container: KeyedDecodingContainer<CodingKeys>
    ) throws -> QueryInput {
        switch key {
        case .vector: .vector(try container.decode([Float].self, forKey: .vector))
        case .vectorBase64: .vectorBase64(try container.decode(String.self, forKey: .vectorBase64))
        case .vectors:
            try .vectors(container.nestedUnkeyedContainer(forKey: .vectors), field: "query.vectors")
        case .text: .text(try container.decode(String.self, forKey: .text))
        case .image: .image(try container.decode(String.self, forKey: .image))
        case .entry: .entry(try container.decode(EntryReference.self, forKey: .entry))
        case .terms, .normaliseTerms, .lexical:
            .terms(
                WeightedSum(
                    terms: try container.decode([WeightedTerm].self, forKey: .terms),
                    normaliseTerms: try container.decodeIfPresent(Bool.self, forKey: .normaliseTerms) ?? false))
        }
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try encode(to: &container)
    }

    private func encode(to container: inout KeyedEncodingContainer<CodingKeys>) throws {
        switch self {
        case .vector(let values): try container.encode(values, forKey: .vector)
        case .vectorBase64(let text): try container.encode(text, forKey: .vectorBase64)
        case .text(let text): try container.encode(text, forKey: .text)
        case .image(let text): try container.encode(text, forKey: .image)
        case .entry(let entry): try container.encode(entry, forKey: .entry)
        case .terms(let sum):
            try container.encode(sum.terms, forKey: .terms)
            if sum.normaliseTerms { try container.encode(true, forKey: .normaliseTerms) }
        case .lexical(let weights): try container.encode(weights, forKey: .lexical)
        case .fused(let dense, let lexical):
            try dense.encode(to: &container)
            try container.encode(lexical, forKey: .lexical)
        case .vectors(let values, let count):
            var rows = container.nestedUnkeyedContainer(forKey: .vectors)
            let dim = count > 0 ? values.count / count : 0
            for index in 0..<count { try rows.encode(Array(values[index * dim..<(index + 1) * dim])) }
        }
    }

    /// Reads an array of vectors of one length.
    ///
    /// - Throws: `no_vectors`, `vectors_ragged`.
    static func vectors(_ rows: any UnkeyedDecodingContainer, field: String) throws -> QueryInput {
        var rows = rows
        var values: [Float] = []
        var count = 0
        var dim = 0
        while !rows.isAtEnd {
            let row = try rows.decode([Float].self)
            if count == 0 { dim = row.count }
            guard row.count == dim else {
                throw DatastoreError.field(
                    .vectorsRagged, "\(field)[\(count)]",
                    "got \(row.count) numbers, expected \(dim) as in the first")
            }
            values += row
            count += 1
        }
        guard count > 0 else { throw DatastoreError.field(.noVectors, field, "got no vectors, expected at least one") }
        return .vectors(values, count: count)
    }
}

/// A weighted sum of vectors, normalised once at the end: ZeroCap's arithmetic of images and texts.
public struct WeightedSum: Sendable, Hashable {
    public var terms: [WeightedTerm]
    /// Whether each term is normalised before it is weighted.
    public var normaliseTerms: Bool

    public init(terms: [WeightedTerm], normaliseTerms: Bool = false) {
        self.terms = terms
        self.normaliseTerms = normaliseTerms
    }
}

/// One term of a `WeightedSum`: a weight and a vector, an entry, a text or a picture.
public struct WeightedTerm: Codable, Sendable, Hashable {
    public var weight: Float
    public var input: QueryInput

    public init(weight: Float = 1, _ input: QueryInput) {
        self.weight = weight
        self.input = input
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case weight, vector, text, image, entry
        case vectorBase64 = "vector_base64"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        let path = decoder.codingPath.fieldPath
        weight = try container.decodeWeightIfPresent(forKey: .weight) ?? 1
        let forms = container.allKeys.filter { $0 != .weight }
        guard forms.count == 1, let form = forms.first else {
            throw DatastoreError.field(
                forms.isEmpty ? .missingField : .invalidValue, path,
                "expected one of vector, vector_base64, text, image and entry, got \(forms.count)")
        }
        input =
            switch form {
            case .vector: .vector(try container.decode([Float].self, forKey: .vector))
            case .vectorBase64: .vectorBase64(try container.decode(String.self, forKey: .vectorBase64))
            case .text: .text(try container.decode(String.self, forKey: .text))
            case .image: .image(try container.decode(String.self, forKey: .image))
            case .entry, .weight: .entry(try container.decode(EntryReference.self, forKey: .entry))
            }
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(weight, forKey: .weight)
        try input.encode(to: encoder)
    }
}

/// An entry by its id or by the client's own, in a datastore that may go unnamed where a domain has one only.
public struct EntryReference: Codable, Sendable, Hashable {
    public var datastore: String?
    public var id: Int64?
    public var externalID: String?

    public init(id: Int64, datastore: String? = nil) {
        self.id = id
        self.datastore = datastore
    }

    public init(externalID: String, datastore: String? = nil) {
        self.externalID = externalID
        self.datastore = datastore
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case datastore, id
        case externalID = "external_id"
    }

    /// A number is an id; a string is an external id; an object may name the datastore.
    public init(from decoder: any Decoder) throws {
        let path = decoder.codingPath.fieldPath
        if let single = try? decoder.singleValueContainer() {
            if let id = try? single.decode(Int64.self) {
                self.init(id: id)
                return
            }
            if let externalID = try? single.decode(String.self) {
                self.init(externalID: externalID)
                return
            }
        }
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        let datastore = try container.decodeIfPresent(String.self, forKey: .datastore)
        let id = try container.decodeWholeIfPresent(forKey: .id)
        switch (id, try container.decodeIfPresent(String.self, forKey: .externalID)) {
        case (let id?, nil): self.init(id: Int64(id), datastore: datastore)
        case (nil, let externalID?): self.init(externalID: externalID, datastore: datastore)
        default:
            throw DatastoreError.field(
                id == nil ? .missingField : .invalidValue, path, "expected one of id and external_id")
        }
    }
}

/// Weights of the terms of a sparse key, by their words or by their numbers in the vocabulary.
public enum LexicalWeights: Codable, Sendable, Hashable {
    case words([String: Float])
    case numbers(SparseVector)

    enum CodingKeys: String, CodingKey, CaseIterable {
        case indices, values
    }

    /// An object of weights by word, or `{"indices": […], "values": […]}`.
    ///
    /// - Throws: `weight_not_finite`, `sparse_ragged`, `duplicate_term`, `no_terms`.
    public init(from decoder: any Decoder) throws {
        let path = decoder.codingPath.fieldPath
        let container = try decoder.container(keyedBy: AnyCodingKey.self)
        let indicesKey = AnyCodingKey(stringValue: "indices")
        if let indices = try? container.decode([UInt32].self, forKey: indicesKey) {
            let numbers = try decoder.strictContainer(keyedBy: CodingKeys.self)
            var values: [Float] = []
            var rows = try numbers.nestedUnkeyedContainer(forKey: .values)
            while !rows.isAtEnd { values.append(Float(try rows.decode(Double.self))) }
            self = .numbers(try SparseVector(indices: indices, values: values, field: path))
            guard !indices.isEmpty else { throw DatastoreError.field(.noTerms, path, "got no terms") }
            return
        }
        var weights: [String: Float] = [:]
        for key in container.allKeys {
            guard let weight = try container.decodeWeightIfPresent(forKey: key) else {
                throw DatastoreError.field(.invalidValue, "\(path).\(key.stringValue)", "got null, expected a number")
            }
            weights[key.stringValue] = weight
        }
        guard !weights.isEmpty else { throw DatastoreError.field(.noTerms, path, "got no terms") }
        self = .words(weights)
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        switch self {
        case .words(let weights): try weights.encode(to: encoder)
        case .numbers(let vector):
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(vector.indices, forKey: .indices)
            try container.encode(vector.values, forKey: .values)
        }
    }
}

extension KeyedDecodingContainer {
    /// A finite weight, nil when it is absent or null. `"NaN"`, `"Infinity"` and numbers beyond 32 bits are refused by
    /// name.
    ///
    /// - Throws: `weight_not_finite`.
    func decodeWeightIfPresent(forKey key: Key) throws -> Float? {
        guard contains(key), try !decodeNil(forKey: key) else { return nil }
        let path = (codingPath + [key]).fieldPath
        guard let number = try? decode(Double.self, forKey: key) else {
            if let text = try? decode(String.self, forKey: key), Double(text) != nil {
                throw DatastoreError.field(.weightNotFinite, path, "got \"\(text)\", expected a finite number")
            }
            _ = try decode(Double.self, forKey: key)
            return nil
        }
        guard Float(number).isFinite else {
            throw DatastoreError.field(.weightNotFinite, path, "got \(number), expected a finite 32-bit number")
        }
        return Float(number)
    }
}
