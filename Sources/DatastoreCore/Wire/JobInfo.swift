public import struct Foundation.Date

/// `POST /v1/datastores/{name}/imports` with files that the daemon can reach.
public struct ImportRequest: Codable, Sendable, Hashable {
    /// NDJSON rows, plain or gzip, under an import root of the daemon.
    public var rowsPath: String
    /// A NumPy file with one vector per row; nil when the rows carry their vectors.
    public var vectorsPath: String?
    public var options: ImportOptions

    public init(rowsPath: String, vectorsPath: String? = nil, options: ImportOptions = ImportOptions()) {
        self.rowsPath = rowsPath
        self.vectorsPath = vectorsPath
        self.options = options
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case build, strict
        case rowsPath = "rows_path"
        case vectorsPath = "vectors_path"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        rowsPath = try container.decode(String.self, forKey: .rowsPath)
        vectorsPath = try container.decodeIfPresent(String.self, forKey: .vectorsPath)
        options = ImportOptions(
            build: try container.decodeIfPresent(Bool.self, forKey: .build) ?? true,
            strict: try container.decodeIfPresent(Bool.self, forKey: .strict) ?? false
        )
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(rowsPath, forKey: .rowsPath)
        try container.encodeIfPresent(vectorsPath, forKey: .vectorsPath)
        try container.encode(options.build, forKey: .build)
        try container.encode(options.strict, forKey: .strict)
    }
}

/// How an import ends.
public struct ImportOptions: Codable, Sendable, Hashable {
    /// Whether a version is built; otherwise the rows wait as pending changes.
    public var build: Bool
    /// Whether one rejected row fails the whole import.
    public var strict: Bool

    public init(build: Bool = true, strict: Bool = false) {
        self.build = build
        self.strict = strict
    }
}

public enum JobKind: String, Codable, Sendable {
    case `import`
    case build
}

public enum JobState: String, Codable, Sendable, CaseIterable {
    case queued
    case running
    case succeeded
    case failed
    case cancelled

    /// Whether the job has ended.
    public var isFinal: Bool { self == .succeeded || self == .failed || self == .cancelled }
}

/// What a job is doing. Up to and including `reading` nothing of it is kept; from `building` on its rows are durable.
public enum JobPhase: String, Codable, Sendable {
    case waiting
    case reading
    case building
    case publishing
    case done
}

/// What became of the rows of an import: `seen` is the sum of the others.
public struct JobCounts: Codable, Sendable, Hashable {
    public var seen = 0
    public var accepted = 0
    public var replaced = 0
    public var duplicate = 0
    public var rejected = 0

    public init() {}
}

/// A job as the API shows it.
public struct JobInfo: Codable, Sendable, Hashable {
    public var id: String
    public var kind: JobKind
    public var datastore: String
    public var state: JobState
    public var phase: JobPhase
    public var counts: JobCounts
    /// The version it made.
    public var version: Int?
    /// Why it failed.
    public var error: JobFailure?
    public var createdAt: Date
    public var startedAt: Date?
    public var finishedAt: Date?

    public init(
        id: String, kind: JobKind, datastore: String, state: JobState, phase: JobPhase, counts: JobCounts,
        version: Int?, error: JobFailure?, createdAt: Date, startedAt: Date?, finishedAt: Date?
    ) {
        self.id = id
        self.kind = kind
        self.datastore = datastore
        self.state = state
        self.phase = phase
        self.counts = counts
        self.version = version
        self.error = error
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.finishedAt = finishedAt
    }

    enum CodingKeys: String, CodingKey {
        case id, kind, datastore, state, phase, counts, version, error
        case createdAt = "created_at"
        case startedAt = "started_at"
        case finishedAt = "finished_at"
    }
}

/// Why a job failed.
public struct JobFailure: Codable, Sendable, Hashable {
    public var code: String
    public var detail: String

    public init(code: String, detail: String) {
        self.code = code
        self.detail = detail
    }
}

/// A row that an import refused, one line of `GET /v1/jobs/{id}/rejects`.
public struct RejectedRow: Codable, Sendable, Hashable {
    /// Line of the rows file, from 1.
    public var line: Int
    public var code: ErrorCode
    public var detail: String
    /// The start of the line.
    public var excerpt: String

    public init(line: Int, code: ErrorCode, detail: String, excerpt: String) {
        self.line = line
        self.code = code
        self.detail = detail
        self.excerpt = excerpt
    }
}
