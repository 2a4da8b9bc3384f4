import CBruteForce
import DatastoreImport
package import Foundation

/// Row-major vectors in memory.
package struct Vectors: Sendable, Equatable {
    package var values: [Float]
    package let dim: Int

    package var count: Int { values.count / dim }

    package init(values: [Float], dim: Int) {
        self.values = values
        self.dim = dim
    }

    /// Reads a whole `.npy` file.
    package init(npy url: URL) throws {
        let reader = try NumpyReader(path: url.path)
        var values: [Float] = []
        values.reserveCapacity(reader.rows * reader.dim)
        while let row = try reader.next() { values += row }
        self.init(values: values, dim: reader.dim)
    }

    /// Seeded vectors around a few centres, as real embeddings are.
    package init(clustered count: Int, dim: Int, seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let centres = (0..<16).map { _ in (0..<dim).map { _ in Float.random(in: -1...1, using: &random) } }
        var values: [Float] = []
        values.reserveCapacity(count * dim)
        for _ in 0..<count {
            let centre = centres.randomElement(using: &random) ?? []
            for component in centre { values.append(component + Float.random(in: -0.5...0.5, using: &random)) }
        }
        self.init(values: values, dim: dim)
    }

    package subscript(row: Int) -> [Float] { Array(values[row * dim..<(row + 1) * dim]) }

    package enum Element: String {
        case f16
        case f32
    }

    /// The bytes of a version 1.0 `.npy` file.
    package func npy(_ element: Element = .f32) -> Data {
        var header =
            "{'descr': '<\(element == .f16 ? "f2" : "f4")', 'fortran_order': False, 'shape': (\(count), \(dim)), }"
        header += String(repeating: " ", count: (64 - (10 + header.utf8.count + 1) % 64) % 64) + "\n"
        var data = Data([0x93]) + Data("NUMPY".utf8) + Data([1, 0])
        withUnsafeBytes(of: UInt16(header.utf8.count).littleEndian) { data.append(contentsOf: $0) }
        data += Data(header.utf8)
        switch element {
        case .f32: values.withUnsafeBytes { data.append(contentsOf: $0) }
        case .f16: values.map(Float16.init).withUnsafeBytes { data.append(contentsOf: $0) }
        }
        return data
    }
}

/// The exact answer to a query, computed by brute force in double.
package struct Neighbour: Sendable, Equatable {
    package let row: Int
    package let score: Float
}

/// The `k` nearest rows of each query, best first, ties by row; independent of what is tested.
package func bruteForce(_ rows: Vectors, _ queries: Vectors, k: Int, cosine: Bool = true) -> [[Neighbour]] {
    let k = min(k, rows.count)
    var topRows = [Int64](repeating: 0, count: queries.count * k)
    var topScores = [Float](repeating: 0, count: queries.count * k)
    brute_force(
        rows.values, Int64(rows.count), queries.values, Int64(queries.count), Int32(rows.dim), Int32(k), cosine ? 1 : 0,
        &topRows, &topScores)
    return (0..<queries.count).map { query in
        (query * k..<(query + 1) * k).map { Neighbour(row: Int(topRows[$0]), score: topScores[$0]) }
    }
}

/// SplitMix64: the same numbers for the same seed, everywhere.
package struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) {
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
