/// How two vectors of a key are compared.
public enum Metric: String, WireChoice {
    /// Inner product of L2-normalised vectors. Zero vectors are refused.
    case cosine
    /// Inner product of the vectors as they are.
    case innerProduct = "ip"
}

/// The model that made the vectors of a key.
public struct Encoder: Codable, Sendable, Hashable {
    public var model: String
    public var revision: String?
    public var preprocessing: String?
    /// An encoder that the daemon's operator has configured under this name: it makes the vectors of rows and of
    /// questions that come without.
    public var endpoint: String?

    public init(model: String, revision: String? = nil, preprocessing: String? = nil, endpoint: String? = nil) {
        self.model = model
        self.revision = revision
        self.preprocessing = preprocessing
        self.endpoint = endpoint
    }

    /// Reads `MODEL` or `MODEL@REVISION`, the command line's form.
    public init(argument: String) {
        let parts = argument.split(separator: "@", maxSplits: 1)
        self.init(model: parts.first.map(String.init) ?? argument, revision: parts.dropFirst().first.map(String.init))
    }
}

/// What the vectors of a key are.
public enum KeyKind: String, WireChoice {
    /// `dim` numbers each.
    case dense
    /// Weights of terms of a vocabulary.
    case sparse
}

/// A named column of vectors that entries are found by.
public struct KeySpec: Codable, Sendable, Hashable {
    public static let maximumDim = 65_536
    public static let maximumTerms = 1 << 24

    public var name: String
    public var kind: KeyKind
    /// Dense: components of each vector. Sparse: terms of the vocabulary.
    public var dim: Int
    /// Sparse keys are compared by inner product.
    public var metric: Metric
    public var encoder: Encoder?
    /// Sparse: which weights are kept of an entry; nil for dense keys.
    public var pruning: SparsePruning?

    /// A dense key.
    public init(name: String, dim: Int, metric: Metric, encoder: Encoder? = nil) {
        self.name = name
        kind = .dense
        self.dim = dim
        self.metric = metric
        self.encoder = encoder
    }

    /// A sparse key.
    ///
    /// - Parameters:
    ///   - terms: size of the vocabulary.
    ///   - pruning: nil keeps the weights above 1/√terms (LexVLA).
    public init(name: String, terms: Int, pruning: SparsePruning? = nil) {
        self.name = name
        kind = .sparse
        dim = terms
        metric = .innerProduct
        self.pruning = pruning ?? SparsePruning(terms: terms)
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case name, kind, dim, metric, encoder, pruning
    }

    /// `kind` was not written by the first release.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        kind = try container.decodeIfPresent(KeyKind.self, forKey: .kind) ?? .dense
        dim = try container.decode(Int.self, forKey: .dim)
        metric =
            try container.decodeIfPresent(Metric.self, forKey: .metric) ?? (kind == .sparse ? .innerProduct : .cosine)
        encoder = try container.decodeIfPresent(Encoder.self, forKey: .encoder)
        pruning = try container.decodeIfPresent(SparsePruning.self, forKey: .pruning)
    }

    private static let forms =
        "NAME:DIM[:METRIC] with METRIC cosine or ip, for example text:384:cosine, or NAME:sparse:TERMS[:top=N|above=W], "
        + "for example lexical:sparse:17149"

    /// Reads `NAME:DIM[:METRIC]` or `NAME:sparse:TERMS[:top=N|above=W]`, the command line's forms, for example
    /// `text:384:cosine` and `lexical:sparse:17149:top=512`.
    ///
    /// - Throws: `invalid_value` or `invalid_name`.
    public init(argument: String, encoder: Encoder? = nil) throws {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        func refuse() -> DatastoreError {
            DatastoreError.field(.invalidValue, "key", "got \"\(argument)\", expected \(Self.forms)")
        }
        if parts.count >= 3, parts.count <= 4, parts[1] == KeyKind.sparse.rawValue {
            guard let terms = Int(parts[2]) else { throw refuse() }
            var pruning: SparsePruning?
            if parts.count == 4 {
                let option = parts[3].split(separator: "=", maxSplits: 1).map(String.init)
                guard option.count == 2 else { throw refuse() }
                switch option[0] {
                case "top":
                    guard let top = Int(option[1]) else { throw refuse() }
                    pruning = SparsePruning(threshold: 0, top: top)
                case "above":
                    guard let threshold = Float(option[1]) else { throw refuse() }
                    pruning = SparsePruning(threshold: threshold, top: nil)
                default: throw refuse()
                }
            }
            self.init(name: parts[0], terms: max(1, terms), pruning: pruning)
            dim = terms
        } else {
            guard parts.count == 2 || parts.count == 3, let dim = Int(parts[1]),
                let metric = Metric(rawValue: parts.count == 3 ? parts[2] : Metric.cosine.rawValue)
            else { throw refuse() }
            self.init(name: parts[0], dim: dim, metric: metric, encoder: encoder)
        }
        try validate()
    }

    /// - Throws: `invalid_name` or `invalid_value`.
    public func validate() throws {
        try ResourceName.validate(name, field: "keys.name")
        let largest = kind == .dense ? Self.maximumDim : Self.maximumTerms
        guard (1...largest).contains(dim) else {
            throw DatastoreError.field(.invalidValue, "keys.dim", "got \(dim), expected 1 to \(largest)")
        }
        switch kind {
        case .dense:
            guard pruning == nil else {
                throw DatastoreError.field(.invalidValue, "keys.pruning", "goes with sparse keys only")
            }
        case .sparse:
            guard metric == .innerProduct else {
                throw DatastoreError.field(.invalidValue, "keys.metric", "got cosine, expected ip for a sparse key")
            }
            guard encoder?.endpoint == nil else {
                throw DatastoreError.field(
                    .invalidValue, "keys.encoder.endpoint", "no encoder makes weights of terms; give them with the rows"
                )
            }
            try pruning?.validate()
        }
    }
}

/// One entry's vector for one key.
package enum KeyVector: Sendable, Hashable {
    case dense([Float])
    case sparse(SparseVector)

    /// The numbers of a dense vector; none of a sparse one.
    package var numbers: [Float] {
        if case .dense(let values) = self { values } else { [] }
    }
}
