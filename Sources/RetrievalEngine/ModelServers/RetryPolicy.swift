/// How often a request is made, how long each may take, and the pauses between.
package struct RetryPolicy: Sendable, Hashable {
    /// Tries in all. An import outlives an encoder that is away for some minutes: 60 tries take about eight.
    package var attempts: Int
    /// The pause after the first try; it doubles with each, and is shortened by up to half at random.
    package var firstPause: Duration
    package var longestPause: Duration
    /// The longest pause that a server gets by asking for it.
    package var longestAskedPause: Duration
    /// How long one try may take, to the end of its answer.
    package var timeout: Duration

    package init(
        attempts: Int = 60, firstPause: Duration = .milliseconds(200), longestPause: Duration = .seconds(10),
        longestAskedPause: Duration = .seconds(120), timeout: Duration = .seconds(60)
    ) {
        self.attempts = attempts
        self.firstPause = firstPause
        self.longestPause = longestPause
        self.longestAskedPause = longestAskedPause
        self.timeout = timeout
    }

    /// For a question, whose client waits: it would rather hear that the encoder does not answer.
    package static let question = RetryPolicy(
        attempts: 2, firstPause: .milliseconds(100), longestAskedPause: .seconds(1), timeout: .seconds(10))

    /// The pause after a try that failed; nil when it was the last.
    ///
    /// - Parameters:
    ///   - attempt: its number, from 1.
    ///   - asked: what the server asked for with `Retry-After`.
    ///   - jitter: 0 to 1, how much of the random half is kept.
    func pause(after attempt: Int, asked: Duration?, jitter: Double) -> Duration? {
        guard attempt < attempts else { return nil }
        if let asked { return min(max(asked, .zero), longestAskedPause) }
        let doubled = (1..<max(attempt, 1)).reduce(firstPause) { pause, _ in min(pause * 2, longestPause) }
        return min(doubled, longestPause) * (0.5 + jitter / 2)
    }
}
