/// `POST /v1/datastores/{name}/filters`: a job that drops entries whose image and text do not fit, and builds a version of
/// the others (BLIP's CapFilt).
public struct FilterRequest: Codable, Sendable, Hashable {
    /// Where the score of an entry comes from.
    public enum Score: Codable, Sendable, Hashable {
        /// The cosine of the vectors of two keys, of one dim (ITC).
        case keys(String, String)
        /// A number in the payload, such as the probability of an image-text matching head (ITM).
        case payload(String)

        enum CodingKeys: String, CodingKey, CaseIterable {
            case keys, payload
        }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
            let keys = try container.decodeIfPresent([String].self, forKey: .keys)
            let payload = try container.decodeIfPresent(String.self, forKey: .payload)
            switch (keys, payload) {
            case (let keys?, nil):
                guard keys.count == 2 else {
                    throw DatastoreError.field(.invalidValue, "score.keys", "got \(keys.count), expected two keys")
                }
                self = .keys(keys[0], keys[1])
            case (nil, let payload?): self = .payload(payload)
            default:
                throw DatastoreError.field(
                    keys == nil ? .missingField : .invalidValue, "score", "expected one of keys and payload")
            }
        }

        public func encode(to encoder: any Swift.Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            switch self {
            case .keys(let first, let second): try container.encode([first, second], forKey: .keys)
            case .payload(let name): try container.encode(name, forKey: .payload)
            }
        }
    }

    /// What becomes of entries without a score.
    public enum Unscored: String, WireChoice {
        case keep
        case drop
    }

    public var score: Score
    /// Entries with a score below are dropped; nil drops none but by `thresholds`.
    public var threshold: Float?
    /// For entries of an origin, instead of `threshold`; by the origin's name, or `none` for entries without one.
    public var thresholds: [String: Float]
    public var unscored: Unscored
    /// Dropped and kept entries nearest to the threshold that the report shows of each.
    public var examples: Int
    /// Whether nothing is changed and only the report is made.
    public var dryRun: Bool

    public init(
        score: Score, threshold: Float? = nil, thresholds: [String: Float] = [:], unscored: Unscored = .keep,
        examples: Int = 10, dryRun: Bool = false
    ) {
        self.score = score
        self.threshold = threshold
        self.thresholds = thresholds
        self.unscored = unscored
        self.examples = examples
        self.dryRun = dryRun
    }

    /// - Throws: `missing_field`, `invalid_value`.
    package func validate() throws {
        guard threshold != nil || !thresholds.isEmpty else {
            throw DatastoreError.field(.missingField, "threshold", "expected threshold, or thresholds by origin")
        }
        let known = Origin.allCases.map(\.rawValue) + ["none"]
        for origin in thresholds.keys.sorted() where !known.contains(origin) {
            throw DatastoreError.field(
                .invalidValue, "thresholds",
                "got \"\(origin.prefix(80))\", expected one of \(known.joined(separator: ", "))")
        }
        guard (0...100).contains(examples) else {
            throw DatastoreError.field(.invalidValue, "examples", "got \(examples), expected 0 to 100")
        }
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case score, threshold, thresholds, unscored, examples
        case dryRun = "dry_run"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        self.init(
            score: try container.decode(Score.self, forKey: .score),
            threshold: try container.decodeIfPresent(Float.self, forKey: .threshold),
            thresholds: try container.decodeIfPresent([String: Float].self, forKey: .thresholds) ?? [:],
            unscored: try container.decodeIfPresent(Unscored.self, forKey: .unscored) ?? .keep,
            examples: try container.decodeWholeIfPresent(forKey: .examples) ?? 10,
            dryRun: try container.decodeIfPresent(Bool.self, forKey: .dryRun) ?? false)
    }
}

/// What a filter kept and dropped. All dropped entries are in the job's output, one JSON object per line.
public struct FilterReport: Codable, Sendable, Hashable {
    public var kept: Int
    public var dropped: Int
    /// Entries without a score; they are in `kept` or `dropped` too.
    public var unscored: Int
    /// By origin; `none` for entries without one.
    public var origins: [String: Counts]
    public var histogram: Histogram
    /// Dropped entries, the highest scores first.
    public var droppedExamples: [Example]
    /// Kept entries, the lowest scores first.
    public var keptExamples: [Example]
    /// Whether nothing was changed.
    public var dryRun: Bool

    public struct Counts: Codable, Sendable, Hashable {
        public var kept = 0
        public var dropped = 0

        public init(kept: Int = 0, dropped: Int = 0) {
            self.kept = kept
            self.dropped = dropped
        }
    }

    /// How many scores fall into each of equally wide bins.
    public struct Histogram: Codable, Sendable, Hashable {
        /// Lower edge of the first bin.
        public var low: Float
        /// Upper edge of the last bin; scores outside count in the first and the last.
        public var high: Float
        public var counts: [Int]

        public init(low: Float, high: Float, counts: [Int]) {
            self.low = low
            self.high = high
            self.counts = counts
        }
    }

    public struct Example: Codable, Sendable, Hashable {
        public var id: Int64
        public var externalID: String?
        public var imageID: String?
        public var text: String
        public var origin: Origin?
        public var score: Float?

        public init(entry: Entry, score: Float?) {
            id = entry.id
            externalID = entry.fields.externalID
            imageID = entry.fields.imageID
            text = entry.fields.text
            origin = entry.fields.origin
            self.score = score
        }

        enum CodingKeys: String, CodingKey {
            case id, text, origin, score
            case externalID = "external_id"
            case imageID = "image_id"
        }
    }

    public init(
        kept: Int, dropped: Int, unscored: Int, origins: [String: Counts], histogram: Histogram,
        droppedExamples: [Example], keptExamples: [Example], dryRun: Bool
    ) {
        self.kept = kept
        self.dropped = dropped
        self.unscored = unscored
        self.origins = origins
        self.histogram = histogram
        self.droppedExamples = droppedExamples
        self.keptExamples = keptExamples
        self.dryRun = dryRun
    }

    enum CodingKeys: String, CodingKey {
        case kept, dropped, unscored, origins, histogram
        case droppedExamples = "dropped_examples"
        case keptExamples = "kept_examples"
        case dryRun = "dry_run"
    }
}
