/// How well the queries of one direction found what they should.
package struct RetrievalEvaluation: Sendable, Hashable {
    /// Results that each query asked for.
    package let depth: Int
    /// The place of the first right result of each query with labels; nil beyond `depth`.
    package private(set) var ranks: [Int?] = []
    /// Queries without labels, which are not asked.
    package var skipped = 0

    package init(depth: Int) {
        self.depth = depth
    }

    package mutating func add(rank: Int?) {
        ranks.append(rank)
    }

    /// The share of queries with a right result among the first `k`; nil without queries, or beyond the depth.
    package func recall(at k: Int) -> Double? {
        guard !ranks.isEmpty, k <= depth else { return nil }
        return Double(ranks.count { $0.map { $0 <= k } ?? false }) / Double(ranks.count)
    }

    /// The median place of the first right result; nil without queries, or when it is beyond the depth.
    package var medianRank: Double? {
        guard !ranks.isEmpty else { return nil }
        let sorted = ranks.map { $0.map(Double.init) ?? .infinity }.sorted()
        let middle = sorted.count / 2
        let median = sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
        return median.isFinite ? median : nil
    }
}

/// What an evaluation found, one direction or both.
package struct RetrievalReport: Encodable, Sendable, Hashable {
    package struct Direction: Encodable, Sendable, Hashable {
        package let recallAt1: Double?
        package let recallAt5: Double?
        package let recallAt10: Double?
        /// Of the recalls.
        package let mean: Double?
        package let medianRank: Double?
        package let queries: Int
        package let skipped: Int

        package init(_ evaluation: RetrievalEvaluation) {
            recallAt1 = evaluation.recall(at: 1)
            recallAt5 = evaluation.recall(at: 5)
            recallAt10 = evaluation.recall(at: 10)
            mean = RetrievalReport.mean([recallAt1, recallAt5, recallAt10])
            medianRank = evaluation.medianRank
            queries = evaluation.ranks.count
            skipped = evaluation.skipped
        }

        enum CodingKeys: String, CodingKey {
            case mean, queries, skipped
            case recallAt1 = "recall_at_1"
            case recallAt5 = "recall_at_5"
            case recallAt10 = "recall_at_10"
            case medianRank = "median_rank"
        }
    }

    package let domain: String
    /// The revisions that answered: one, unless the domain was switched meanwhile.
    package let revisions: [Int]
    package let depth: Int
    package let imageToText: Direction?
    package let textToImage: Direction?
    /// Of the recalls of both directions.
    package let meanRecall: Double?

    package init(
        domain: String, revisions: Set<Int>, depth: Int, imageToText: RetrievalEvaluation?,
        textToImage: RetrievalEvaluation?
    ) {
        self.domain = domain
        self.revisions = revisions.sorted()
        self.depth = depth
        self.imageToText = imageToText.map(Direction.init)
        self.textToImage = textToImage.map(Direction.init)
        meanRecall = Self.mean([self.imageToText, self.textToImage].compactMap { $0?.mean })
    }

    fileprivate static func mean(_ values: [Double?]) -> Double? {
        let values = values.compactMap(\.self)
        return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
    }

    enum CodingKeys: String, CodingKey {
        case domain, revisions, depth
        case imageToText = "image_to_text"
        case textToImage = "text_to_image"
        case meanRecall = "mean_recall"
    }
}
