/// The best rows so far, `limit` at most: of more, those with the largest scores, and of equal ones the lowest.
package struct TopHits {
    /// A heap with the worst on top.
    private var hits: [KeyIndex.Hit] = []
    private let limit: Int

    /// - Parameter limit: 1 or more.
    package init(limit: Int) {
        self.limit = limit
        hits.reserveCapacity(min(limit, 1024))
    }

    var isFull: Bool { hits.count == limit }

    /// The score that a row has to have at least to come in, nil while any does.
    @inline(__always)
    package var leastScore: Float? { hits.count == limit ? hits[0].score : nil }

    /// - Returns: whether it has come in.
    @discardableResult
    package mutating func offer(row: Int, score: Float) -> Bool {
        let hit = KeyIndex.Hit(row: row, score: score)
        if hits.count < limit {
            hits.append(hit)
            var place = hits.count - 1
            while place > 0, Self.isWorse(hits[place], hits[(place - 1) / 2]) {
                hits.swapAt(place, (place - 1) / 2)
                place = (place - 1) / 2
            }
            return true
        }
        guard Self.isWorse(hits[0], hit) else { return false }
        hits[0] = hit
        var place = 0
        while true {
            var worst = place
            for child in [2 * place + 1, 2 * place + 2] where child < limit && Self.isWorse(hits[child], hits[worst]) {
                worst = child
            }
            if worst == place { return true }
            hits.swapAt(place, worst)
            place = worst
        }
    }

    private static func isWorse(_ one: KeyIndex.Hit, _ other: KeyIndex.Hit) -> Bool {
        one.score != other.score ? one.score < other.score : one.row > other.row
    }

    mutating func removeAll() { hits.removeAll(keepingCapacity: true) }

    /// In no order.
    var unsorted: [KeyIndex.Hit] { hits }

    /// Best first.
    package func sorted() -> [KeyIndex.Hit] { hits.sorted { Self.isWorse($1, $0) } }
}
