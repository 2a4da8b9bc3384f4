public import struct Foundation.Date

/// `POST /v1/datastores/{name}/imports` with files that the daemon can reach.
public struct ImportRequest: Codable, Sendable, Hashable {
    /// Rows in one of the forms of `ImportFormat`, plain or gzip, under an import root of the daemon.
    public var rowsPath: String
    /// A NumPy file, or a FAISS index where the daemon may read one, with one vector per row for the datastore's first
    /// dense key; nil when the rows carry their vectors or an encoder makes them.
    public var vectorsPath: String?
    /// The same for other dense keys, by name.
    public var vectorsPaths: [String: String]
    public var options: ImportOptions

    public init(
        rowsPath: String, vectorsPath: String? = nil, vectorsPaths: [String: String] = [:],
        options: ImportOptions = ImportOptions()
    ) {
        self.rowsPath = rowsPath
        self.vectorsPath = vectorsPath
        self.vectorsPaths = vectorsPaths
        self.options = options
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case rowsPath = "rows_path"
        case vectorsPath = "vectors_path"
        case vectorsPaths = "vectors_paths"
    }

    /// The options are fields beside the paths.
    public init(from decoder: any Decoder) throws {
        try decoder.refuseFields(
            outside: CodingKeys.allCases.map(\.stringValue) + ImportOptions.CodingKeys.allCases.map(\.stringValue))
        let container = try decoder.container(keyedBy: CodingKeys.self)
        rowsPath = try container.decode(String.self, forKey: .rowsPath)
        vectorsPath = try container.decodeIfPresent(String.self, forKey: .vectorsPath)
        vectorsPaths = try container.decodeIfPresent([String: String].self, forKey: .vectorsPaths) ?? [:]
        options = try ImportOptions(from: decoder)
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(rowsPath, forKey: .rowsPath)
        try container.encodeIfPresent(vectorsPath, forKey: .vectorsPath)
        if !vectorsPaths.isEmpty { try container.encode(vectorsPaths, forKey: .vectorsPaths) }
        try options.encode(to: encoder)
    }
}

public enum JobKind: String, Codable, Sendable {
    case `import`
    case build
    /// Drops entries by a score and builds a version of the others.
    case filter
    /// Answers a file of questions.
    case dump
    /// Takes in the version that a bundle holds.
    case restore
    /// Compares a version with its manifest, and its indexes with its vectors.
    case verify
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
    /// An index is filled.
    case indexing
    /// An index is compared with exact search.
    case measuring
    case publishing
    /// A dump.
    case answering
    case verifying
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
    /// A dump's is the first that its domain is bound to.
    public var datastore: String
    /// The domain that a dump asks.
    public var domain: String?
    public var state: JobState
    public var phase: JobPhase
    public var counts: JobCounts
    /// How many rows each code refused; the sum is `counts.rejected`.
    public var rejectedByCode: [String: Int]
    /// How far the phase is; nil when it cannot be told, and when the job has ended.
    public var progress: JobProgress?
    /// Who asked for it, as the request named itself.
    public var submittedBy: String?
    /// Times that it went on after the daemon had been interrupted.
    public var resumed: Int
    /// Whether it was asked to stop.
    public var cancelRequested: Bool
    /// What an import found in its source.
    public var report: ImportReport?
    /// What a filter kept and dropped.
    public var filterReport: FilterReport?
    /// What a dump answered.
    public var dumpReport: DumpReport?
    /// What was found to be right of a version.
    public var verifyReport: VerifyReport?
    /// The version it made.
    public var version: Int?
    /// Why it failed.
    public var error: JobFailure?
    public var createdAt: Date
    public var startedAt: Date?
    public var finishedAt: Date?

    public init(
        id: String, kind: JobKind, datastore: String, state: JobState, phase: JobPhase, counts: JobCounts,
        rejectedByCode: [String: Int] = [:], progress: JobProgress? = nil, submittedBy: String? = nil,
        resumed: Int = 0, cancelRequested: Bool = false, report: ImportReport? = nil, version: Int?,
        error: JobFailure?, createdAt: Date, startedAt: Date?, finishedAt: Date?, domain: String? = nil,
        filterReport: FilterReport? = nil, dumpReport: DumpReport? = nil, verifyReport: VerifyReport? = nil
    ) {
        self.verifyReport = verifyReport
        self.domain = domain
        self.filterReport = filterReport
        self.dumpReport = dumpReport
        self.id = id
        self.kind = kind
        self.datastore = datastore
        self.state = state
        self.phase = phase
        self.counts = counts
        self.rejectedByCode = rejectedByCode
        self.progress = progress
        self.submittedBy = submittedBy
        self.resumed = resumed
        self.cancelRequested = cancelRequested
        self.report = report
        self.version = version
        self.error = error
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.finishedAt = finishedAt
    }

    enum CodingKeys: String, CodingKey {
        case id, kind, datastore, domain, state, phase, counts, progress, resumed, report, version, error
        case filterReport = "filter_report"
        case dumpReport = "dump_report"
        case verifyReport = "verify_report"
        case rejectedByCode = "rejected_by_code"
        case submittedBy = "submitted_by"
        case cancelRequested = "cancel_requested"
        case createdAt = "created_at"
        case startedAt = "started_at"
        case finishedAt = "finished_at"
    }
}

/// How far a phase of a job is.
public struct JobProgress: Codable, Sendable, Hashable {
    /// Share of the phase that is done, 0 to 1.
    public var fraction: Double
    /// Rows a second, over this phase since it began or went on.
    public var rowsPerSecond: Double
    /// Seconds until the end of the phase at that rate.
    public var secondsLeft: Double?

    public init(fraction: Double, rowsPerSecond: Double, secondsLeft: Double?) {
        self.fraction = fraction
        self.rowsPerSecond = rowsPerSecond
        self.secondsLeft = secondsLeft
    }

    enum CodingKeys: String, CodingKey {
        case fraction
        case rowsPerSecond = "rows_per_second"
        case secondsLeft = "seconds_left"
    }
}

/// Where the vectors of an import come from.
public enum VectorOrigin: String, Codable, Sendable {
    /// The rows carry them.
    case rows
    /// A NumPy file.
    case file
    /// A FAISS index file, read in a process of its own.
    case index
    /// The encoder that the datastore names.
    case encoder
}

/// What an import found in its source; of a dry run, also what it would make.
public struct ImportReport: Codable, Sendable, Hashable {
    public var format: ImportFormat
    public var vectors: VectorOrigin
    public var dim: Int
    /// Whether nothing was changed.
    public var dryRun: Bool
    /// Plan of the index: `exact`.
    public var indexPlan: String
    /// Entries of the next version with these rows in it.
    public var entries: Int?
    /// Bytes on disk that the next version takes, estimated.
    public var diskBytes: Int64?
    /// Bytes in memory that it takes while it is open, estimated.
    public var memoryBytes: Int64?
    /// What to know about the source, in words.
    public var notes: [String]

    public init(
        format: ImportFormat, vectors: VectorOrigin, dim: Int, dryRun: Bool, indexPlan: String = "exact",
        entries: Int? = nil, diskBytes: Int64? = nil, memoryBytes: Int64? = nil, notes: [String] = []
    ) {
        self.format = format
        self.vectors = vectors
        self.dim = dim
        self.dryRun = dryRun
        self.indexPlan = indexPlan
        self.entries = entries
        self.diskBytes = diskBytes
        self.memoryBytes = memoryBytes
        self.notes = notes
    }

    enum CodingKeys: String, CodingKey {
        case format, vectors, dim, entries, notes
        case dryRun = "dry_run"
        case indexPlan = "index_plan"
        case diskBytes = "disk_bytes"
        case memoryBytes = "memory_bytes"
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
    /// Number of the row among the rows of the source, from 1; row n has the nth vector.
    public var row: Int
    /// Line of the rows file on which it begins, from 1.
    public var line: Int
    /// Byte of the rows file, inflated, at which it begins, from 0.
    public var byte: Int
    public var code: ErrorCode
    public var detail: String
    /// The start of the row.
    public var excerpt: String

    public init(row: Int, line: Int, byte: Int, code: ErrorCode, detail: String, excerpt: String) {
        self.row = row
        self.line = line
        self.byte = byte
        self.code = code
        self.detail = detail
        self.excerpt = excerpt
    }
}
