/// `PUT /v1/datastores/{name}/keys/{key}/questions`: what recall is measured with.
public struct RecallQuestionsInfo: Codable, Sendable, Hashable {
    public var datastore: String
    public var key: String
    public var questions: Int

    public init(datastore: String, key: String, questions: Int) {
        self.datastore = datastore
        self.key = key
        self.questions = questions
    }
}

/// `GET /v1/datastores/{name}/plan`: what each way of searching is expected to take, before any work.
public struct PlanAnswer: Codable, Sendable, Hashable {
    /// One way of searching.
    public struct Estimate: Codable, Sendable, Hashable {
        public var plan: IndexPlan
        /// Bytes on disk beside the original vectors.
        public var indexBytes: Int64
        /// Bytes that stay in memory. The original vectors are mapped; what the system keeps of them it can give back.
        public var memoryBytes: Int64
        /// Seconds that building and measuring the index adds to a build.
        public var buildSeconds: Double
        /// Milliseconds of one search, half of them less.
        public var latencyMilliseconds: Double
        /// Why it cannot be, or is not chosen; nil where nothing speaks against it.
        public var against: String?

        public init(
            plan: IndexPlan, indexBytes: Int64, memoryBytes: Int64, buildSeconds: Double, latencyMilliseconds: Double,
            against: String? = nil
        ) {
            self.plan = plan
            self.indexBytes = indexBytes
            self.memoryBytes = memoryBytes
            self.buildSeconds = buildSeconds
            self.latencyMilliseconds = latencyMilliseconds
            self.against = against
        }

        enum CodingKeys: String, CodingKey {
            case plan, against
            case indexBytes = "index_bytes"
            case memoryBytes = "memory_bytes"
            case buildSeconds = "build_seconds"
            case latencyMilliseconds = "latency_ms"
        }
    }

    public var datastore: String
    public var key: String
    public var rows: Int
    public var dim: Int
    /// What the datastore's builds are asked for, or what this question asks for.
    public var plan: IndexPlan
    /// What a build would take now; `auto` and too few rows are resolved.
    public var chosen: IndexPlan
    public var reason: String
    /// The recall that a version must have.
    public var gate: Double
    /// What latencies are computed from.
    public var basis: String
    public var estimates: [Estimate]

    public init(
        datastore: String, key: String, rows: Int, dim: Int, plan: IndexPlan, chosen: IndexPlan, reason: String,
        gate: Double, basis: String, estimates: [Estimate]
    ) {
        self.datastore = datastore
        self.key = key
        self.rows = rows
        self.dim = dim
        self.plan = plan
        self.chosen = chosen
        self.reason = reason
        self.gate = gate
        self.basis = basis
        self.estimates = estimates
    }
}
