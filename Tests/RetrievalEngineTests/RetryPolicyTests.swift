import Foundation
import Testing

@testable import RetrievalEngine

/// How long a request to an encoder waits before it is made again.
struct RetryPolicyTests {
    @Test func pausesDoubleUpToTheirBound() {
        let policy = RetryPolicy(attempts: 5, firstPause: .milliseconds(200), longestPause: .milliseconds(500))
        let pauses = (1...5).map { policy.pause(after: $0, asked: nil, jitter: 1) }
        #expect(pauses == [.milliseconds(200), .milliseconds(400), .milliseconds(500), .milliseconds(500), nil])
        #expect(policy.pause(after: 1, asked: nil, jitter: 0) == .milliseconds(100))
        #expect(RetryPolicy(attempts: 1).pause(after: 1, asked: .zero, jitter: 1) == nil)
    }

    @Test func whatAServerAsksForIsWaitedUpToABound() {
        let policy = RetryPolicy(longestAskedPause: .seconds(30))
        #expect(policy.pause(after: 1, asked: .seconds(7), jitter: 0) == .seconds(7))
        #expect(policy.pause(after: 1, asked: .seconds(3600), jitter: 0) == .seconds(30))
    }

    @Test func retryAfterIsSecondsOrADate() throws {
        #expect(ModelServerClient.pause(retryAfter: "12") == .seconds(12))
        #expect(ModelServerClient.pause(retryAfter: "0.5") == .milliseconds(500))
        #expect(ModelServerClient.pause(retryAfter: "-3") == .zero)
        #expect(ModelServerClient.pause(retryAfter: "soon") == nil)
        #expect(ModelServerClient.pause(retryAfter: "nan") == nil)
        #expect(ModelServerClient.pause(retryAfter: "Wed, 21 Oct 2015 07:28:00 GMT") == .zero)
        let later = try #require(ModelServerClient.pause(retryAfter: "Fri, 21 Oct 2095 07:28:00 GMT"))
        #expect(later > .seconds(86_400))
    }
}
