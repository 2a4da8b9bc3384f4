/// How the vectors of a dense key are searched.
///
/// In JSON and on the command line a word, `hnsw`, or a word with settings: `{"method": "hnsw", "links": 32}` and
/// `hnsw:links=32,ef_search=128`.
public struct IndexPlan: Sendable, Hashable {
    public enum Method: String, WireChoice {
        /// Every search looks at all original vectors. No index file.
        case exact
        /// A graph of neighbours (Malkov and Yashunin, 2016): fast; its links are a file of their own beside the vectors.
        case hnsw
        /// Lists of near vectors, some of which are searched; the whole vectors once more in memory.
        case ivfFlat = "ivf_flat"
        /// Lists of near vectors by compact codes, four bits for each number: the fastest to build and to search.
        case ivfSQ4 = "ivf_sq4"
        /// Lists with a byte for each number.
        case ivfSQ8 = "ivf_sq8"
        /// The same with a few bytes for each vector (product quantisation); what it finds is ranked again.
        case ivfPQ = "ivf_pq+refine"
        /// One of the others, by rows, dimensions and the budgets.
        case auto

        /// Whether it is a graph of neighbours.
        public var isGraph: Bool { self == .hnsw }

        /// Whether its index is a file of FAISS, or was one in older releases.
        public var isOfFaiss: Bool {
            switch self {
            case .hnsw, .ivfFlat, .ivfSQ8, .ivfPQ: true
            case .exact, .ivfSQ4, .auto: false
            }
        }

        /// Whether it has lists of near vectors.
        public var hasLists: Bool { self == .ivfFlat || self == .ivfSQ4 || self == .ivfSQ8 || self == .ivfPQ }

        /// Candidates that are scored again for each result: codes that say less need more.
        public var candidatesPerResult: Int {
            switch self {
            case .ivfSQ8: 2
            case .ivfPQ: 16
            case .exact, .hnsw, .ivfFlat, .ivfSQ4, .auto: 1
            }
        }
    }

    public var method: Method
    /// Graphs: neighbours of each vector.
    public var links: Int?
    /// How many lists.
    public var lists: Int?
    /// Product quantisation: bytes of each vector; they divide the dimensions.
    public var codeBytes: Int?
    /// Graphs: candidates kept by a search that does not say.
    public var efSearch: Int?
    /// Lists that a search looks into that does not say.
    public var nprobe: Int?
    /// `auto`: bytes of memory that an index may take.
    public var memoryBytes: Int64?
    /// `auto`: milliseconds that half of the questions may take.
    public var latencyMilliseconds: Double?

    public init(
        _ method: Method, links: Int? = nil, lists: Int? = nil, codeBytes: Int? = nil, efSearch: Int? = nil,
        nprobe: Int? = nil, memoryBytes: Int64? = nil, latencyMilliseconds: Double? = nil
    ) {
        self.method = method
        self.links = links
        self.lists = lists
        self.codeBytes = codeBytes
        self.efSearch = efSearch
        self.nprobe = nprobe
        self.memoryBytes = memoryBytes
        self.latencyMilliseconds = latencyMilliseconds
    }

    public static let exact = IndexPlan(.exact)

    /// The settings that a method takes.
    private static func settings(of method: Method) -> [CodingKeys] {
        switch method {
        case .exact: []
        case .hnsw: [.links, .efSearch]
        case .ivfFlat, .ivfSQ4, .ivfSQ8: [.lists, .nprobe]
        case .ivfPQ: [.lists, .nprobe, .codeBytes]
        case .auto: [.memoryBytes, .latencyMilliseconds]
        }
    }

    /// - Throws: `invalid_value` for a setting that is out of range or of another method.
    public func validate(field: String = "plan") throws {
        func check(_ value: Int?, _ key: CodingKeys, _ range: ClosedRange<Int>) throws {
            guard let value, !range.contains(value) else { return }
            throw DatastoreError.field(
                .invalidValue, "\(field).\(key.rawValue)",
                "got \(value), expected \(range.lowerBound) to \(range.upperBound)")
        }
        let given: [(CodingKeys, Bool)] = [
            (.links, links != nil), (.lists, lists != nil), (.codeBytes, codeBytes != nil),
            (.efSearch, efSearch != nil), (.nprobe, nprobe != nil), (.memoryBytes, memoryBytes != nil),
            (.latencyMilliseconds, latencyMilliseconds != nil),
        ]
        let taken = Self.settings(of: method)
        if let other = given.first(where: { $0.1 && !taken.contains($0.0) })?.0 {
            let known = taken.isEmpty ? "none" : taken.map(\.rawValue).joined(separator: ", ")
            throw DatastoreError.field(
                .invalidValue, "\(field).\(other.rawValue)", "is no setting of \(method.rawValue), which takes \(known)"
            )
        }
        try check(links, .links, 4...128)
        try check(lists, .lists, 1...1_000_000)
        try check(codeBytes, .codeBytes, 1...KeySpec.maximumDim)
        try check(efSearch, .efSearch, 1...100_000)
        try check(nprobe, .nprobe, 1...1_000_000)
        if let lists, let nprobe, nprobe > lists {
            throw DatastoreError.field(
                .invalidValue, "\(field).nprobe", "got \(nprobe), expected at most the \(lists) lists")
        }
        if let memoryBytes, memoryBytes < 0 {
            throw DatastoreError.field(
                .invalidValue, "\(field).memory_bytes", "got \(memoryBytes), expected 0 or more")
        }
        if let latencyMilliseconds, !(latencyMilliseconds > 0 && latencyMilliseconds.isFinite) {
            throw DatastoreError.field(
                .invalidValue, "\(field).latency_ms", "got \(latencyMilliseconds), expected more than 0")
        }
    }
}

extension IndexPlan: Codable {
    enum CodingKeys: String, CodingKey, CaseIterable {
        case method, links, lists, nprobe
        case codeBytes = "code_bytes"
        case efSearch = "ef_search"
        case memoryBytes = "memory_bytes"
        case latencyMilliseconds = "latency_ms"
    }

    /// A word, or an object.
    public init(from decoder: any Decoder) throws {
        if let text = try? decoder.singleValueContainer().decode(String.self) {
            self = try IndexPlan(argument: text, field: decoder.codingPath.fieldPath)
            return
        }
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        self.init(
            try container.decode(Method.self, forKey: .method),
            links: try container.decodeWholeIfPresent(forKey: .links),
            lists: try container.decodeWholeIfPresent(forKey: .lists),
            codeBytes: try container.decodeWholeIfPresent(forKey: .codeBytes),
            efSearch: try container.decodeWholeIfPresent(forKey: .efSearch),
            nprobe: try container.decodeWholeIfPresent(forKey: .nprobe),
            memoryBytes: try container.decodeWholeIfPresent(forKey: .memoryBytes).map { Int64($0) },
            latencyMilliseconds: try container.decodeIfPresent(Double.self, forKey: .latencyMilliseconds))
    }

    public func encode(to encoder: any Swift.Encoder) throws {
        guard self != IndexPlan(method) else {
            var container = encoder.singleValueContainer()
            return try container.encode(method.rawValue)
        }
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(method, forKey: .method)
        try container.encodeIfPresent(links, forKey: .links)
        try container.encodeIfPresent(lists, forKey: .lists)
        try container.encodeIfPresent(codeBytes, forKey: .codeBytes)
        try container.encodeIfPresent(efSearch, forKey: .efSearch)
        try container.encodeIfPresent(nprobe, forKey: .nprobe)
        try container.encodeIfPresent(memoryBytes, forKey: .memoryBytes)
        try container.encodeIfPresent(latencyMilliseconds, forKey: .latencyMilliseconds)
    }
}

extension IndexPlan: CustomStringConvertible {
    /// Reads `hnsw` and `hnsw:links=32,ef_search=128`.
    ///
    /// - Throws: `invalid_value`.
    public init(argument: String, field: String = "plan") throws {
        let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let word = parts.first, let method = Method(rawValue: String(word)) else {
            throw DatastoreError.field(
                .invalidValue, field,
                "got \"\(argument)\", expected \(Method.allCases.map(\.rawValue).joined(separator: ", "))"
                    + ", with settings behind a colon")
        }
        self.init(method)
        guard parts.count == 2 else { return }
        for setting in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
            let pair = setting.split(separator: "=", maxSplits: 1).map(String.init)
            let number = pair.count == 2 ? Int(pair[1]) : nil
            switch (pair.first.flatMap(CodingKeys.init(rawValue:)), number) {
            case (.links, let value?): links = value
            case (.lists, let value?): lists = value
            case (.codeBytes, let value?): codeBytes = value
            case (.efSearch, let value?): efSearch = value
            case (.nprobe, let value?): nprobe = value
            case (.memoryBytes, let value?): memoryBytes = Int64(value)
            case (.latencyMilliseconds, _) where pair.count == 2 && Double(pair[1]) != nil:
                latencyMilliseconds = Double(pair[1])
            default:
                let known = Self.settings(of: method).map { "\($0.rawValue)=NUMBER" }
                throw DatastoreError.field(
                    .invalidValue, field,
                    "got \"\(setting)\", expected \(known.isEmpty ? "no settings" : known.joined(separator: ", "))")
            }
        }
    }

    /// The command line's form.
    public var description: String {
        let settings: [(CodingKeys, String?)] = [
            (.links, links.map(String.init)), (.lists, lists.map(String.init)),
            (.codeBytes, codeBytes.map(String.init)), (.efSearch, efSearch.map(String.init)),
            (.nprobe, nprobe.map(String.init)), (.memoryBytes, memoryBytes.map(String.init)),
            (.latencyMilliseconds, latencyMilliseconds.map { "\($0)" }),
        ]
        let given = settings.compactMap { key, value in value.map { "\(key.rawValue)=\($0)" } }
        return given.isEmpty ? method.rawValue : "\(method.rawValue):\(given.joined(separator: ","))"
    }
}

/// The recall that an approximate index was measured with: how many of the k truly nearest entries it finds.
public struct RecallReport: Codable, Sendable, Hashable {
    /// Where the questions came from.
    public enum Source: String, Codable, Sendable {
        /// The owner of the datastore gave them.
        case given
        /// Questions that the daemon was asked.
        case recorded
        /// Entries, each with itself left out: they tell less about questions of another kind, such as pictures.
        case entries
    }

    /// One setting and what it brings.
    public struct Point: Codable, Sendable, Hashable {
        public var efSearch: Int?
        public var nprobe: Int?
        /// Share of the truly nearest that were found, 0 to 1.
        public var recall: Double
        /// Median milliseconds of one search in this build.
        public var milliseconds: Double

        public init(efSearch: Int?, nprobe: Int?, recall: Double, milliseconds: Double) {
            self.efSearch = efSearch
            self.nprobe = nprobe
            self.recall = recall
            self.milliseconds = milliseconds
        }

        enum CodingKeys: String, CodingKey {
            case nprobe, recall
            case efSearch = "ef_search"
            case milliseconds = "p50_ms"
        }
    }

    public var k: Int
    /// At the setting of the version.
    public var recall: Double
    /// What a version must have to be published.
    public var gate: Double
    public var questions: Int
    public var source: Source
    /// Median milliseconds of an exact search in this build.
    public var exactMilliseconds: Double
    /// From the least effort to the most.
    public var curve: [Point]

    public init(
        k: Int, recall: Double, gate: Double, questions: Int, source: Source, exactMilliseconds: Double,
        curve: [Point]
    ) {
        self.k = k
        self.recall = recall
        self.gate = gate
        self.questions = questions
        self.source = source
        self.exactMilliseconds = exactMilliseconds
        self.curve = curve
    }

    enum CodingKeys: String, CodingKey {
        case k, recall, gate, questions, source, curve
        case exactMilliseconds = "exact_p50_ms"
    }
}
