internal import CFaiss

/// Arithmetic on vectors that importing and building share.
package enum VectorMath {
    /// Scales one vector to length 1; a zero vector stays as it is.
    package static func normalise(_ vector: inout [Float]) {
        vector.withUnsafeMutableBufferPointer { normalise($0) }
    }

    package static func normalise(_ vector: UnsafeMutableBufferPointer<Float>) {
        guard let base = vector.baseAddress else { return }
        cfaiss_normalise(base, Int32(vector.count))
    }
}
