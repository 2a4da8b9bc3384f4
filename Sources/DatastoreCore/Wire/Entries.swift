/// What became of entries that were posted, `POST /v1/datastores/{name}/entries`: durable pending changes.
public struct EntryChanges: Codable, Sendable, Hashable {
    /// In the order of the rows.
    public var entries: [EntryChange]
    public var counts: JobCounts
    /// Durable changes of the datastore that wait for its next version, these among them.
    public var pendingChanges: Int

    public init(entries: [EntryChange], counts: JobCounts, pendingChanges: Int) {
        self.entries = entries
        self.counts = counts
        self.pendingChanges = pendingChanges
    }

    enum CodingKeys: String, CodingKey {
        case entries, counts
        case pendingChanges = "pending_changes"
    }
}

/// What became of one row.
public struct EntryChange: Codable, Sendable, Hashable {
    public enum Outcome: String, WireChoice {
        case accepted
        case replaced
        /// Equal to what is there.
        case duplicate
        case rejected
    }

    public var outcome: Outcome
    /// Nil when rejected.
    public var id: Int64?
    public var externalID: String?
    /// Why it was rejected.
    public var error: JobFailure?

    public init(outcome: Outcome, id: Int64?, externalID: String?, error: JobFailure? = nil) {
        self.outcome = outcome
        self.id = id
        self.externalID = externalID
        self.error = error
    }

    enum CodingKeys: String, CodingKey {
        case outcome, id, error
        case externalID = "external_id"
    }
}
