import Crypto
import DatastoreCore
import DatastoreStorage
import Foundation
import Hummingbird
import NIOCore
import NIOFileSystem

/// Writes the files of an upload into the staging folder of its job as they arrive, never whole in memory.
struct UploadReceiver {
    /// What arrived.
    struct Files {
        var rows: URL
        var vectors: URL?
        /// SHA-256 of the rows, then of the vectors.
        var digests: [String] = []
    }

    let folder: URL
    /// Bytes of the whole upload.
    let limit: Int

    /// The body is the rows.
    ///
    /// - Throws: `body_too_large`, `upload_incomplete`.
    func receiveRows(_ body: RequestBody) async throws -> Files {
        let file = folder.appending(path: "rows")
        var chunks = LimitedBody(body, limit: limit)
        let digest = try await write(to: file) { try await chunks.next() }
        return Files(rows: file, digests: [digest])
    }

    /// The body has a part `rows`, and may have a part `vectors`.
    ///
    /// - Throws: `body_too_large`, `upload_incomplete`, `invalid_multipart`, `missing_field`, `unknown_field`.
    func receiveParts(_ body: RequestBody, contentType: String) async throws -> Files {
        var parts = try MultipartReader(LimitedBody(body, limit: limit), contentType: contentType)
        var received: [String: (file: URL, digest: String)] = [:]
        while let name = try await parts.nextPart() {
            guard name == "rows" || name == "vectors" else {
                throw DatastoreError.field(.unknownField, name, "not a part here; expected rows and vectors")
            }
            guard received[name] == nil else {
                throw DatastoreError.field(.invalidMultipart, name, "got this part twice, expected it once")
            }
            let file = folder.appending(path: name)
            received[name] = (file, try await write(to: file) { try await parts.nextChunk() })
        }
        guard let rows = received["rows"] else {
            throw DatastoreError.field(.missingField, "rows", "required and not given")
        }
        let vectors = received["vectors"]
        return Files(
            rows: rows.file, vectors: vectors?.file, digests: [rows.digest] + (vectors.map { [$0.digest] } ?? []))
    }

    /// Writes a file and puts it on disk.
    ///
    /// - Returns: its SHA-256, in hexadecimal.
    private func write(to file: URL, _ next: () async throws -> ByteBuffer?) async throws -> String {
        var hash = SHA256()
        try await FileSystem.shared.withFileHandle(
            forWritingAt: FilePath(file.path), options: .newFile(replaceExisting: false)
        ) { handle in
            var offset: Int64 = 0
            while let chunk = try await next() {
                hash.update(data: chunk.readableBytesView)
                offset += try await handle.write(contentsOf: chunk.readableBytesView, toAbsoluteOffset: offset)
            }
            try await handle.synchronize()
        }
        return FileDigest.hex(hash.finalize())
    }
}

/// The chunks of a body, up to a limit. A body that ends before it should is `upload_incomplete`.
struct LimitedBody {
    private var iterator: RequestBody.AsyncIterator
    private let limit: Int
    private var received = 0

    init(_ body: RequestBody, limit: Int) {
        iterator = body.makeAsyncIterator()
        self.limit = limit
    }

    mutating func next() async throws -> ByteBuffer? {
        let chunk: ByteBuffer?
        do {
            chunk = try await iterator.next()
        } catch {
            throw incomplete
        }
        guard let chunk else {
            // A cancelled request ends its body as if it were whole.
            if Task.isCancelled { throw incomplete }
            return nil
        }
        received += chunk.readableBytes
        guard received <= limit else {
            throw DatastoreError(
                .bodyTooLarge,
                "the upload is over \(limit) bytes; split it, or import by path from below an import root")
        }
        return chunk
    }

    private var incomplete: DatastoreError {
        DatastoreError(.uploadIncomplete, "the upload broke off after \(received) bytes; nothing of it was kept")
    }
}
