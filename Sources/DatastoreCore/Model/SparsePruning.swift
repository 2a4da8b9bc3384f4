/// Which weights of a sparse vector are kept. LexVLA keeps those over 1/√V, and 512 at most.
public struct SparsePruning: Codable, Sendable, Hashable {
    /// Only weights above it are kept; 0 when there is none. Weights that are not positive never are.
    public var threshold: Float?
    /// At most this many are kept, the largest; of equal ones those of the lower terms.
    public var top: Int?

    public init(threshold: Float? = nil, top: Int? = nil) {
        self.threshold = threshold
        self.top = top
    }

    /// What is usual for a vocabulary of `terms`: a threshold of 1/√terms.
    public init(terms: Int) {
        self.init(threshold: Float(1 / Double(max(1, terms)).squareRoot()))
    }

    /// - Throws: `invalid_value` for a threshold that is negative or not finite, or a `top` below 1.
    public func validate(field: String = "pruning") throws {
        if let threshold, !(threshold >= 0 && threshold.isFinite) {
            throw DatastoreError.field(
                .invalidValue, "\(field).threshold", "got \(threshold), expected a finite number of 0 or more")
        }
        if let top, top < 1 {
            throw DatastoreError.field(.invalidValue, "\(field).top", "got \(top), expected 1 or more")
        }
    }

    /// The vector with the weights that are kept, all of them positive.
    public func apply(_ vector: SparseVector) -> SparseVector {
        let least = max(0, threshold ?? 0)
        let (indices, values) = (vector.indices, vector.values)
        var kept = values.indices.filter { values[$0] > least }
        if let top, kept.count > top {
            kept.sort { values[$0] != values[$1] ? values[$0] > values[$1] : $0 < $1 }
            kept = kept.prefix(max(0, top)).sorted()
        }
        if kept.count == values.count { return vector }
        return SparseVector(ascending: kept.map { indices[$0] }, values: kept.map { values[$0] })
    }
}
