/// How `POST /v1/domains/{domain}/dumps` answers the questions of a whole split: `{image_id: [captions]}`, all from one
/// revision. Each answer equals that of a single question that does not count pending changes.
public struct DumpOptions: Codable, Sendable, Hashable {
    /// Captions of each image; nil takes the domain's default.
    public var k: Int?
    public var using: String?
    /// Whether captions of the image that asks are left out, as SmallCap does.
    public var excludeOwnImage: Bool
    /// Which entries are asked for; nil takes the domain's default.
    public var filter: QueryFilter?
    public var dedupe: Dedupe?
    public var minScore: Float?
    public var mmr: MMR?
    /// The nth image, from 0, is asked with the seed `seed` + n.
    public var select: Selection?

    public init(
        k: Int? = nil, using: String? = nil, excludeOwnImage: Bool = true, filter: QueryFilter? = nil,
        dedupe: Dedupe? = nil,
        minScore: Float? = nil, mmr: MMR? = nil, select: Selection? = nil
    ) {
        self.k = k
        self.using = using
        self.excludeOwnImage = excludeOwnImage
        self.filter = filter
        self.dedupe = dedupe
        self.minScore = minScore
        self.mmr = mmr
        self.select = select
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case k, using, filter, dedupe, mmr, select
        case excludeOwnImage = "exclude_own_image"
        case minScore = "min_score"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        self.init(
            k: try container.decodeWholeIfPresent(forKey: .k),
            using: try container.decodeIfPresent(String.self, forKey: .using),
            excludeOwnImage: try container.decodeIfPresent(Bool.self, forKey: .excludeOwnImage) ?? true,
            filter: try container.decodeIfPresent(QueryFilter.self, forKey: .filter),
            dedupe: try container.decodeIfPresent(Dedupe.self, forKey: .dedupe),
            minScore: try container.decodeIfPresent(Float.self, forKey: .minScore),
            mmr: try container.decodeIfPresent(MMR.self, forKey: .mmr),
            select: try container.decodeIfPresent(Selection.self, forKey: .select))
    }

    /// The options of the nth question, from 0.
    public func question(_ number: Int, imageID: String) -> QueryOptions {
        var select = select
        select?.seed &+= UInt64(number)
        return QueryOptions(
            k: k, using: using, excludeImageIDs: excludeOwnImage ? [imageID] : [], filter: filter,
            dedupe: dedupe, minScore: minScore, includePending: false, mmr: mmr, select: select)
    }
}

/// What a dump answered; its captions are the job's output.
public struct DumpReport: Codable, Sendable, Hashable {
    /// The revision that answered all.
    public var revision: Int
    public var images: Int
    /// Images with fewer captions than asked.
    public var short: Int

    public init(revision: Int, images: Int, short: Int) {
        self.revision = revision
        self.images = images
        self.short = short
    }
}
