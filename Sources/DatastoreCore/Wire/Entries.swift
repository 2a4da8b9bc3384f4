/// What became of entries that were posted, `POST /v1/datastores/{name}/entries`: durable pending changes.
public struct EntryChanges: Codable, Sendable, Hashable {
    /// In the order of the rows.
    public var entries: [EntryChange]
    public var counts: JobCounts
    /// Durable changes of the datastore that wait for its next version, these among them.
    public var pendingChanges: Int
    /// Said when the pending changes come near to what questions can count.
    public var warning: String?

    public init(entries: [EntryChange], counts: JobCounts, pendingChanges: Int, warning: String? = nil) {
        self.entries = entries
        self.counts = counts
        self.pendingChanges = pendingChanges
        self.warning = warning
    }

    enum CodingKeys: String, CodingKey {
        case entries, counts, warning
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

/// Which entry is to be deleted, a line of `DELETE /v1/datastores/{name}/entries`: by the client's own id, or by the
/// daemon's.
public enum EntryName: Codable, Sendable, Hashable {
    case id(Int64)
    case externalID(String)

    enum CodingKeys: String, CodingKey, CaseIterable {
        case id
        case externalID = "external_id"
    }

    /// - Throws: `unknown_field`, `missing_field`, `invalid_value`.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        if (try? container.decodeIfPresent(String.self, forKey: .id)) ?? nil != nil {
            throw DatastoreError.field(
                .invalidValue, "id",
                "got a string, expected the daemon's number; the id that the entry was given is external_id")
        }
        switch (
            try container.decodeWholeIfPresent(forKey: .id),
            try container.decodeIfPresent(String.self, forKey: .externalID)
        )
        {
        case (let id?, nil): self = .id(Int64(id))
        case (nil, let externalID?): self = .externalID(externalID)
        case (nil, nil): throw DatastoreError.field(.missingField, "external_id", "expected one of external_id and id")
        case (_?, _?): throw DatastoreError.field(.invalidValue, "external_id", "expected one of external_id and id")
        }
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .id(let id): try container.encode(id, forKey: .id)
        case .externalID(let externalID): try container.encode(externalID, forKey: .externalID)
        }
    }
}

/// What became of entries that were to be deleted: durable pending changes.
public struct EntryDeletions: Codable, Sendable, Hashable {
    /// In the order of the lines.
    public var entries: [EntryDeletion]
    public var counts: Counts
    /// Durable changes of the datastore that wait for its next version, these among them.
    public var pendingChanges: Int
    /// Said when the pending changes come near to what questions can count.
    public var warning: String?

    /// seen = deleted + unknown + rejected
    public struct Counts: Codable, Sendable, Hashable {
        public var seen = 0
        public var deleted = 0
        /// Not there, or deleted before.
        public var unknown = 0
        public var rejected = 0

        public init() {}
    }

    public init(entries: [EntryDeletion], pendingChanges: Int, warning: String? = nil) {
        self.entries = entries
        self.pendingChanges = pendingChanges
        self.warning = warning
        counts = Counts()
        counts.seen = entries.count
        for entry in entries {
            switch entry.outcome {
            case .deleted: counts.deleted += 1
            case .unknown: counts.unknown += 1
            case .rejected: counts.rejected += 1
            }
        }
    }

    enum CodingKeys: String, CodingKey {
        case entries, counts, warning
        case pendingChanges = "pending_changes"
    }
}

/// What became of one line.
public struct EntryDeletion: Codable, Sendable, Hashable {
    public enum Outcome: String, WireChoice {
        case deleted
        /// Not there, or deleted before.
        case unknown
        case rejected
    }

    public var outcome: Outcome
    /// Of a deleted entry, and the one that was asked for.
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
