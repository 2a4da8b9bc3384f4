/// `POST /v1/datastores/{name}/versions`: how the next version is built, and when it is not.
public struct BuildVersionRequest: Codable, Sendable, Hashable {
    /// For this build alone; nil is the datastore's.
    public var plan: IndexPlan?
    /// For this build alone; nil is the datastore's.
    public var recallGate: Double?
    /// Builds only when changes are pending; else a version is built of what is there anew, under another plan, say.
    public var ifChanged: Bool
    /// Refuses with `datastore_busy` while another job changes the datastore, rather than queue behind it.
    public var ifIdle: Bool

    public init(plan: IndexPlan? = nil, recallGate: Double? = nil, ifChanged: Bool = false, ifIdle: Bool = false) {
        self.plan = plan
        self.recallGate = recallGate
        self.ifChanged = ifChanged
        self.ifIdle = ifIdle
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case plan
        case recallGate = "recall_gate"
        case ifChanged = "if_changed"
        case ifIdle = "if_idle"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        plan = try container.decodeIfPresent(IndexPlan.self, forKey: .plan)
        recallGate = try container.decodeIfPresent(Double.self, forKey: .recallGate)
        ifChanged = try container.decodeIfPresent(Bool.self, forKey: .ifChanged) ?? false
        ifIdle = try container.decodeIfPresent(Bool.self, forKey: .ifIdle) ?? false
    }
}

/// What a build that was wanted only `if_changed` answers when nothing is pending: no job.
public struct UnchangedDatastore: Codable, Sendable, Hashable {
    public var datastore: String
    /// Number of the newest version, which stays; nil when there is none yet.
    public var version: Int?

    public init(datastore: String, version: Int?) {
        self.datastore = datastore
        self.version = version
    }
}
