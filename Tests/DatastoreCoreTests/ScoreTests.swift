import DatastoreCore
import Testing

/// Softmax over candidates, as ZeroCap takes it.
struct ScoreTests {
    @Test func candidatesAreWeighedBySoftmax() throws {
        let answer = try ScoreAnswer(cosines: [0.25, 0.31, 0.31, -1], texts: ["a", "b", "c", "d"], temperature: 0.01)
        #expect(answer.order == [1, 2, 0, 3])
        #expect(answer.best == answer.scores[1])
        #expect(answer.best.text == "b")
        #expect(answer.best.cosine == 0.31)
        #expect(answer.scores.map(\.index) == [0, 1, 2, 3])
        // numpy: exp(x / 0.01) / sum, in float64
        #expect(abs(answer.scores[0].probability - 0.001_237_841_77) < 1e-9)
        #expect(abs(answer.scores[1].probability - 0.499_381_079) < 1e-7)
        #expect(answer.scores[3].probability < 1e-30)
        #expect(answer.temperature == 0.01)
    }

    @Test(arguments: [Float.leastNonzeroMagnitude, 1e-6, 0.01, 1, .greatestFiniteMagnitude])
    func probabilitiesSumToOne(temperature: Float) throws {
        let answer = try ScoreAnswer(cosines: [1, -1, 0.5, 0.999_999], temperature: temperature)
        #expect(answer.scores.allSatisfy { (0...1).contains($0.probability) })
        #expect(abs(answer.scores.reduce(0) { $0 + $1.probability } - 1) < 1e-6)
        #expect(answer.order == [0, 3, 2, 1])
        #expect(answer.best.text == nil)
    }

    @Test func oneCandidateIsCertainAndNoneIsAnError() throws {
        #expect(try ScoreAnswer(cosines: [-0.4], temperature: 0.01).best.probability == 1)
        expectError(.noCandidates) { try ScoreAnswer(cosines: [], temperature: 0.01) }
    }

    @Test func numbersOfCandidatesHaveALimit() throws {
        func request(_ candidates: ScoreCandidates, temperature: Float = 0.01) -> ScoreRequest {
            ScoreRequest(query: .vector([1]), candidates: candidates, temperature: temperature)
        }
        let texts = [String](repeating: "a", count: 512)
        try request(.texts(texts)).validate(limit: 512)
        let tooMany = expectError(.tooManyCandidates) { try request(.texts(texts + ["b"])).validate(limit: 512) }
        #expect(tooMany?.errors == [FieldError(field: "texts", message: "got 513, expected 1 to 512")])
        for (candidates, field) in [
            (ScoreCandidates.texts([]), "texts"), (.vectors([], count: 0), "vectors"),
            (.vectorsBase64([]), "vectors_base64"),
        ] {
            let error = expectError(.noCandidates) { try request(candidates).validate(limit: 512) }
            #expect(error?.errors.map(\.field) == [field])
        }
        for temperature in [0, -0.01, .nan, .infinity] as [Float] {
            let error = expectError(.temperatureOutOfRange) {
                try request(.texts(["a"]), temperature: temperature).validate(limit: 512)
            }
            #expect(error?.errors.map(\.field) == ["temperature"])
        }
    }
}
