/// What the entries of a datastore are.
public enum DatastoreKind: String, WireChoice {
    case captions
    case names
}

/// Where a text comes from.
public enum Origin: String, WireChoice {
    case human
    case web
    case synthetic
}

/// One memory without its vectors.
public struct Entry: Sendable, Hashable {
    /// Given by the daemon, never reused in its datastore.
    public var id: Int64
    public var fields: EntryFields

    public init(id: Int64, fields: EntryFields) {
        self.id = id
        self.fields = fields
    }
}

/// What a client says of an entry.
public struct EntryFields: Sendable, Hashable {
    /// The client's own id, unique in its datastore.
    public var externalID: String?
    public var text: String
    public var imageID: String?
    public var origin: Origin?
    public var lang: String?
    public var source: String?
    /// A JSON object.
    public var payload: JSONValue?

    public init(
        externalID: String? = nil, text: String, imageID: String? = nil, origin: Origin? = nil,
        lang: String? = nil, source: String? = nil, payload: JSONValue? = nil
    ) {
        self.externalID = externalID
        self.text = text
        self.imageID = imageID
        self.origin = origin
        self.lang = lang
        self.source = source
        self.payload = payload
    }
}
