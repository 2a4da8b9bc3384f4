/// `POST /v1/gc`: what is let go of.
public struct GCRequest: Codable, Sendable, Hashable {
    /// Only of these; empty is all.
    public var datastores: [String]
    /// Says what would go, and removes nothing.
    public var dryRun: Bool
    /// Outputs and rejected rows of jobs that ended so many days ago go.
    public var jobFilesDays: Int

    public static let defaultJobFilesDays = 30

    public init(datastores: [String] = [], dryRun: Bool = false, jobFilesDays: Int = defaultJobFilesDays) {
        self.datastores = datastores
        self.dryRun = dryRun
        self.jobFilesDays = jobFilesDays
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case datastores
        case dryRun = "dry_run"
        case jobFilesDays = "job_files_days"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        datastores = try container.decodeIfPresent([String].self, forKey: .datastores) ?? []
        dryRun = try container.decodeIfPresent(Bool.self, forKey: .dryRun) ?? false
        jobFilesDays = try container.decodeWholeIfPresent(forKey: .jobFilesDays) ?? Self.defaultJobFilesDays
        guard (0...Self.mostDays).contains(jobFilesDays) else {
            throw DatastoreError.field(
                .invalidValue, "job_files_days", "got \(jobFilesDays), expected 0 to \(Self.mostDays)")
        }
    }

    private static let mostDays = 100_000
}

/// What `gc` removed, or would.
public struct GCReport: Codable, Sendable, Hashable {
    public var dryRun: Bool
    public var items: [GCItem]
    /// Bytes that the disk has back, or would have; not those of items that are held.
    public var freedBytes: Int64
    /// Bytes of versions that running questions still have open: the next run, or the next start, removes their files.
    public var heldBytes: Int64

    public init(dryRun: Bool, items: [GCItem]) {
        self.dryRun = dryRun
        self.items = items
        freedBytes = items.reduce(0) { $0 + ($1.isHeld ? 0 : $1.bytes) }
        heldBytes = items.reduce(0) { $0 + ($1.isHeld ? $1.bytes : 0) }
    }

    enum CodingKeys: String, CodingKey {
        case items
        case dryRun = "dry_run"
        case freedBytes = "freed_bytes"
        case heldBytes = "held_bytes"
    }
}

/// One thing that goes.
public struct GCItem: Codable, Sendable, Hashable {
    public enum Kind: String, Codable, Sendable {
        case version
        /// What a job was making.
        case staging
        /// What a job made for its client.
        case output
        /// Rows that an import refused.
        case rejects
    }

    public var kind: Kind
    public var datastore: String?
    public var version: Int?
    public var job: String?
    /// On disk, of files that nothing else shares.
    public var bytes: Int64
    public var reason: String
    /// Whether running questions have it open, so that its files are there until they end.
    public var isHeld: Bool

    public init(
        _ kind: Kind, datastore: String?, version: Int? = nil, job: String? = nil, bytes: Int64, reason: String,
        isHeld: Bool = false
    ) {
        self.kind = kind
        self.datastore = datastore
        self.version = version
        self.job = job
        self.bytes = bytes
        self.reason = reason
        self.isHeld = isHeld
    }

    enum CodingKeys: String, CodingKey {
        case kind, datastore, version, job, bytes, reason
        case isHeld = "held"
    }
}
