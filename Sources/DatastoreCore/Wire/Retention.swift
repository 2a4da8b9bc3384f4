/// Which versions of a datastore stay when `gc` runs and after each build. A version stays when either rule keeps it; with
/// neither, all stay.
///
/// Whatever the rules say, these stay: the newest version, tagged ones, those that a domain is bound to, those of the
/// revision before a domain's current one, and those of revisions that the same rules keep, of the newest `keepLast` and of
/// the last `keepDays`. So a domain can be rolled back to any of these revisions.
public struct Retention: Codable, Sendable, Hashable {
    /// The newest so many versions that are not damaged.
    public var keepLast: Int?
    /// Versions younger than so many days.
    public var keepDays: Int?

    public init(keepLast: Int? = nil, keepDays: Int? = nil) {
        self.keepLast = keepLast
        self.keepDays = keepDays
    }

    /// Whether every version stays.
    public var keepsAll: Bool { keepLast == nil && keepDays == nil }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case keepLast = "keep_last"
        case keepDays = "keep_days"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        keepLast = try container.decodeWholeIfPresent(forKey: .keepLast)
        keepDays = try container.decodeWholeIfPresent(forKey: .keepDays)
        for (key, value) in [(CodingKeys.keepLast, keepLast), (.keepDays, keepDays)] {
            guard value.map({ (1...Self.largest).contains($0) }) ?? true else {
                throw DatastoreError.field(
                    .invalidValue, (decoder.codingPath + [key]).fieldPath,
                    "got \(value ?? 0), expected 1 to \(Self.largest)")
            }
        }
    }

    private static let largest = 100_000
}
