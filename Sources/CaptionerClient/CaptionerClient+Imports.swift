public import DatastoreCore
public import Foundation
import NIOHTTP1

/// How far an upload is.
public struct UploadProgress: Sendable, Hashable {
    public var bytesSent: Int64
    public var totalBytes: Int64
}

extension CaptionerClient {
    /// Uploads rows, and starts a job that imports them.
    ///
    /// ```swift
    /// let job = try await client.importRows(file: captions, vectors: vectors, into: "coco")
    /// let done = try await client.waitForJob(job.id)
    /// print(done.counts.accepted, "rows are in version", done.version ?? 0)
    /// ```
    ///
    /// The files are read from disk as they are sent, and must not change meanwhile. An upload that breaks off is sent
    /// again; its idempotency key makes sure that it is imported once.
    ///
    /// - Parameters:
    ///   - file: Rows in one of the forms of `ImportFormat`, plain or gzip.
    ///   - vectors: A NumPy file (`.npy`), or a FAISS index where the daemon reads them, with one vector per row for the
    ///     datastore's first dense key; nil when the rows carry their vectors or the datastore names an encoder.
    ///   - keyVectors: The same for other dense keys, by name.
    ///   - idempotencyKey: The same upload with the same key is one import, for a week; nil makes one for this call.
    ///   - progress: Called as the upload goes on, from any thread.
    /// - Returns: The job, which goes on: see ``waitForJob(_:onUpdate:)``.
    public func importRows(
        file: URL, vectors: URL? = nil, keyVectors: [String: URL] = [:], into datastore: String,
        options: ImportOptions = ImportOptions(), idempotencyKey: String? = nil,
        progress: (@Sendable (UploadProgress) -> Void)? = nil
    ) async throws -> JobInfo {
        let name = try Self.checked(datastore, field: "datastore")
        var parts: [UploadBody.Part] = [.file("rows", file)]
        if let vectors { parts.append(.file("vectors", vectors)) }
        for (key, vectors) in keyVectors.sorted(by: { $0.key < $1.key }) {
            parts.append(.file("vectors.\(try Self.checked(key, field: "key"))", vectors))
        }
        let body =
            try parts.count > 1
            ? UploadBody(multipart: parts) : UploadBody(file: file, type: "application/octet-stream")
        let call = Call.change(.POST, "v1", "datastores", name, "imports", query: options.queryItems)
            .idempotent(idempotencyKey ?? UUID().uuidString)
        return try await answer(to: call.upload(body, progress: progress))
    }

    /// Starts a job that imports files which the daemon reads itself, under one of its import roots.
    ///
    /// - Parameter idempotencyKey: The same request with the same key is one import, for a week; nil makes one for this
    ///   call.
    public func importFromServerPath(
        _ request: ImportRequest, into datastore: String, idempotencyKey: String? = nil
    ) async throws -> JobInfo {
        let call = Call.change(.POST, "v1", "datastores", try Self.checked(datastore, field: "datastore"), "imports")
            .idempotent(idempotencyKey ?? UUID().uuidString)
        return try await answer(to: call.json(request))
    }
}

extension ImportOptions {
    /// The options as an upload carries them: those that are not the default.
    fileprivate var queryItems: [(name: String, value: String)] {
        var items: [(name: String, value: String)] = [("build", String(build)), ("strict", String(strict))]
        if dryRun { items.append(("dry_run", "true")) }
        if format != .auto { items.append(("format", format.rawValue)) }
        items += splits.map { ("splits", $0) }
        if captionText != .raw { items.append(("caption_text", captionText.rawValue)) }
        items += columns.sorted { $0.key < $1.key }.map { ("columns", "\($0.key):\($0.value)") }
        if let header { items.append(("header", String(header))) }
        if pool != .none { items.append(("pool", pool.rawValue)) }
        if let origin { items.append(("origin", origin.rawValue)) }
        if let lang { items.append(("lang", lang)) }
        if let source { items.append(("source", source)) }
        if let maxWords = filters.maxWords { items.append(("max_words", String(maxWords))) }
        if let maxTokens = filters.maxTokens { items.append(("max_tokens", String(maxTokens))) }
        if let minLetters = filters.minLetters { items.append(("min_letters", String(minLetters))) }
        items += filters.languages.map { ("languages", $0) }
        if filters.dropDuplicates { items.append(("drop_duplicates", "true")) }
        return items
    }
}
