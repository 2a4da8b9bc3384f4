package import Foundation

/// The vectors of one request, flat and row-major, as they go to the index.
package struct QueryVectors: Sendable, Equatable {
    /// `count` × `dim` components.
    package let values: [Float]
    /// Vectors in `values`; 1 or more.
    package let count: Int
    /// Components of each vector.
    package var dim: Int { values.count / count }
    /// The part of the request that carried them, for messages.
    package let field: String

    /// One vector.
    package subscript(index: Int) -> [Float] { Array(values[index * dim..<(index + 1) * dim]) }

    /// - Throws: `missing_field` when empty.
    package init(values: [Float], count: Int, field: String = "query.vector") throws {
        guard count > 0, !values.isEmpty else {
            throw DatastoreError.field(.missingField, field, "got no numbers, expected a vector")
        }
        precondition(values.count % count == 0, "ragged vectors are refused where they are read")
        self.values = values
        self.count = count
        self.field = field
    }

    /// Reads `count` vectors of little-endian 32-bit floats, laid end to end.
    ///
    /// - Throws: `missing_field`, or `vector_dim_mismatch` when the bytes are not `count` vectors of one length.
    package init(littleEndian bytes: UnsafeRawBufferPointer, count: Int, field: String) throws {
        guard count > 0 else { throw DatastoreError.field(.invalidValue, "count", "got \(count), expected 1 or more") }
        guard bytes.count.isMultiple(of: MemoryLayout<Float>.size), (bytes.count / 4).isMultiple(of: count) else {
            throw DatastoreError.field(
                .vectorDimMismatch, field,
                "got \(bytes.count) bytes, expected \(count) vectors of little-endian 32-bit floats, all of one length")
        }
        try self.init(values: Self.floats(bytes), count: count, field: field)
    }

    /// Decodes base64 of little-endian 32-bit floats.
    ///
    /// - Throws: `invalid_base64`.
    package static func floats(base64 text: String, field: String) throws -> [Float] {
        guard text.utf8.count.isMultiple(of: 4), let data = Data(base64Encoded: text) else {
            throw DatastoreError.field(
                .invalidBase64, field, "got \(text.utf8.count) characters that are not base64 (RFC 4648, padded)")
        }
        guard data.count % MemoryLayout<Float>.size == 0 else {
            throw DatastoreError.field(
                .invalidBase64, field, "got \(data.count) bytes, expected a multiple of 4 (little-endian 32-bit floats)"
            )
        }
        return data.withUnsafeBytes(floats)
    }

    /// Base64 of the little-endian 32-bit floats of `values`.
    package static func base64(_ values: [Float]) -> String {
        littleEndian(values).base64EncodedString()
    }

    /// The little-endian bytes of `values`.
    package static func littleEndian(_ values: [Float]) -> Data {
        #if _endian(little)
            values.withUnsafeBytes { Data($0) }
        #else
            values.map(\.bitPattern.littleEndian).withUnsafeBytes { Data($0) }
        #endif
    }

    private static func floats(_ bytes: UnsafeRawBufferPointer) -> [Float] {
        [Float](unsafeUninitializedCapacity: bytes.count / MemoryLayout<Float>.size) { buffer, count in
            UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
            count = buffer.count
            #if _endian(big)
                for index in 0..<count {
                    buffer[index] = Float(bitPattern: UInt32(littleEndian: buffer[index].bitPattern))
                }
            #endif
        }
    }

    /// Checks dimension, finiteness and, for cosine, that no vector is zero.
    ///
    /// - Throws: `vector_dim_mismatch`, `vector_not_finite` or `vector_zero`.
    package func validate(dim expected: Int, metric: Metric) throws {
        guard dim == expected else {
            throw DatastoreError.field(.vectorDimMismatch, field, "got \(dim) numbers, expected \(expected)")
        }
        for index in 0..<count {
            let start = index * dim
            let name = count == 1 ? field : "\(field)[\(index)]"
            if let fault = VectorFault.find(in: values[start..<start + dim], metric: metric) {
                throw DatastoreError.field(fault.code, name, fault.message)
            }
        }
    }
}

/// What makes a vector unusable, whether it is a question's or an entry's.
package enum VectorFault: Sendable, Equatable {
    case notFinite(position: Int, value: Float)
    case zero

    /// The first fault of `vector` under `metric`, nil when it is sound.
    ///
    /// A sum of squares that underflows or overflows a double cannot occur with 32-bit floats, so only a vector
    /// whose components are all zero is zero.
    package static func find(in vector: ArraySlice<Float>, metric: Metric) -> VectorFault? {
        vector.withUnsafeBufferPointer { values in
            // Without a way out of the loop, many at a time: what is not finite has all bits of the exponent.
            var largest: UInt32 = 0
            for index in 0..<values.count { largest = max(largest, values[index].bitPattern & 0x7FFF_FFFF) }
            if largest >= 0x7F80_0000, let position = values.firstIndex(where: { !$0.isFinite }) {
                return .notFinite(position: position, value: values[position])
            }
            return metric == .cosine && largest == 0 ? .zero : nil
        }
    }

    package var code: ErrorCode {
        switch self {
        case .notFinite: .vectorNotFinite
        case .zero: .vectorZero
        }
    }

    package var message: String {
        switch self {
        case .notFinite(let position, let value): "got \(value) at position \(position), expected finite numbers"
        case .zero: "got a vector of zeros, expected a direction (the key's metric is cosine)"
        }
    }
}
