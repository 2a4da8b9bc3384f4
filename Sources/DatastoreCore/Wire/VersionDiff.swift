/// What became of the entries of one version by another: `GET …/versions/{version}/diff`.
public struct VersionDiff: Codable, Sendable, Hashable {
    public var datastore: String
    public var from: Int
    public var to: Int
    /// Entries that only `to` has.
    public var added: Int
    /// Entries that only `from` has.
    public var removed: Int
    /// Entries of both whose fields or vectors differ.
    public var replaced: Int
    /// Entries that are the same in both.
    public var unchanged: Int
    /// The first of each, by id.
    public var samples: Samples

    public struct Samples: Codable, Sendable, Hashable {
        public var added: [Entry] = []
        public var removed: [Entry] = []
        public var replaced: [Replacement] = []

        public init() {}
    }

    /// An entry of one version.
    public struct Entry: Codable, Sendable, Hashable {
        public var id: Int64
        public var externalID: String?
        public var text: String

        public init(_ entry: DatastoreCore.Entry) {
            id = entry.id
            externalID = entry.fields.externalID
            text = entry.fields.text
        }

        enum CodingKeys: String, CodingKey {
            case id, text
            case externalID = "external_id"
        }
    }

    /// An entry of both versions.
    public struct Replacement: Codable, Sendable, Hashable {
        public var id: Int64
        public var externalID: String?
        /// The text in `from`.
        public var before: String
        /// The text in `to`.
        public var after: String
        /// Names of the fields that differ.
        public var fields: [String]
        /// Keys whose vectors differ.
        public var keys: [String]

        public init(before: DatastoreCore.Entry, after: DatastoreCore.Entry, keys: [String]) {
            let (old, new) = (before.fields, after.fields)
            id = after.id
            externalID = new.externalID
            self.before = old.text
            self.after = new.text
            self.keys = keys
            fields = [
                ("external_id", old.externalID != new.externalID), ("text", old.text != new.text),
                ("image_id", old.imageID != new.imageID), ("origin", old.origin != new.origin),
                ("lang", old.lang != new.lang), ("source", old.source != new.source),
                ("payload", old.payload != new.payload),
            ].filter(\.1).map(\.0)
        }

        enum CodingKeys: String, CodingKey {
            case id, before, after, fields, keys
            case externalID = "external_id"
        }
    }

    public init(datastore: String, from: Int, to: Int) {
        self.datastore = datastore
        self.from = from
        self.to = to
        (added, removed, replaced, unchanged) = (0, 0, 0, 0)
        samples = Samples()
    }
}

/// What a `verify` job found: every number is of what was looked at, and all of it was right unless the job failed.
public struct VerifyReport: Codable, Sendable, Hashable {
    /// Files whose bytes were compared with their checksums.
    public var files = 0
    public var bytes: Int64 = 0
    /// Entries whose text and vectors were found to have the same ids.
    public var entries = 0
    /// Vectors of entries that were searched for through the index, over all keys.
    public var sampled = 0
    /// Of these, how many were found to be nearest to themselves, or as near as what is equal to them.
    public var foundThemselves = 0
    /// Of these, how many had the same nearest entries as a look at every vector gives.
    public var agreed = 0

    public init() {}

    enum CodingKeys: String, CodingKey {
        case files, bytes, entries, sampled, agreed
        case foundThemselves = "found_themselves"
    }
}
