import AsyncHTTPClient
public import DatastoreCore
import Foundation
import NIOCore

/// What every call of ``CaptionerClient`` throws, other than `CancellationError`.
///
/// ```swift
/// do {
///     try await client.setDomain("street", to: request, ifRevision: 12)
/// } catch let error as CaptionerError where error.code == .revisionConflict {
///     // Someone was faster: read the domain again, and decide again.
/// }
/// ```
public struct CaptionerError: Error, Sendable {
    public enum Kind: Sendable, Hashable {
        /// The daemon said no, and why; or would, of a name or vectors that no request can carry.
        case refused(Problem)
        /// No connection, or one that broke before the answer was whole.
        case unreachable
        case timedOut
        /// The answer has not the form that it should: not a Capstan daemon, or one of another age.
        case invalidAnswer
        /// A file to upload cannot be read, or changed meanwhile.
        case unreadableFile
        /// Not the URL of a daemon.
        case invalidURL
    }

    public let kind: Kind
    /// What happened, for people.
    public let detail: String
    /// How long the daemon asked to wait before the next try, with `Retry-After`.
    public let retryAfter: Duration?

    init(_ kind: Kind, _ detail: String, retryAfter: Duration? = nil) {
        self.kind = kind
        self.detail = detail
        self.retryAfter = retryAfter
    }

    /// What the daemon said, when it refused.
    public var problem: Problem? {
        if case .refused(let problem) = kind { problem } else { nil }
    }

    /// Why the daemon refused. Nil when it did not, or when it is newer and `problem` has a code unknown here.
    public var code: ErrorCode? {
        problem.flatMap { ErrorCode(rawValue: $0.code) }
    }
}

extension CaptionerError: CustomStringConvertible {
    public var description: String { problem.map { "\($0.code): \(detail)" } ?? detail }
}

extension CaptionerError {
    init(refused problem: Problem, retryAfter: Duration? = nil) {
        self.init(.refused(problem), problem.detail, retryAfter: retryAfter)
    }

    /// A request that is not sent, because no daemon would take it.
    init(unsendable error: DatastoreError) {
        self.init(
            refused: Problem(
                status: 400, title: "Bad Request", code: error.code.rawValue, detail: error.detail,
                errors: error.errors))
    }

    init(invalidURL text: String) {
        self.init(.invalidURL, "got \"\(text)\", expected http://HOST:PORT, for example http://127.0.0.1:7411")
    }

    init(invalidAnswer reason: String, status: Int, bytes: ByteBuffer) {
        let start = String(decoding: bytes.readableBytesView.prefix(200), as: UTF8.self).debugDescription
        let body = bytes.readableBytes == 0 ? "no body" : "\(bytes.readableBytes) bytes that start with \(start)"
        self.init(.invalidAnswer, "\(reason); got status \(status) and \(body)")
    }

    init(unreadable file: URL, _ reason: String) {
        self.init(.unreadableFile, "\(file.path(percentEncoded: false)): \(reason)")
    }

    /// What `error`, thrown while talking to the daemon at `url`, means to the caller.
    static func wrapping(_ error: any Error, url: URL) -> any Error {
        switch error {
        case is CaptionerError, is CancellationError:
            return error
        case let error as HTTPClientError:
            switch error {
            case .cancelled:
                return CancellationError()
            case .deadlineExceeded, .readTimeout, .writeTimeout:
                return CaptionerError(.timedOut, "no answer in time from \(url.absoluteString)")
            default:
                return CaptionerError(.unreachable, "\(url.absoluteString): \(error.shortDescription)")
            }
        case let error as IOError:
            return CaptionerError(.unreachable, "\(url.absoluteString): \(String(cString: strerror(error.errnoCode)))")
        default:
            return CaptionerError(.unreachable, "\(url.absoluteString): \(error)")
        }
    }
}
