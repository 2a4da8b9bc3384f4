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
    /// The files are read from disk as they are sent, and must not change meanwhile.
    ///
    /// - Parameters:
    ///   - file: NDJSON rows, plain or gzip.
    ///   - vectors: A NumPy file (`.npy`) with one vector per row; nil when the rows carry their vectors.
    ///   - progress: Called as the upload goes on, from any thread.
    /// - Returns: The job, which goes on: see ``waitForJob(_:onUpdate:)``.
    public func importRows(
        file: URL, vectors: URL? = nil, into datastore: String, options: ImportOptions = ImportOptions(),
        progress: (@Sendable (UploadProgress) -> Void)? = nil
    ) async throws -> JobInfo {
        let name = try Self.checked(datastore, field: "datastore")
        let body =
            if let vectors {
                try UploadBody(multipart: [
                    UploadBody.FilePart(name: "rows", file: file, type: "application/x-ndjson"),
                    UploadBody.FilePart(name: "vectors", file: vectors, type: "application/octet-stream"),
                ])
            } else {
                try UploadBody(file: file, type: "application/x-ndjson")
            }
        let call = Call.change(
            .POST, "v1", "datastores", name, "imports",
            query: [
                ("build", String(options.build)),
                ("strict", String(options.strict)),
            ])
        return try await answer(to: call.upload(body, progress: progress))
    }

    /// Starts a job that imports files which the daemon reads itself, under one of its import roots.
    public func importFromServerPath(_ request: ImportRequest, into datastore: String) async throws -> JobInfo {
        let call = Call.change(.POST, "v1", "datastores", try Self.checked(datastore, field: "datastore"), "imports")
        return try await answer(to: call.json(request))
    }
}
