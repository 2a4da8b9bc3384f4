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

/// A named column of vectors that entries are found by.
public struct KeySpec: Codable, Sendable, Hashable {
    public static let maximumDim = 65_536

    public var name: String
    /// Components of each vector.
    public var dim: Int
    public var metric: Metric
    public var encoder: Encoder?

    public init(name: String, dim: Int, metric: Metric, encoder: Encoder? = nil) {
        self.name = name
        self.dim = dim
        self.metric = metric
        self.encoder = encoder
    }

    /// Reads `NAME:DIM[:METRIC]`, the command line's form, for example `text:384:cosine`.
    ///
    /// - Throws: `invalid_value` or `invalid_name`.
    public init(argument: String, encoder: Encoder? = nil) throws {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 || parts.count == 3, let dim = Int(parts[1]),
            let metric = Metric(rawValue: parts.count == 3 ? parts[2] : Metric.cosine.rawValue)
        else {
            throw DatastoreError.field(
                .invalidValue, "key",
                "got \"\(argument)\", expected NAME:DIM[:METRIC] with METRIC cosine or ip, for example text:384:cosine"
            )
        }
        self.init(name: parts[0], dim: dim, metric: metric, encoder: encoder)
        try validate()
    }

    /// - Throws: `invalid_name` or `invalid_value`.
    public func validate() throws {
        try ResourceName.validate(name, field: "keys.name")
        guard (1...Self.maximumDim).contains(dim) else {
            throw DatastoreError.field(.invalidValue, "keys.dim", "got \(dim), expected 1 to \(Self.maximumDim)")
        }
    }
}
