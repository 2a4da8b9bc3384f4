import DatastoreCore

/// A weighted sum of vectors, in double, of length 1 at the end: the arithmetic of ZeroCap (Tewel et al., CVPR 2022),
/// `YoadTew/zero-shot-image-to-text`, `get_combined_feature`.
struct VectorSum {
    let normalisesTerms: Bool
    private var sum: [Double] = []
    /// Sum of the lengths of what was added: what a sum of zero is held against.
    private var lengths = 0.0

    init(normalisesTerms: Bool) {
        self.normalisesTerms = normalisesTerms
    }

    /// - Throws: `vector_dim_mismatch`, `weight_not_finite`.
    mutating func add(_ vector: [Float], weight: Float, field: String) throws {
        guard weight.isFinite else {
            throw DatastoreError.field(.weightNotFinite, field, "got the weight \(weight), expected a finite number")
        }
        if sum.isEmpty { sum = [Double](repeating: 0, count: vector.count) }
        guard vector.count == sum.count else {
            throw DatastoreError.field(
                .vectorDimMismatch, field, "got \(vector.count) numbers, expected \(sum.count) as in the first term")
        }
        let length = Self.length(vector.map(Double.init))
        let scale = Double(weight) / (normalisesTerms && length > 0 ? length : 1)
        for index in sum.indices { sum[index] += scale * Double(vector[index]) }
        lengths += abs(scale) * length
    }

    /// The sum, of length 1.
    ///
    /// - Throws: `terms_cancel` when nothing is left but what rounding leaves.
    func normalised(field: String) throws -> [Float] {
        let length = Self.length(sum)
        guard length > lengths * 1e-9, length.isFinite, length > 0 else {
            throw DatastoreError.field(
                .termsCancel, field, "the terms cancel: their weighted sum is zero and has no direction")
        }
        return sum.map { Float($0 / length) }
    }

    private static func length(_ values: [Double]) -> Double {
        values.reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
}
