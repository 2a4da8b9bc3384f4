import Foundation

extension ScoreAnswer {
    /// Softmax of cosine / temperature over all candidates, computed in double.
    ///
    /// - Parameter texts: the candidates, where they were given as texts.
    /// - Throws: `no_candidates`.
    package init(cosines: [Double], texts: [String]? = nil, temperature: Float) throws {
        // The largest exponent is 0: nothing overflows, and the sum is at least 1.
        let largest = cosines.max() ?? 0
        let weights = cosines.map { exp(($0 - largest) / Double(temperature)) }
        let sum = weights.reduce(0, +)
        let scores = cosines.indices.map { index in
            CandidateScore(
                index: index, text: texts.flatMap { $0.indices.contains(index) ? $0[index] : nil },
                cosine: Float(cosines[index]), probability: Float(weights[index] / sum))
        }
        let order = scores.indices.sorted { (scores[$1].cosine, $0) < (scores[$0].cosine, $1) }
        guard let best = order.first else {
            throw DatastoreError.field(.noCandidates, "texts", "got no candidates, expected at least one")
        }
        self.init(scores: scores, order: order, best: scores[best], temperature: temperature)
    }
}

extension ScoreRequest {
    /// - Throws: `no_candidates`, `too_many_candidates`, `temperature_out_of_range`.
    package func validate(limit: Int) throws {
        guard candidates.count > 0 else {
            throw DatastoreError.field(.noCandidates, candidates.field, "got no candidates, expected 1 to \(limit)")
        }
        guard candidates.count <= limit else {
            throw DatastoreError.field(
                .tooManyCandidates, candidates.field, "got \(candidates.count), expected 1 to \(limit)")
        }
        guard temperature.isFinite, temperature > 0 else {
            throw DatastoreError.field(
                .temperatureOutOfRange, "temperature", "got \(temperature), expected a number above 0")
        }
    }
}

extension ScoreCandidates {
    /// The field of the request that has them.
    package var field: String {
        switch self {
        case .texts: "texts"
        case .vectors: "vectors"
        case .vectorsBase64: "vectors_base64"
        }
    }
}
