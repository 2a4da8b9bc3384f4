import VectorIndex

/// Vectors of length 1 in clusters, as encoders of captions make them: a centre, and noise around it.
struct ClusteredVectors {
    static let clusters = 1000
    /// Length of the noise, in lengths of the centre.
    private static let spread: Float = 0.7

    let dim: Int
    private let centres: [Float]
    private var random: SplitMix64

    init(dim: Int, seed: UInt64) {
        self.dim = dim
        var random = SplitMix64(seed: seed)
        centres = (0..<Self.clusters * dim).map { _ in random.nextNormal() }
        self.random = random
    }

    /// Another stream of vectors around the same centres.
    func questions(seed: UInt64) -> ClusteredVectors {
        var other = self
        other.random = SplitMix64(seed: seed ^ 0x5155_4553_5449_4F4E)
        return other
    }

    /// Fills `vector`, which has room for `dim` numbers, and says which cluster it is of.
    mutating func next(into vector: UnsafeMutableBufferPointer<Float>) -> Int {
        let cluster = random.next(below: Self.clusters)
        for index in 0..<dim {
            vector[index] = centres[cluster * dim + index] + Self.spread * random.nextNormal()
        }
        VectorMath.normalise(vector)
        return cluster
    }
}

/// Short texts that look like captions.
struct CaptionTexts {
    private static let who = [
        "a man", "a woman", "two children", "a brown dog", "a cat", "a group of people", "a horse", "a cyclist",
        "an old couple", "a surfer", "a small bird", "a red bus",
    ]
    private static let does = [
        "standing", "sitting", "walking", "waiting", "sleeping", "looking around", "turning", "resting", "playing",
        "moving slowly",
    ]
    private static let place = [
        "on a beach", "in a kitchen", "beside a river", "on a busy street", "under a tree", "in front of a shop",
        "near a window", "on a wooden bench", "in a green field", "at a train station", "on a bridge",
    ]
    private static let when = ["at night", "in the rain", "on a sunny day", "in the early morning", "in winter"]

    var random: SplitMix64

    mutating func next() -> String {
        func pick(_ words: [String]) -> String { words[random.next(below: words.count)] }
        return "\(pick(Self.who)) \(pick(Self.does)) \(pick(Self.place)) \(pick(Self.when))"
    }
}
