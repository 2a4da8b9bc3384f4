extension SparseVector {
    /// The dot product with another vector, summed in double in the order of the terms.
    package func dot(_ other: SparseVector) -> Float {
        var sum = 0.0
        forEachShared(other) { sum += $1 }
        return Self.rounded(sum)
    }

    /// What each term that both have adds to the dot product, the most first, ties by term.
    package func matches(_ other: SparseVector) -> [(term: UInt32, weight: Float)] {
        var matches: [(term: UInt32, weight: Float)] = []
        forEachShared(other) { matches.append((term: $0, weight: Self.rounded($1))) }
        matches.sort { $0.weight != $1.weight ? $0.weight > $1.weight : $0.term < $1.term }
        return matches
    }

    /// Whether `other` has a term that weighs more than zero here.
    package func sharesPositiveTerm(with other: SparseVector) -> Bool {
        var position = 0
        for (index, value) in zip(indices, values) where value > 0 {
            while position < other.count, other.indices[position] < index { position += 1 }
            guard position < other.count else { return false }
            if other.indices[position] == index { return true }
        }
        return false
    }

    private func forEachShared(_ other: SparseVector, _ body: (UInt32, Double) -> Void) {
        var position = 0
        for (index, value) in zip(indices, values) {
            while position < other.count, other.indices[position] < index { position += 1 }
            guard position < other.count else { return }
            if other.indices[position] == index { body(index, Double(value) * Double(other.values[position])) }
        }
    }

    private static func rounded(_ sum: Double) -> Float {
        let limit = Double(Float.greatestFiniteMagnitude)
        return Float(max(-limit, min(limit, sum)))
    }
}
