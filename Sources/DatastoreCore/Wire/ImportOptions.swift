/// The form of a file of rows.
public enum ImportFormat: String, WireChoice {
    /// Found out from the file's content, never from its name.
    case auto
    /// One JSON object per line.
    case ndjson
    /// A COCO annotation file: `{"images": […], "annotations": [{"image_id", "id", "caption"}]}`.
    case coco
    /// A Karpathy split file: `{"images": [{"split", "sentences": [{"raw", "tokens", "sentid"}]}]}`.
    case karpathy
    /// Flickr8k and Flickr30k tokens: `NAME.jpg#0<TAB>CAPTION` per line.
    case flickrToken = "flickr_token"
    /// Flickr30k results: `image_name|comment_number|comment`.
    case flickrResults = "flickr_results"
    /// Comma-separated values, with or without a header.
    case csv
    /// Tab-separated values, with or without a header; CC3M's captions and URLs.
    case tsv
    /// A JSON array of `{"image" | "url", "caption"}` as BLIP and ALBEF read it; a caption may be a list of them.
    case captionList = "caption_list"
    /// A JSON array of texts, or an object of texts keyed by row number: SmallCap's captions.
    case texts
    /// One caption per line.
    case text
    /// LVIS categories: a JSON array of `{"name", "synonyms", "def", …}`.
    case lvis
}

/// What becomes of several vectors of one row.
public enum VectorPooling: String, WireChoice {
    /// They are refused: a row has one vector for a key.
    case none
    /// Their mean, as EVCap makes a key of an image's 32 query vectors.
    case mean
}

/// Which of a Karpathy sentence's two texts is taken.
public enum CaptionText: String, WireChoice {
    case raw
    /// The tokens, joined with spaces.
    case tokens
}

/// Rows that are refused although nothing is wrong with them; each has its own reject code.
public struct ImportFilters: Sendable, Hashable {
    /// Words of a caption, split at white space: `too_many_words`.
    public var maxWords: Int?
    /// Tokens of a caption as CLIP's tokenizer splits it before its merges (a contraction, a run of letters, a digit, a
    /// run of other marks), start and end marks included: `too_many_tokens`. Each caption is counted by itself.
    public var maxTokens: Int?
    /// Letters and digits a text must have: `too_few_letters`.
    public var minLetters: Int?
    /// Languages that are taken, as BCP 47 prefixes (`en` takes `en-GB`): `language_not_wanted`. Rows that do not say
    /// theirs are taken.
    public var languages: [String]
    /// Refuses a row of which image and text came before in the same import: `duplicate_caption`.
    public var dropDuplicates: Bool

    public init(
        maxWords: Int? = nil, maxTokens: Int? = nil, minLetters: Int? = nil, languages: [String] = [],
        dropDuplicates: Bool = false
    ) {
        self.maxWords = maxWords
        self.maxTokens = maxTokens
        self.minLetters = minLetters
        self.languages = languages
        self.dropDuplicates = dropDuplicates
    }
}

/// What an import reads and how it ends.
public struct ImportOptions: Codable, Sendable, Hashable {
    /// Whether a version is built; otherwise the rows wait as pending changes.
    public var build: Bool
    /// Whether one rejected row fails the whole import.
    public var strict: Bool
    /// Whether everything is read and checked, and nothing changed.
    public var dryRun: Bool
    public var format: ImportFormat
    /// Karpathy: the splits that are read, all when empty. `restval` counts as `train`.
    public var splits: [String]
    /// Karpathy: which text.
    public var captionText: CaptionText
    /// CSV and TSV: the column of each field (`text`, `id`, `image_id`, `lang`, `source`, `origin`), by its name in the
    /// header or its number from 1. Columns that are not named are found by their usual names.
    public var columns: [String: String]
    /// CSV and TSV: whether the first line names the columns; nil finds out.
    public var header: Bool?
    /// Rows whose vector is an array of vectors, and NumPy files of three axes.
    public var pool: VectorPooling
    /// For rows that do not say theirs.
    public var origin: Origin?
    /// For rows that do not say theirs.
    public var lang: String?
    /// For rows that do not say theirs.
    public var source: String?
    public var filters: ImportFilters

    public init(
        build: Bool = true, strict: Bool = false, dryRun: Bool = false, format: ImportFormat = .auto,
        splits: [String] = [], captionText: CaptionText = .raw, columns: [String: String] = [:], header: Bool? = nil,
        pool: VectorPooling = .none, origin: Origin? = nil, lang: String? = nil, source: String? = nil,
        filters: ImportFilters = ImportFilters()
    ) {
        self.pool = pool
        self.build = build
        self.strict = strict
        self.dryRun = dryRun
        self.format = format
        self.splits = splits
        self.captionText = captionText
        self.columns = columns
        self.header = header
        self.origin = origin
        self.lang = lang
        self.source = source
        self.filters = filters
    }

    /// The names of the fields of CSV and TSV that `columns` may place.
    public static let columnFields = ["text", "id", "image_id", "lang", "source", "origin"]

    /// - Throws: `invalid_value`.
    public func validate() throws {
        let limits = [
            ("max_words", filters.maxWords), ("max_tokens", filters.maxTokens), ("min_letters", filters.minLetters),
        ]
        for (name, value) in limits {
            if let value, value < 1 {
                throw DatastoreError.field(.invalidValue, name, "got \(value), expected a number above 0")
            }
        }
        for field in columns.keys.sorted() where !Self.columnFields.contains(field) {
            throw DatastoreError.field(
                .invalidValue, "columns",
                "got the field \"\(field.prefix(80))\", expected one of \(Self.columnFields.joined(separator: ", "))")
        }
        for (name, text) in [("lang", lang), ("source", source)] where text?.utf8.contains(0) == true {
            throw DatastoreError.field(.invalidValue, name, "got a NUL character")
        }
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case build, strict, format, splits, columns, header, pool, origin, lang, source, languages
        case dryRun = "dry_run"
        case captionText = "caption_text"
        case maxWords = "max_words"
        case maxTokens = "max_tokens"
        case minLetters = "min_letters"
        case dropDuplicates = "drop_duplicates"
    }

    /// A field that is not given, or is null, has its default.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func flag(_ key: CodingKeys) throws -> Bool? { try container.decodeIfPresent(Bool.self, forKey: key) }
        func strings(_ key: CodingKeys) throws -> [String] {
            try container.decodeIfPresent([String].self, forKey: key) ?? []
        }
        self.init(
            build: try flag(.build) ?? true, strict: try flag(.strict) ?? false, dryRun: try flag(.dryRun) ?? false,
            format: try container.decodeIfPresent(ImportFormat.self, forKey: .format) ?? .auto,
            splits: try strings(.splits),
            captionText: try container.decodeIfPresent(CaptionText.self, forKey: .captionText) ?? .raw,
            columns: try container.decodeIfPresent([String: String].self, forKey: .columns) ?? [:],
            header: try flag(.header),
            pool: try container.decodeIfPresent(VectorPooling.self, forKey: .pool) ?? .none,
            origin: try container.decodeIfPresent(Origin.self, forKey: .origin),
            lang: try container.decodeIfPresent(String.self, forKey: .lang),
            source: try container.decodeIfPresent(String.self, forKey: .source),
            filters: ImportFilters(
                maxWords: try container.decodeWholeIfPresent(forKey: .maxWords),
                maxTokens: try container.decodeWholeIfPresent(forKey: .maxTokens),
                minLetters: try container.decodeWholeIfPresent(forKey: .minLetters),
                languages: try strings(.languages), dropDuplicates: try flag(.dropDuplicates) ?? false))
        try validate()
    }

    /// Writes what is not the default.
    public func encode(to encoder: any Swift.Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(build, forKey: .build)
        try container.encode(strict, forKey: .strict)
        if dryRun { try container.encode(true, forKey: .dryRun) }
        if format != .auto { try container.encode(format, forKey: .format) }
        if !splits.isEmpty { try container.encode(splits, forKey: .splits) }
        if captionText != .raw { try container.encode(captionText, forKey: .captionText) }
        if !columns.isEmpty { try container.encode(columns, forKey: .columns) }
        try container.encodeIfPresent(header, forKey: .header)
        if pool != .none { try container.encode(pool, forKey: .pool) }
        try container.encodeIfPresent(origin, forKey: .origin)
        try container.encodeIfPresent(lang, forKey: .lang)
        try container.encodeIfPresent(source, forKey: .source)
        try container.encodeIfPresent(filters.maxWords, forKey: .maxWords)
        try container.encodeIfPresent(filters.maxTokens, forKey: .maxTokens)
        try container.encodeIfPresent(filters.minLetters, forKey: .minLetters)
        if !filters.languages.isEmpty { try container.encode(filters.languages, forKey: .languages) }
        if filters.dropDuplicates { try container.encode(true, forKey: .dropDuplicates) }
    }
}
