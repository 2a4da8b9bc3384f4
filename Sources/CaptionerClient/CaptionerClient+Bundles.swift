public import DatastoreCore
public import Foundation
import NIOHTTP1

extension CaptionerClient {
    /// A version as one file, to be kept or taken elsewhere: ``restoreBundle(file:into:idempotencyKey:progress:)`` brings it
    /// back.
    ///
    /// ```swift
    /// let download = try await client.bundle(of: "coco", version: 7)
    /// for try await bytes in download.bytes { try file.write(contentsOf: bytes) }
    /// ```
    ///
    /// - Parameters:
    ///   - offset: Where to begin, to go on with a download that broke off.
    ///   - etag: Of the download that broke off.
    public func bundle(
        of datastore: String, version: Int, from offset: Int64 = 0, etag: String? = nil
    ) async throws -> ByteDownload {
        try await download(
            .get(
                "v1", "datastores", Self.checked(datastore, field: "datastore"), "versions", String(version), "bundle"),
            from: offset, etag: etag)
    }

    /// Uploads a bundle, and starts a job that checks it and publishes its version under its own number. The datastore is
    /// made when there is none.
    ///
    /// - Parameters:
    ///   - datastore: As the bundle names it.
    ///   - idempotencyKey: The same upload with the same key is one job, for a week; nil makes one for this call.
    ///   - progress: Called as the upload goes on, from any thread.
    public func restoreBundle(
        file: URL, into datastore: String, idempotencyKey: String? = nil,
        progress: (@Sendable (UploadProgress) -> Void)? = nil
    ) async throws -> JobInfo {
        let body = try UploadBody(file: file, type: "application/x-lz4")
        let call = Call.change(.PUT, "v1", "datastores", try Self.checked(datastore, field: "datastore"), "bundle")
            .idempotent(idempotencyKey ?? UUID().uuidString)
        return try await answer(to: call.upload(body, progress: progress))
    }

    /// Has the daemon copy everything as it is now, and lists the copy's files; fetch them with
    /// ``backupFile(_:of:from:etag:)``, then call ``endBackup(_:)``.
    public func startBackup() async throws -> BackupInfo {
        try await answer(to: .change(.POST, "v1", "backups"))
    }

    public func backup(_ id: String) async throws -> BackupInfo {
        try await answer(to: .get("v1", "backups", Self.checked(id, field: "backup")))
    }

    /// One file of a backup.
    ///
    /// - Parameters:
    ///   - path: As the backup lists it.
    ///   - offset: Where to begin, to go on with a download that broke off.
    ///   - etag: Of the download that broke off.
    public func backupFile(
        _ path: String, of id: String, from offset: Int64 = 0, etag: String? = nil
    ) async throws -> ByteDownload {
        try await download(
            .get("v1", "backups", Self.checked(id, field: "backup"), "file", query: [("path", path)]), from: offset,
            etag: etag)
    }

    /// Lets the daemon remove a backup's files.
    public func endBackup(_ id: String) async throws {
        try await perform(.change(.DELETE, "v1", "backups", try Self.checked(id, field: "backup")))
    }
}
