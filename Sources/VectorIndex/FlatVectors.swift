internal import CFaiss
package import DatastoreCore

/// Vectors end to end in memory, searched one by one: for the few that are in no index.
///
/// A vector is scored quickly in 32 bits first, and exactly, as those of a `KeyIndex`, when by that it can belong to the
/// answer. A value; safe to share.
package struct FlatVectors: Sendable {
    package let dim: Int
    private var values: [Float] = []
    /// Of each vector the sum of squares, in double.
    private var squares: [Double] = []

    /// - Parameter dim: numbers of each vector; above 0.
    package init(dim: Int) {
        precondition(dim > 0)
        self.dim = dim
    }

    package var count: Int { squares.count }

    /// - Parameter vector: of `dim` numbers; nil for a place that is never searched.
    package mutating func append(_ vector: [Float]?) {
        guard let vector, vector.count == dim else {
            values.append(contentsOf: repeatElement(0, count: dim))
            squares.append(0)
            return
        }
        values += vector
        squares.append(KeyQuery(vector[...], metric: .innerProduct).exactScore(of: vector[...]))
    }

    package mutating func append(_ other: FlatVectors) {
        precondition(other.dim == dim)
        values += other.values
        squares += other.squares
    }

    package subscript(index: Int) -> [Float] { Array(values[index * dim..<(index + 1) * dim]) }

    /// The exact score of one vector.
    package func score(_ query: KeyQuery, of index: Int) -> Float {
        values.withUnsafeBufferPointer { score(query, of: index, $0) }
    }

    private func score(_ query: KeyQuery, of index: Int, _ values: UnsafeBufferPointer<Float>) -> Float {
        query.original.withUnsafeBufferPointer { numbers in
            guard numbers.count == dim, let asked = numbers.baseAddress, let start = values.baseAddress else {
                return -.greatestFiniteMagnitude
            }
            var (dot, squares) = (0.0, 0.0)
            cfaiss_dot_f32(asked, start + index * dim, Int32(dim), &dot, &squares)
            return query.score(dot: dot, squares: squares)
        }
    }

    /// Offers the vectors that can be among the best of `top`, each with its exact score.
    ///
    /// - Parameters:
    ///   - isWanted: whether the vector at a place counts.
    ///   - row: what `top` knows a vector by.
    package func search(
        _ query: KeyQuery, where isWanted: (Int) -> Bool, into top: inout TopHits, as row: (Int) -> Int
    ) {
        values.withUnsafeBufferPointer { values in
            query.original.withUnsafeBufferPointer { numbers in
                guard numbers.count == dim, let start = values.baseAddress, let asked = numbers.baseAddress else {
                    return
                }
                for index in 0..<count where isWanted(index) {
                    if let least = top.leastScore {
                        let product = query.norm * squares[index].squareRoot()
                        let dot = Double(Self.quickDot(asked, start + index * dim, dim))
                        let most = dot + query.tolerance(ofLargest: product)
                        // When that is no number, the exact score decides.
                        if (query.metric == .cosine ? most / product : most) < Double(least) { continue }
                    }
                    top.offer(row: row(index), score: score(query, of: index, values))
                }
            }
        }
    }

    /// A dot product in 32 bits, in whatever order is quick.
    private static func quickDot(_ one: UnsafePointer<Float>, _ other: UnsafePointer<Float>, _ dim: Int) -> Float {
        var sums = (SIMD8<Float>(), SIMD8<Float>())
        let (one, other) = (UnsafeRawPointer(one), UnsafeRawPointer(other))
        var index = 0
        while index + 16 <= dim {
            let place = index * 4
            sums.0 +=
                one.loadUnaligned(fromByteOffset: place, as: SIMD8<Float>.self)
                * other.loadUnaligned(fromByteOffset: place, as: SIMD8<Float>.self)
            sums.1 +=
                one.loadUnaligned(fromByteOffset: place + 32, as: SIMD8<Float>.self)
                * other.loadUnaligned(fromByteOffset: place + 32, as: SIMD8<Float>.self)
            index += 16
        }
        var sum = (sums.0 + sums.1).sum()
        while index < dim {
            sum +=
                one.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
                * other.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
            index += 1
        }
        return sum
    }
}
