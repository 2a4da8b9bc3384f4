public import AsyncHTTPClient
import DatastoreCore
public import Foundation
import NIOCore

/// The thin client of a Capstan daemon: what a captioner asks its memory through.
///
/// ```swift
/// let client = try CaptionerClient(url: "http://127.0.0.1:7411")
/// let answer = try await client.query(
///     imageVector, of: "street", options: QueryOptions(k: 4, excludeImageIDs: ["391895"], prompt: true))
/// decoder.generate(prompt: answer.prompt ?? "This image shows ")
/// ```
///
/// Make one and keep it: it holds a pool of connections, which it closes when it goes away.
/// All its calls may run at once.
///
/// Calls throw ``CaptionerError``, or `CancellationError` when their task is cancelled. Calls that change nothing
/// (questions among them) are repeated when the daemon cannot be reached, or says 503 with `Retry-After`;
/// calls that change something never are.
public final class CaptionerClient: Sendable {
    /// Where the daemon is, for example `http://127.0.0.1:7411`.
    public let url: URL
    public let configuration: Configuration

    let http: HTTPClient
    private let ownsHTTP: Bool

    /// - Parameters:
    ///   - url: Where the daemon is: `http` or `https`, a host, and a path when it is behind a proxy that adds one.
    ///   - httpClient: Given, its own limits on connecting and on idle connections hold, and the caller shuts it down.
    /// - Throws: `CaptionerError` of kind `invalidURL`.
    public init(
        url: URL, configuration: Configuration = Configuration(), httpClient: HTTPClient? = nil
    ) throws(CaptionerError) {
        guard let scheme = url.scheme?.lowercased(), scheme == "http" || scheme == "https",
            let host = url.host(), !host.isEmpty, url.query() == nil, url.fragment() == nil
        else {
            throw CaptionerError(invalidURL: url.absoluteString)
        }
        self.url = url
        self.configuration = configuration
        self.http =
            httpClient ?? HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration.httpConfiguration)
        self.ownsHTTP = httpClient == nil
    }

    /// - Throws: `CaptionerError` of kind `invalidURL`.
    public convenience init(
        url: String, configuration: Configuration = Configuration(), httpClient: HTTPClient? = nil
    ) throws(CaptionerError) {
        guard let parsed = URL(string: url) else { throw CaptionerError(invalidURL: url) }
        try self.init(url: parsed, configuration: configuration, httpClient: httpClient)
    }

    deinit {
        if ownsHTTP { http.shutdown { _ in } }
    }
}

extension CaptionerClient {
    /// How long to wait, and how often to try again.
    public struct Configuration: Sendable, Hashable {
        /// How long a call may take until its answer begins, retries included; then, how long the answer may pause.
        /// An upload may take longer, but not pause for longer.
        public var timeout: Duration
        public var connectTimeout: Duration
        /// How often a call that changes nothing is repeated.
        public var retries: Int
        /// The pause before the first repetition; it doubles with each, and is shortened by up to half at random.
        public var retryDelay: Duration
        /// How the client names itself; the daemon keeps it with the jobs it is asked for.
        public var userAgent = "CaptionerClient/\(Release.version)"
        /// The longest pause. A daemon that asks for a longer one with `Retry-After` is not asked again.
        public var maximumRetryDelay: Duration

        public init(
            timeout: Duration = .seconds(30), connectTimeout: Duration = .seconds(5), retries: Int = 2,
            retryDelay: Duration = .milliseconds(100), maximumRetryDelay: Duration = .seconds(5)
        ) {
            self.timeout = timeout
            self.connectTimeout = connectTimeout
            self.retries = retries
            self.retryDelay = retryDelay
            self.maximumRetryDelay = maximumRetryDelay
        }
    }
}

extension CaptionerClient.Configuration {
    /// The pause before repeating a call for the `count`th time, after `error`; nil when it is not to be repeated.
    ///
    /// - Parameter jitter: 0 to 1, how much of the random half of the pause is kept.
    func delay(beforeRetry count: Int, after error: CaptionerError, jitter: Double) -> Duration? {
        guard count <= retries else { return nil }
        switch error.kind {
        case .refused(let problem) where problem.status == 503:
            guard let asked = error.retryAfter, asked <= maximumRetryDelay else { return nil }
            return asked
        case .unreachable:
            let doubled = (1..<max(count, 1)).reduce(retryDelay) { delay, _ in min(delay * 2, maximumRetryDelay) }
            return min(doubled, maximumRetryDelay) * (0.5 + jitter / 2)
        default:
            return nil
        }
    }

    /// Fails at once when nothing listens: retrying is ours, and only for calls that change nothing.
    fileprivate var httpConfiguration: HTTPClient.Configuration {
        var http = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: .init(
                connect: TimeAmount(connectTimeout), read: TimeAmount(timeout), write: TimeAmount(timeout)))
        http.connectionPool.retryConnectionEstablishment = false
        http.httpVersion = .http1Only
        return http
    }
}
