/// Weights of some terms of a vocabulary; the others weigh nothing.
public struct SparseVector: Sendable, Hashable {
    /// Places of the terms in their vocabulary, strictly ascending.
    public let indices: [UInt32]
    /// The weight of each, finite and not zero.
    public let values: [Float]

    public static let empty = SparseVector(ascending: [], values: [])

    /// Sorts by term and drops weights of zero.
    ///
    /// - Throws: `sparse_ragged`, `weight_not_finite` or `duplicate_term`.
    public init(indices: [UInt32], values: [Float], field: String = "vector") throws {
        guard indices.count == values.count else {
            throw DatastoreError.field(
                .sparseRagged, field,
                "got \(indices.count) indices and \(values.count) values, expected as many of the one as of the other")
        }
        if let position = values.firstIndex(where: { !$0.isFinite }) {
            throw DatastoreError.field(
                .weightNotFinite, field, "got \(values[position]) at position \(position), expected finite numbers")
        }
        if zip(indices, indices.dropFirst()).allSatisfy({ $0 < $1 }) && !values.contains(0) {
            self.init(ascending: indices, values: values)
            return
        }
        let order = indices.indices.sorted { indices[$0] < indices[$1] }
        for (one, next) in zip(order, order.dropFirst()) where indices[one] == indices[next] {
            throw DatastoreError.field(
                .duplicateTerm, field,
                "got index \(indices[one]) at positions \(min(one, next)) and \(max(one, next)), expected it once")
        }
        let kept = order.filter { values[$0] != 0 }
        self.init(ascending: kept.map { indices[$0] }, values: kept.map { values[$0] })
    }

    /// Takes what is known to be in order.
    package init(ascending indices: [UInt32], values: [Float]) {
        self.indices = indices
        self.values = values
    }

    /// Terms that weigh something.
    public var count: Int { indices.count }
}
