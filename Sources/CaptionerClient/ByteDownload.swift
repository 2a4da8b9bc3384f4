import AsyncHTTPClient
public import Foundation
import NIOCore
import NIOHTTP1

/// Bytes that the daemon sends, from some offset on to the end.
///
/// When the connection breaks, `bytes` throws an error of kind `unreachable`; what came before is right, and the same call
/// with the offset behind it and the same `etag` goes on there.
public struct ByteDownload: Sendable {
    /// Where the first byte is. 0 though another was asked for when there are others than those of the `etag` by now.
    public let offset: Int64
    /// Of the whole; nil when the daemon does not know it yet.
    public let totalBytes: Int64?
    /// Names the bytes: others have another.
    public let etag: String?
    public let bytes: Bytes

    /// The bytes as they come.
    public struct Bytes: AsyncSequence, Sendable {
        let body: HTTPClientResponse.Body
        let url: URL

        public func makeAsyncIterator() -> Iterator {
            Iterator(body: body.makeAsyncIterator(), url: url)
        }

        public struct Iterator: AsyncIteratorProtocol {
            var body: HTTPClientResponse.Body.AsyncIterator
            let url: URL

            public mutating func next() async throws -> Data? {
                do {
                    return try await body.next().map { Data($0.readableBytesView) }
                } catch {
                    throw CaptionerError.wrapping(error, url: url)
                }
            }
        }
    }
}

extension CaptionerClient {
    /// - Parameters:
    ///   - offset: where to begin.
    ///   - etag: of the bytes before it.
    func download(_ call: Call, from offset: Int64, etag: String?) async throws -> ByteDownload {
        var call = call
        call.expectedStatuses = [200, 206]
        if offset > 0 {
            call.headers.replaceOrAdd(name: "Range", value: "bytes=\(offset)-")
            if let etag { call.headers.replaceOrAdd(name: "If-Range", value: etag) }
        }
        return try await send(call) { [url] response in
            let isPart = response.status.code == 206
            // bytes 100-199/200
            let range = response.headers.first(name: "Content-Range")
            let total =
                isPart
                ? range?.split(separator: "/").last.map(String.init) : response.headers.first(name: "Content-Length")
            guard !isPart || range?.hasPrefix("bytes \(offset)-") == true else {
                throw CaptionerError(
                    .invalidAnswer, "asked for bytes from \(offset) on, got Content-Range \(range ?? "none")")
            }
            return ByteDownload(
                offset: isPart ? offset : 0, totalBytes: total.flatMap { Int64($0) },
                etag: response.headers.first(name: "ETag"), bytes: .init(body: response.body, url: url))
        }
    }
}
