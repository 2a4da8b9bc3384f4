import DatastoreCore
import Foundation
import Hummingbird
import NIOCore
import RetrievalEngine

/// Versions as bundles: out, and in again.
struct BundleController {
    let engine: CapstanEngine
    let uploadLimit: Int

    private static let contentType = "application/x-lz4"

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.get("{datastore}/versions/{version}/bundle", use: export)
        group.put("{datastore}/bundle", use: restore)
    }

    /// The bundle as it is made, or a part of it: a piece in memory at a time, and the next one that is made meanwhile.
    @Sendable func export(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        _ = try QueryParameters(request, allowed: [])
        let bundle = try await engine.exportBundle(of: context.versionID(engine))
        guard let asked = ByteRange(request, etag: bundle.etag) else {
            return .bytes(
                nil, of: nil, etag: bundle.etag, contentType: Self.contentType, fileName: bundle.fileName,
                body: Self.body(bundle, pieces: 0..<bundle.pieceCount))
        }
        let offsets = try await bundle.offsets()
        let length = offsets.last ?? 0
        let range = try asked.resolved(length)
        let first = (offsets.firstIndex { $0 > range.lowerBound } ?? 1) - 1
        let end = offsets.firstIndex { $0 >= range.upperBound } ?? bundle.pieceCount
        return .bytes(
            range, of: length, etag: bundle.etag, contentType: Self.contentType, fileName: bundle.fileName,
            body: Self.body(
                bundle, pieces: first..<end, skipping: range.lowerBound - offsets[first], count: range.count))
    }

    /// - Parameters:
    ///   - skipping: bytes of the first piece that are not sent.
    ///   - count: bytes that are sent; nil for all.
    private static func body(
        _ bundle: BundleExport, pieces: Range<Int>, skipping: Int64 = 0, count: Int? = nil
    ) -> ResponseBody {
        ResponseBody(contentLength: count) { writer in
            var left = count ?? .max
            var skip = Int(skipping)
            var piece = try await bundle.piece(pieces.lowerBound)
            for number in pieces {
                async let following = number + 1 < pieces.upperBound ? bundle.piece(number + 1) : []
                let part = piece[skip..<min(piece.count, left == .max ? piece.count : skip + left)]
                try await writer.write(ByteBuffer(bytes: part))
                left -= left == .max ? 0 : part.count
                skip = 0
                piece = try await following
            }
            try await writer.finish(nil)
        }
    }

    @Sendable func restore(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let datastore = try ResourceName.validate(context.parameters.require("datastore"))
        _ = try QueryParameters(request, allowed: [])
        guard let type = request.mediaType, [Self.contentType, "application/octet-stream"].contains(type) else {
            throw DatastoreError(
                .unsupportedMediaType,
                "got Content-Type \"\(request.headers[.contentType] ?? "")\", expected \(Self.contentType): the bundle as "
                    + "capstan export made it")
        }
        let job = CapstanEngine.newJobID()
        let folder = try await engine.stageBundle(job: job)
        do {
            let file = folder.appending(path: "bundle")
            var chunks = LimitedBody(request.body, limit: uploadLimit)
            let digest = try await UploadReceiver(folder: folder, limit: uploadLimit).write(to: file) {
                try await chunks.next()
            }
            return try .accepted(
                try await engine.submitRestore(
                    job: job, datastore: datastore, bundle: file, digest: digest, by: request.submitter,
                    idempotencyKey: request.idempotencyKey))
        } catch {
            await Task { await engine.discardUpload(job: job) }.value
            throw error
        }
    }
}
