public import struct Foundation.Date

/// `POST /v1/datastores`.
public struct CreateDatastoreRequest: Codable, Sendable, Hashable {
    public var name: String
    public var kind: DatastoreKind
    public var keys: [KeySpec]
    public var description: String?
    public var licence: String?
    /// How its dense keys are searched; nil is exactly.
    public var plan: IndexPlan?
    /// The share of the truly nearest entries that a version with an index must find; nil is 0.95.
    public var recallGate: Double?

    public init(
        name: String, kind: DatastoreKind, keys: [KeySpec], description: String? = nil, licence: String? = nil,
        plan: IndexPlan? = nil, recallGate: Double? = nil
    ) {
        self.plan = plan
        self.recallGate = recallGate
        self.name = name
        self.kind = kind
        self.keys = keys
        self.description = description
        self.licence = licence
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case name, kind, keys, description, licence, plan
        case recallGate = "recall_gate"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        kind = try container.decode(DatastoreKind.self, forKey: .kind)
        keys = try container.decode([StrictKeySpec].self, forKey: .keys).map(\.spec)
        description = try container.decodeIfPresent(String.self, forKey: .description)
        licence = try container.decodeIfPresent(String.self, forKey: .licence)
        plan = try container.decodeIfPresent(IndexPlan.self, forKey: .plan)
        recallGate = try container.decodeIfPresent(Double.self, forKey: .recallGate)
    }

    /// A key as a request gives it; answers are read leniently, so that a newer daemon may say more.
    private struct StrictKeySpec: Decodable {
        var spec: KeySpec

        enum CodingKeys: String, CodingKey, CaseIterable {
            case name, kind, dim, metric, encoder, pruning
        }

        enum EncoderKeys: String, CodingKey, CaseIterable {
            case model, revision, preprocessing, endpoint
        }

        struct StrictEncoder: Decodable {
            var encoder: Encoder

            init(from decoder: any Decoder) throws {
                _ = try decoder.strictContainer(keyedBy: EncoderKeys.self)
                encoder = try Encoder(from: decoder)
            }
        }

        struct StrictPruning: Decodable {
            var pruning: SparsePruning

            enum CodingKeys: String, CodingKey, CaseIterable {
                case threshold, top
            }

            init(from decoder: any Decoder) throws {
                let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
                pruning = SparsePruning(
                    threshold: try container.decodeIfPresent(Float.self, forKey: .threshold),
                    top: try container.decodeWholeIfPresent(forKey: .top))
            }
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
            guard let dim = try container.decodeWholeIfPresent(forKey: .dim) else {
                throw DatastoreError.field(
                    .missingField, (decoder.codingPath + [CodingKeys.dim]).fieldPath, "required and not given")
            }
            let name = try container.decode(String.self, forKey: .name)
            let encoder = try container.decodeIfPresent(StrictEncoder.self, forKey: .encoder)?.encoder
            let pruning = try container.decodeIfPresent(StrictPruning.self, forKey: .pruning)?.pruning
            switch try container.decodeIfPresent(KeyKind.self, forKey: .kind) ?? .dense {
            case .dense:
                spec = KeySpec(
                    name: name, dim: dim, metric: try container.decode(Metric.self, forKey: .metric), encoder: encoder)
                spec.pruning = pruning
            case .sparse:
                spec = KeySpec(name: name, terms: max(1, dim), pruning: pruning)
                spec.dim = dim
                spec.metric = try container.decodeIfPresent(Metric.self, forKey: .metric) ?? .innerProduct
                spec.encoder = encoder
            }
        }
    }
}

/// `PATCH /v1/datastores/{name}`: fields not given stay as they are.
public struct UpdateDatastoreRequest: Codable, Sendable, Hashable {
    public var description: String?
    public var licence: String?
    /// From the next build on.
    public var plan: IndexPlan?
    public var recallGate: Double?
    /// Replaces the whole retention.
    public var retention: Retention?

    public init(
        description: String? = nil, licence: String? = nil, plan: IndexPlan? = nil, recallGate: Double? = nil,
        retention: Retention? = nil
    ) {
        self.description = description
        self.licence = licence
        self.plan = plan
        self.recallGate = recallGate
        self.retention = retention
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case description, licence, plan, retention
        case recallGate = "recall_gate"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        description = try container.decodeIfPresent(String.self, forKey: .description)
        licence = try container.decodeIfPresent(String.self, forKey: .licence)
        plan = try container.decodeIfPresent(IndexPlan.self, forKey: .plan)
        recallGate = try container.decodeIfPresent(Double.self, forKey: .recallGate)
        retention = try container.decodeIfPresent(Retention.self, forKey: .retention)
    }
}

/// A datastore as the API shows it.
public struct DatastoreInfo: Codable, Sendable, Hashable {
    public var name: String
    public var kind: DatastoreKind
    public var keys: [KeySpec]
    public var description: String?
    public var licence: String?
    public var createdAt: Date
    /// Number of the newest version; nil before the first.
    public var latestVersion: Int?
    /// Entries of the newest version.
    public var entries: Int
    /// Durable changes waiting for the next version.
    public var pendingChanges: Int
    /// How its dense keys are searched, from the next build on.
    public var plan: IndexPlan
    /// The share of the truly nearest entries that a version with an index must find, of the first ten.
    public var recallGate: Double
    /// Which versions stay; nil when all do.
    public var retention: Retention?

    public static let defaultRecallGate = 0.95

    public init(
        name: String, kind: DatastoreKind, keys: [KeySpec], description: String?, licence: String?, createdAt: Date,
        latestVersion: Int?, entries: Int, pendingChanges: Int, plan: IndexPlan = .exact,
        recallGate: Double = DatastoreInfo.defaultRecallGate, retention: Retention? = nil
    ) {
        self.plan = plan
        self.recallGate = recallGate
        self.retention = retention
        self.name = name
        self.kind = kind
        self.keys = keys
        self.description = description
        self.licence = licence
        self.createdAt = createdAt
        self.latestVersion = latestVersion
        self.entries = entries
        self.pendingChanges = pendingChanges
    }

    enum CodingKeys: String, CodingKey {
        case name, kind, keys, description, licence, entries, plan, retention
        case recallGate = "recall_gate"
        case createdAt = "created_at"
        case latestVersion = "latest_version"
        case pendingChanges = "pending_changes"
    }
}

/// Whether a version may be served.
public enum VersionState: String, Codable, Sendable {
    case ready
    /// A file differs from the manifest; the version is never served.
    case damaged
}

/// A version as the API shows it.
public struct VersionInfo: Codable, Sendable, Hashable {
    public var datastore: String
    public var version: Int
    public var state: VersionState
    public var entries: Int
    /// Bytes of all its files.
    public var bytes: Int64
    public var createdAt: Date
    public var jobID: String?
    /// What is wrong, when damaged.
    public var detail: String?
    /// Its names, in their order.
    public var tags: [String]
    /// In the answer about one version only.
    public var files: [VersionFile]?
    /// How its keys are searched; in the answer about one version only.
    public var indexes: [VersionKeyIndex]?

    public init(
        datastore: String, version: Int, state: VersionState, entries: Int, bytes: Int64, createdAt: Date,
        jobID: String?, detail: String?, tags: [String] = [], files: [VersionFile]? = nil,
        indexes: [VersionKeyIndex]? = nil
    ) {
        self.tags = tags
        self.indexes = indexes
        self.datastore = datastore
        self.version = version
        self.state = state
        self.entries = entries
        self.bytes = bytes
        self.createdAt = createdAt
        self.jobID = jobID
        self.detail = detail
        self.files = files
    }

    enum CodingKeys: String, CodingKey {
        case datastore, version, state, entries, bytes, detail, tags, files, indexes
        case createdAt = "created_at"
        case jobID = "job_id"
    }
}

/// How one key of a version is searched.
public struct VersionKeyIndex: Codable, Sendable, Hashable {
    public var key: String
    /// With all its numbers.
    public var plan: IndexPlan
    /// Why it is this plan, where the daemon chose it.
    public var reason: String?
    /// What it was measured with; nil where every search is exact.
    public var recall: RecallReport?

    public init(key: String, plan: IndexPlan, reason: String?, recall: RecallReport?) {
        self.key = key
        self.plan = plan
        self.reason = reason
        self.recall = recall
    }
}

/// A file of a version, as its manifest lists it.
public struct VersionFile: Codable, Sendable, Hashable {
    public var name: String
    public var bytes: Int64
    public var sha256: String

    public init(name: String, bytes: Int64, sha256: String) {
        self.name = name
        self.bytes = bytes
        self.sha256 = sha256
    }
}
