import DatastoreCore
package import Foundation
import Synchronization

/// Asks one encoder for vectors.
///
/// ```swift
/// let encoder = EncoderClient(try EncoderEndpoint(argument: "clip=infinity+http://127.0.0.1:7997", apiKey: nil))
/// let vectors = try await encoder.encode(texts: ["a dog on a beach"], model: "clip-vit-b32", dim: 512)
/// await encoder.shutdown()
/// ```
///
/// Make one and keep it: it holds a pool of connections. All its calls may run at once. A try that fails in a way that
/// may pass (no connection, no answer in time, 408, 425, 429, 5xx) is made again as `RetryPolicy` says.
package final class EncoderClient: Sendable {
    private enum Encoding {
        /// Base64 is asked for, and numbers when the server refuses.
        case untried
        case base64
        case numbers
    }

    private let endpoint: EncoderEndpoint
    private let server: ModelServerClient
    private let encoding = Mutex(Encoding.untried)

    package init(_ endpoint: EncoderEndpoint, policy: RetryPolicy = .init()) {
        self.endpoint = endpoint
        server = ModelServerClient(endpoint.server, policy: policy)
    }

    /// Ends what is under way and closes all connections; the client cannot be used after.
    package func shutdown() async {
        await server.shutdown()
    }

    /// The vectors of texts, in order.
    ///
    /// - Parameters:
    ///   - texts: go in one request; none make none.
    ///   - model: as the server calls it.
    ///   - dim: numbers that each vector must have.
    /// - Throws: `encoder_unreachable` when no connection came about, `encoder_mismatch` when vectors are not of `dim`
    ///   numbers, `encoder_failed` when the server refuses or answers anything else, `interrupted` after `shutdown()`,
    ///   `CancellationError` when the task is cancelled.
    package func encode(texts: [String], model: String, dim: Int) async throws -> EncodedVectors {
        guard !texts.isEmpty else {
            return EncodedVectors(values: [], count: 0, dim: dim, model: model, revision: nil)
        }
        let encoding = encoding.withLock { $0 }
        do {
            let vectors = try await send(.texts(texts, base64: encoding != .numbers), model: model, dim: dim)
            if encoding == .untried { self.encoding.withLock { $0 = .base64 } }
            return vectors
        } catch let failure as ModelServerClient.Failure where encoding == .untried && Self.mayRefuseEncoding(failure) {
            do {
                let vectors = try await send(.texts(texts, base64: false), model: model, dim: dim)
                self.encoding.withLock { $0 = .numbers }
                return vectors
            } catch let failure as ModelServerClient.Failure {
                throw failure.error
            }
        } catch let failure as ModelServerClient.Failure {
            throw failure.error
        }
    }

    /// The vector of one image.
    ///
    /// - Parameters:
    ///   - image: the bytes of the file.
    ///   - mediaType: for example `image/png`.
    /// - Throws: as for texts, and `invalid_value` when the dialect has no images or `mediaType` is none of an image.
    package func encode(image: Data, mediaType: String, model: String, dim: Int) async throws -> EncodedVectors {
        guard mediaType.wholeMatch(of: /image\/[A-Za-z0-9.+-]+/) != nil else {
            throw DatastoreError(
                .invalidValue, "got media type \"\(mediaType.prefix(80))\", expected one of images, such as image/png")
        }
        do {
            let request = EncoderRequest.image("data:\(mediaType);base64,\(image.base64EncodedString())")
            return try await send(request, model: model, dim: dim)
        } catch let failure as ModelServerClient.Failure {
            throw failure.error
        }
    }

    /// 400 and 422 are the answers of servers that do not know `encoding_format`, or not base64.
    private static func mayRefuseEncoding(_ failure: ModelServerClient.Failure) -> Bool {
        failure.status == 400 || failure.status == 422
    }

    /// - Throws: `ModelServerClient.Failure` once there is nothing left to try, `DatastoreError` or `CancellationError`.
    private func send(_ request: EncoderRequest, model: String, dim: Int) async throws -> EncodedVectors {
        let body = try await server.post(
            try request.body(model: model, dialect: endpoint.dialect), to: endpoint.embeddingsURL,
            byteLimit: EncoderAnswer.byteLimit(count: request.count, dim: dim))
        return try server.decoded(EncoderAnswer.self, from: body, as: "list of embeddings").vectors(
            count: request.count, dim: dim, model: model, title: endpoint.title)
    }
}
