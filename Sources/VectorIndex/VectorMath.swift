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

    /// The bits of the 16-bit floats that are nearest to `values`.
    package static func halves(_ values: [Float]) -> [UInt16] {
        [UInt16](unsafeUninitializedCapacity: values.count) { halves, filled in
            values.withUnsafeBufferPointer { values in
                if let from = values.baseAddress, let to = halves.baseAddress {
                    cfaiss_f32_to_f16(from, to, Int64(values.count))
                }
            }
            filled = values.count
        }
    }

    /// The numbers of which `halves` are the bits as 16-bit floats.
    package static func floats(halves: [UInt16]) -> [Float] {
        [Float](unsafeUninitializedCapacity: halves.count) { values, filled in
            halves.withUnsafeBufferPointer { halves in
                if let from = halves.baseAddress, let to = values.baseAddress {
                    cfaiss_f16_to_f32(from, to, Int64(halves.count))
                }
            }
            filled = halves.count
        }
    }
}
