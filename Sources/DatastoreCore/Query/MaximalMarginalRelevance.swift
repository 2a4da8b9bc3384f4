/// Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): results that differ from one another.
package enum MaximalMarginalRelevance {
    /// Indices of `k` items in the order in which they are taken: each time the one that maximises lambda × relevance −
    /// (1 − lambda) × its largest similarity to those taken. For the first there is nothing to be similar to; of equals the
    /// lower index is taken.
    ///
    /// `similarity` is asked at most once for each item taken and each other.
    package static func select(
        relevance: [Double], lambda: Float, k: Int, similarity: (Int, Int) throws -> Double
    ) rethrows -> [Int] {
        let lambda = Double(lambda)
        var rest = Array(relevance.indices)
        var largest = [Double](repeating: -.infinity, count: relevance.count)
        var taken: [Int] = []
        while taken.count < k, var best = rest.first {
            func marginal(_ index: Int) -> Double {
                let penalty = taken.isEmpty ? 0 : (1 - lambda) * largest[index]
                return lambda * relevance[index] - penalty
            }
            var bestValue = marginal(best)
            for index in rest.dropFirst() {
                let value = marginal(index)
                if value > bestValue { (best, bestValue) = (index, value) }
            }
            taken.append(best)
            rest.removeAll { $0 == best }
            guard taken.count < k else { break }
            for index in rest { largest[index] = max(largest[index], try similarity(index, best)) }
        }
        return taken
    }
}
