import DatastoreCore

/// A reranker's answer: `{"results": [{"index": 0, "relevance_score": 0.9}]}`, or the list alone; `score` is as good a name.
struct RerankAnswer: Decodable {
    struct Item: Decodable {
        let index: Int
        let score: Double

        enum CodingKeys: String, CodingKey {
            case index, score
            case relevanceScore = "relevance_score"
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            index = try container.decode(Int.self, forKey: .index)
            let isShort = container.contains(.score) && !container.contains(.relevanceScore)
            score = try container.decode(Double.self, forKey: isShort ? .score : .relevanceScore)
        }
    }

    enum CodingKeys: String, CodingKey {
        case results
    }

    let items: [Item]

    init(from decoder: any Decoder) throws {
        if let list = try? decoder.unkeyedContainer() {
            var list = list
            var items: [Item] = []
            while !list.isAtEnd { items.append(try list.decode(Item.self)) }
            self.items = items
        } else {
            items = try decoder.container(keyedBy: CodingKeys.self).decode([Item].self, forKey: .results)
        }
    }

    /// The most bytes that a sound answer can have: some servers repeat the documents.
    static func byteLimit(_ documents: [String]) -> Int {
        documents.reduce(1 << 20) { $0 + 6 * $1.utf8.count + 1024 }
    }

    /// The relevance of each of `count` documents, nil for those that are not in the answer.
    ///
    /// - Parameter title: of the reranker, for messages.
    /// - Throws: `reranker_failed`.
    func relevance(count: Int, title: String) throws -> [Double?] {
        var relevance = [Double?](repeating: nil, count: count)
        for item in items {
            guard relevance.indices.contains(item.index), relevance[item.index] == nil else {
                throw DatastoreError(
                    .rerankerFailed,
                    "\(title): got index \(item.index) twice or out of place, expected 0 to \(count - 1), each once at most"
                )
            }
            guard item.score.isFinite else {
                throw DatastoreError(
                    .rerankerFailed, "\(title): got \(item.score) for document \(item.index), expected finite numbers")
            }
            relevance[item.index] = item.score
        }
        return relevance
    }
}
