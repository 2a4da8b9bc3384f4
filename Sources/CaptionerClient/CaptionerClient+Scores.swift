public import DatastoreCore

extension CaptionerClient {
    /// How near candidates are to one query: the cosine of each, and the softmax over all (ZeroCap).
    ///
    /// ```swift
    /// let answer = try await client.score(
    ///     ScoreRequest(query: .vector(image), domain: "street", candidates: .texts(["a dog", "a cat"])))
    /// print(answer.best.text ?? "", answer.best.probability)
    /// ```
    public func score(_ request: ScoreRequest) async throws -> ScoreAnswer {
        try await answer(to: .ask("v1", "score").json(request))
    }
}
