/// A set of rows of one version, one bit each: what a filter lets through.
///
/// Thread-safe: it never changes once made.
package struct RowSet: Sendable {
    /// Bit `row % 64` of word `row / 64`.
    let words: [UInt64]
    /// Rows that may be in it: 0 to `capacity - 1`.
    package let capacity: Int
    /// Rows that are in it.
    package let count: Int

    /// The rows that `isMember` says yes to.
    package init(capacity: Int, where isMember: (Int) throws -> Bool) rethrows {
        var words = [UInt64](repeating: 0, count: (capacity + 63) / 64)
        var count = 0
        for row in 0..<capacity where try isMember(row) {
            words[row >> 6] |= 1 << UInt64(row & 63)
            count += 1
        }
        self.words = words
        self.capacity = capacity
        self.count = count
    }

    /// The given rows; those outside are left out.
    package init(capacity: Int, rows: some Sequence<Int>) {
        var words = [UInt64](repeating: 0, count: (capacity + 63) / 64)
        for row in rows where row >= 0 && row < capacity { words[row >> 6] |= 1 << UInt64(row & 63) }
        self.init(words: words, capacity: capacity)
    }

    private init(words: [UInt64], capacity: Int) {
        self.words = words
        self.capacity = capacity
        count = words.reduce(0) { $0 + $1.nonzeroBitCount }
    }

    package func contains(_ row: Int) -> Bool {
        row >= 0 && row < capacity && words[row >> 6] >> UInt64(row & 63) & 1 == 1
    }

    /// The rows that are in both.
    package func intersection(_ other: RowSet) -> RowSet {
        RowSet(words: zip(words, other.words).map { $0 & $1 }, capacity: min(capacity, other.capacity))
    }
}
