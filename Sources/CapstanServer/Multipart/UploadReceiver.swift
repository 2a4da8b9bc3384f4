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
        /// By the names of their keys; "" stands for the first dense one.
        var vectors: [String: URL] = [:]
        /// SHA-256 of the rows, then of the vectors, with the names of their keys.
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

    /// The body has a part `rows`, and may have a part `vectors`, and a part `vectors.KEY` for each other key.
    ///
    /// - Throws: `body_too_large`, `upload_incomplete`, `invalid_multipart`, `missing_field`, `unknown_field`,
    ///   `invalid_name`.
    func receiveParts(_ body: RequestBody, contentType: String) async throws -> Files {
        var parts = try MultipartReader(LimitedBody(body, limit: limit), contentType: contentType)
        var rows: (file: URL, digest: String)?
        var vectors: [String: (file: URL, digest: String)] = [:]
        while let name = try await parts.nextPart() {
            let key = try Self.key(ofPart: name)
            guard key.map({ vectors[$0] == nil }) ?? (rows == nil) else {
                throw DatastoreError.field(.invalidMultipart, name, "got this part twice, expected it once")
            }
            guard key == nil || vectors.count < Self.maximumVectorParts else {
                throw DatastoreError.field(
                    .invalidMultipart, name, "got over \(Self.maximumVectorParts) parts of vectors, expected fewer")
            }
            let file = folder.appending(path: key.map { $0.isEmpty ? name : "\(name).npy" } ?? name)
            let digest = try await write(to: file) { try await parts.nextChunk() }
            if let key { vectors[key] = (file, digest) } else { rows = (file, digest) }
        }
        guard let rows else { throw DatastoreError.field(.missingField, "rows", "required and not given") }
        let digests = vectors.sorted { $0.key < $1.key }.map { key, part in
            key.isEmpty ? part.digest : "\(key)=\(part.digest)"
        }
        return Files(rows: rows.file, vectors: vectors.mapValues(\.file), digests: [rows.digest] + digests)
    }

    /// More than any datastore has keys: each part makes a file.
    private static let maximumVectorParts = 64

    /// The key whose vectors a part is, "" for the first dense one; nil for the rows.
    ///
    /// - Throws: `unknown_field`, `invalid_name`.
    private static func key(ofPart name: String) throws -> String? {
        switch name {
        case "rows": return nil
        case "vectors": return ""
        case _ where name.hasPrefix("vectors."):
            return try ResourceName.validate(String(name.dropFirst("vectors.".count)), field: name)
        default:
            throw DatastoreError.field(
                .unknownField, name, "not a part here; expected rows and vectors, or vectors.KEY for another key")
        }
    }

    /// Writes a file and puts it on disk.
    ///
    /// - Returns: its SHA-256, in hexadecimal.
    func write(to file: URL, _ next: () async throws -> ByteBuffer?) async throws -> String {
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
