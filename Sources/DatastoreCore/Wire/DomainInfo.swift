public import struct Foundation.Date

/// `PUT /v1/domains/{domain}`: bind, or switch.
public struct SetDomainRequest: Codable, Sendable, Hashable {
    public var datastores: [DatastoreBinding]
    public var defaults: QueryDefaults

    public init(datastores: [DatastoreBinding], defaults: QueryDefaults = QueryDefaults()) {
        self.datastores = datastores
        self.defaults = defaults
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case datastores, defaults
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        datastores = try container.decode([DatastoreBinding].self, forKey: .datastores)
        defaults = try container.decodeIfPresent(QueryDefaults.self, forKey: .defaults) ?? QueryDefaults()
    }
}

/// A datastore that a domain asks: pinned to a version, or following the latest.
public struct DatastoreBinding: Codable, Sendable, Hashable {
    public var name: String
    /// The pinned version; nil follows the latest, where there is no tag either.
    public var version: Int?
    /// Pins the version that has this tag now.
    public var tag: String?
    /// Results that an answer may have of it; nil is no limit.
    public var limit: Int?
    /// Results of several datastores are ordered by weight × score; above 0.
    public var weight: Float

    public init(name: String, version: Int? = nil, tag: String? = nil, limit: Int? = nil, weight: Float = 1) {
        self.name = name
        self.version = version
        self.tag = tag
        self.limit = limit
        self.weight = weight
    }

    private static let forms =
        "NAME, NAME@latest, NAME@VERSION or NAME@TAG, and behind it :limit=N or :weight=W, for example coco@7 or web:limit=2:weight=0.9"

    /// Reads `NAME`, `NAME@VERSION` or `NAME@TAG`, and `:limit=N` and `:weight=W` behind it: the command line's form.
    ///
    /// - Throws: `invalid_value`.
    public init(argument: String) throws {
        func refuse() -> DatastoreError {
            DatastoreError.field(.invalidValue, "datastores", "got \"\(argument)\", expected \(Self.forms)")
        }
        let options = argument.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let parts = options[0].split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        self.init(name: parts[0])
        if parts.count == 2 {
            guard let pin = Self.pin(parts[1]) else { throw refuse() }
            (version, tag) = pin
        }
        for option in options.dropFirst() {
            let pair = option.split(separator: "=", maxSplits: 1).map(String.init)
            switch pair.first {
            case "limit":
                guard pair.count == 2, let value = Int(pair[1]) else { throw refuse() }
                limit = value
            case "weight":
                guard pair.count == 2, let value = Float(pair[1]) else { throw refuse() }
                weight = value
            default: throw refuse()
            }
        }
        try validate()
    }

    /// - Throws: `invalid_value`, `weight_not_finite`.
    package func validate() throws {
        guard weight.isFinite else {
            throw DatastoreError.field(.weightNotFinite, "datastores.weight", "got \(weight), expected a finite number")
        }
        guard weight > 0 else {
            throw DatastoreError.field(.invalidValue, "datastores.weight", "got \(weight), expected a number above 0")
        }
        guard limit.map({ $0 > 0 }) ?? true else {
            throw DatastoreError.field(.invalidValue, "datastores.limit", "got \(limit ?? 0), expected 1 or more")
        }
    }

    /// What a number, a tag or `latest` pins, which is nothing; nil for what is none of them.
    private static func pin(_ reference: String) -> (version: Int?, tag: String?)? {
        if reference == "latest" { return (nil, nil) }
        if let number = Int(reference) { return number > 0 ? (number, nil) : nil }
        return TagName.isValid(reference) ? (nil, reference) : nil
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case name, version, limit, weight
    }

    /// `version` may be a number, a tag, `"latest"`, or absent.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        limit = try container.decodeWholeIfPresent(forKey: .limit)
        weight = try container.decodeWeightIfPresent(forKey: .weight) ?? 1
        try validate()
        if let text = try? container.decode(String.self, forKey: .version) {
            guard Int(text) == nil, let pin = Self.pin(text) else {
                throw DatastoreError.field(
                    .invalidValue, "datastores.version", "got \"\(text)\", expected a number, a tag or \"latest\"")
            }
            tag = pin.tag
        } else {
            version = try container.decodeWholeIfPresent(forKey: .version)
        }
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        if let version {
            try container.encode(version, forKey: .version)
        } else {
            try container.encode(tag ?? "latest", forKey: .version)
        }
        try container.encodeIfPresent(limit, forKey: .limit)
        if weight != 1 { try container.encode(weight, forKey: .weight) }
    }
}

/// What a question that does not say gets.
public struct QueryDefaults: Codable, Sendable, Hashable {
    public var k: Int?
    public var minScore: Float?
    public var dedupe: Dedupe?
    public var includePending: Bool?
    /// Which entries are asked for.
    public var filter: QueryFilter?
    /// Of prompts, in which `||` stands for the captions.
    public var template: String?

    public init(
        k: Int? = nil, minScore: Float? = nil, dedupe: Dedupe? = nil, includePending: Bool? = nil,
        filter: QueryFilter? = nil, template: String? = nil
    ) {
        self.k = k
        self.minScore = minScore
        self.dedupe = dedupe
        self.includePending = includePending
        self.filter = filter
        self.template = template
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case k, dedupe, filter, template
        case minScore = "min_score"
        case includePending = "include_pending"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        k = try container.decodeWholeIfPresent(forKey: .k)
        minScore = try container.decodeIfPresent(Float.self, forKey: .minScore)
        dedupe = try container.decodeIfPresent(Dedupe.self, forKey: .dedupe)
        includePending = try container.decodeIfPresent(Bool.self, forKey: .includePending)
        filter = try container.decodeIfPresent(QueryFilter.self, forKey: .filter)
        template = try container.decodeIfPresent(String.self, forKey: .template)
    }
}

/// Why a revision was made.
public enum RevisionReason: String, Codable, Sendable {
    case set
    /// A new version of a datastore that the domain follows.
    case follow
    case rollback
}

/// One revision of a domain: what it was bound to, exactly.
public struct DomainInfo: Codable, Sendable, Hashable {
    public var domain: String
    public var revision: Int
    public var reason: RevisionReason
    /// The revision that a rollback restored.
    public var restoredRevision: Int?
    public var createdAt: Date
    public var datastores: [BoundDatastore]
    public var defaults: QueryDefaults

    public init(
        domain: String, revision: Int, reason: RevisionReason, restoredRevision: Int?, createdAt: Date,
        datastores: [BoundDatastore], defaults: QueryDefaults
    ) {
        self.domain = domain
        self.revision = revision
        self.reason = reason
        self.restoredRevision = restoredRevision
        self.createdAt = createdAt
        self.datastores = datastores
        self.defaults = defaults
    }

    enum CodingKeys: String, CodingKey {
        case domain, revision, reason, datastores, defaults
        case restoredRevision = "restored_revision"
        case createdAt = "created_at"
    }
}

/// A binding with the version that answers.
public struct BoundDatastore: Codable, Sendable, Hashable {
    public var name: String
    public var version: Int
    /// Whether the next version moves the domain.
    public var followsLatest: Bool
    /// Results that an answer may have of it; nil is no limit.
    public var limit: Int?
    /// Results of several datastores are ordered by weight × score.
    public var weight: Float

    public init(name: String, version: Int, followsLatest: Bool, limit: Int? = nil, weight: Float = 1) {
        self.name = name
        self.version = version
        self.followsLatest = followsLatest
        self.limit = limit
        self.weight = weight
    }

    enum CodingKeys: String, CodingKey {
        case name, version, limit, weight
        case followsLatest = "follows_latest"
    }
}

/// `POST /v1/domains/{domain}/rollback`.
public struct RollbackRequest: Codable, Sendable, Hashable {
    /// The revision to return to; nil is the one before the current.
    public var to: Int?

    public init(to: Int? = nil) {
        self.to = to
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case to
    }

    public init(from decoder: any Decoder) throws {
        to = try decoder.strictContainer(keyedBy: CodingKeys.self).decodeWholeIfPresent(forKey: .to)
    }
}
