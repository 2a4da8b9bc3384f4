import CBruteForce

/// FAISS's distance functions, which Capstan has versions of for several sets of instructions.
package enum TestDistances {
    /// What is wrong with the functions for vectors of `dim` numbers, `count` at a time; nil when nothing is.
    package static func fault(dim: Int, count: Int, seed: UInt64) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 200) { message in
            guard let base = message.baseAddress,
                test_distances(Int32(dim), Int32(count), seed, base, message.count) != 0
            else { return nil }
            return String(cString: base)
        }
    }

    package static func innerProduct(_ one: [Float], _ other: [Float]) -> Float {
        test_inner_product(one, other, Int32(min(one.count, other.count)))
    }
}
