public import struct Foundation.Date

/// Whether the daemon answers questions, `GET /readyz`.
public struct Readiness: Codable, Sendable, Hashable {
    public enum State: String, Codable, Sendable {
        case loading
        case ready
        case stopping
    }

    public var status: State
    /// What is being done, for people.
    public var detail: String

    public init(status: State, detail: String) {
        self.status = status
        self.detail = detail
    }
}

/// The daemon at a glance, `GET /v1/status`.
public struct ServiceStatus: Codable, Sendable, Hashable {
    public var release: String
    public var readiness: Readiness
    public var startedAt: Date
    public var pid: Int
    public var dataDirectory: String
    public var searchThreads: Int
    /// Questions waiting or being searched now.
    public var searchesInFlight: Int
    public var datastores: Int
    public var domains: Int
    public var openVersions: Int
    public var jobsRunning: Int
    /// Pending changes of a datastore that questions may count.
    public var pendingLimit: Int
    /// Datastores with pending changes.
    public var pending: [PendingStatus]
    /// Versions that are not served, as NAME@VERSION.
    public var damagedVersions: [String]
    /// What the last start found unfinished and did about it.
    public var recovery: [String]

    public init(
        release: String, readiness: Readiness, startedAt: Date, pid: Int, dataDirectory: String, searchThreads: Int,
        searchesInFlight: Int, datastores: Int, domains: Int, openVersions: Int, jobsRunning: Int,
        pendingLimit: Int, pending: [PendingStatus], damagedVersions: [String], recovery: [String]
    ) {
        self.release = release
        self.readiness = readiness
        self.startedAt = startedAt
        self.pid = pid
        self.dataDirectory = dataDirectory
        self.searchThreads = searchThreads
        self.searchesInFlight = searchesInFlight
        self.datastores = datastores
        self.domains = domains
        self.openVersions = openVersions
        self.jobsRunning = jobsRunning
        self.pendingLimit = pendingLimit
        self.pending = pending
        self.damagedVersions = damagedVersions
        self.recovery = recovery
    }

    enum CodingKeys: String, CodingKey {
        case release, readiness, pid, datastores, domains, recovery, pending
        case startedAt = "started_at"
        case dataDirectory = "data_directory"
        case searchThreads = "search_threads"
        case searchesInFlight = "searches_in_flight"
        case openVersions = "open_versions"
        case jobsRunning = "jobs_running"
        case pendingLimit = "pending_limit"
        case damagedVersions = "damaged_versions"
    }
}

/// Changes of a datastore that wait for its next version.
public struct PendingStatus: Codable, Sendable, Hashable {
    public var datastore: String
    public var changes: Int
    /// Said when they come near to the limit; absent otherwise.
    public var warning: String?

    public init(datastore: String, changes: Int, warning: String? = nil) {
        self.datastore = datastore
        self.changes = changes
        self.warning = warning
    }
}
