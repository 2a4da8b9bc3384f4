/// Reciprocal rank fusion (Cormack et al., SIGIR 2009): several rankings become one without their scores.
package enum ReciprocalRankFusion {
    /// The items of `rankings`, each with the sum of weight / (`constant` + rank) over the rankings whose first `depth`
    /// have it, ranks from 1; the highest sum first.
    ///
    /// - Parameters:
    ///   - rankings: best first. An item that one has twice counts where it comes first.
    ///   - weights: of the rankings; 1 where there are too few.
    ///   - precedes: the order of items whose sums are equal.
    package static func fuse<Item: Hashable>(
        _ rankings: [[Item]], weights: [Float], constant: Int, depth: Int, ties precedes: (Item, Item) -> Bool
    ) -> [(item: Item, score: Double)] {
        var scores: [Item: Double] = [:]
        for (number, ranking) in rankings.enumerated() {
            let weight = number < weights.count ? Double(weights[number]) : 1
            var seen: Set<Item> = []
            for (index, item) in ranking.prefix(max(0, depth)).enumerated() where seen.insert(item).inserted {
                scores[item, default: 0] += weight / (Double(constant) + Double(index + 1))
            }
        }
        return scores.map { (item: $0.key, score: $0.value) }.sorted { first, second in
            first.score == second.score ? precedes(first.item, second.item) : first.score > second.score
        }
    }
}
