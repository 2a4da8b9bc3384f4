/// One entry of a datastore, `GET /v1/datastores/{name}/entries/{id}`.
public struct EntryInfo: Codable, Sendable, Hashable {
    public var id: Int64
    public var externalID: String?
    public var text: String
    public var imageID: String?
    public var origin: Origin?
    public var lang: String?
    public var source: String?
    public var payload: JSONValue?
    /// The version that has it; nil when it is a pending change, in no version yet.
    public var version: Int?
    /// Whether it is a pending change; absent when it is not.
    public var pending: Bool?
    /// The original vectors, by key, where they were asked for.
    public var vectors: [String: EntryVector]?

    public init(entry: Entry, version: Int?, vectors: [String: EntryVector]? = nil) {
        id = entry.id
        externalID = entry.fields.externalID
        text = entry.fields.text
        imageID = entry.fields.imageID
        origin = entry.fields.origin
        lang = entry.fields.lang
        source = entry.fields.source
        payload = entry.fields.payload
        self.version = version
        pending = version == nil ? true : nil
        self.vectors = vectors
    }

    enum CodingKeys: String, CodingKey {
        case id, text, origin, lang, source, payload, version, pending, vectors
        case externalID = "external_id"
        case imageID = "image_id"
    }
}

/// An original vector: an array of numbers, or of a sparse key `{"indices": […], "values": […]}`.
public enum EntryVector: Codable, Sendable, Hashable {
    case dense([Float])
    case sparse(SparseVector)

    enum CodingKeys: String, CodingKey {
        case indices, values
    }

    public init(from decoder: any Decoder) throws {
        if let numbers = try? decoder.singleValueContainer().decode([Float].self) {
            self = .dense(numbers)
            return
        }
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self = .sparse(
            try SparseVector(
                indices: container.decode([UInt32].self, forKey: .indices),
                values: container.decode([Float].self, forKey: .values)))
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        switch self {
        case .dense(let numbers): try numbers.encode(to: encoder)
        case .sparse(let weights):
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(weights.indices, forKey: .indices)
            try container.encode(weights.values, forKey: .values)
        }
    }
}
