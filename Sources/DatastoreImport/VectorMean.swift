import DatastoreCore

/// The mean of vectors of one length, summed as doubles.
struct VectorMean {
    private var sums: [Double]
    private(set) var count = 0

    init(dim: Int) {
        sums = [Double](repeating: 0, count: dim)
    }

    /// The mean, each number rounded once; not finite where a number was not.
    var vector: [Float] { sums.map { Float($0 / Double(count)) } }

    /// - Parameter vector: as many numbers as the mean has.
    mutating func add(_ vector: some RandomAccessCollection<Float>) {
        precondition(vector.count == sums.count)
        for (index, value) in vector.enumerated() { sums[index] += Double(value) }
        count += 1
    }

    /// - Parameter number: what the vector has at a place.
    mutating func add(_ number: (Int) -> Double) {
        for index in sums.indices { sums[index] += number(index) }
        count += 1
    }
}

extension VectorPooling {
    /// What is said of several vectors where one is expected.
    static let remedy = "to take the mean of each row's vectors, give --pool mean (API: pool=mean)"
}
