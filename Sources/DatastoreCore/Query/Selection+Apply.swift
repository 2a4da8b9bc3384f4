extension Selection {
    /// How many of the nearest `apply(to:k:)` needs for `k` results: k for `top`, otherwise the larger of k and `from`.
    package func pool(k: Int) -> Int {
        method == .top ? k : max(k, drawnFrom(k: k))
    }

    /// Those of `ranked`, nearest first, that are taken, in the order that is asked for.
    ///
    /// What is drawn depends on nothing but the numbers here, so that others can reproduce it. The generator is SplitMix64
    /// with the state `seed`; `below(n)` is `(next() * n) >> 64`. With m the smaller of `from` (else 4 * k) and the number
    /// of those ranked, and a list of the indices 0 to m - 1:
    ///
    /// ```python
    /// first = {"sample": 0, "top_and_sample": 1}[method]   # "top" takes indices 0 to k - 1 and draws nothing
    /// for i in range(first, min(k, m)):
    ///     j = i + below(m - i)
    ///     index[i], index[j] = index[j], index[i]
    /// taken = sorted(index[:k])                            # order "score"
    /// # order "reverse": taken reversed
    /// # order "permute", the same generator going on:
    /// for i in range(len(taken) - 1, 0, -1):
    ///     j = below(i + 1)
    ///     taken[i], taken[j] = taken[j], taken[i]
    /// ```
    package func apply<Item>(to ranked: [Item], k: Int) -> [Item] {
        var generator = SplitMix64(seed: seed)
        var taken: [Int]
        switch method {
        case .top: taken = Array(0..<min(max(0, k), ranked.count))
        case .sample: taken = drawn(from: ranked.count, k: k, keeping: 0, with: &generator)
        case .topAndSample: taken = drawn(from: ranked.count, k: k, keeping: 1, with: &generator)
        }
        switch order {
        case .score: break
        case .reverse: taken.reverse()
        case .permute:
            for index in stride(from: taken.count - 1, through: 1, by: -1) {
                taken.swapAt(index, generator.next(below: index + 1))
            }
        }
        return taken.map { ranked[$0] }
    }

    /// Indices in ascending order: the first `kept` and others at random, `k` in all.
    private func drawn(from count: Int, k: Int, keeping kept: Int, with generator: inout SplitMix64) -> [Int] {
        let available = min(max(0, drawnFrom(k: k)), count)
        let wanted = min(max(0, k), available)
        var indices = Array(0..<available)
        for index in stride(from: kept, to: wanted, by: 1) {
            indices.swapAt(index, index + generator.next(below: available - index))
        }
        return indices.prefix(wanted).sorted()
    }

    private func drawnFrom(k: Int) -> Int {
        if let from { return from }
        let (product, overflow) = k.multipliedReportingOverflow(by: 4)
        return overflow ? .max : product
    }
}
