public import DatastoreCore
public import Foundation
import NIOHTTP1

extension CaptionerClient {
    /// Starts a job that answers the questions of a whole split: its output is `{image_id: [captions]}`.
    ///
    /// ```swift
    /// let job = try await client.startDump(queries: images, ids: ids, of: "street", options: DumpOptions(k: 7))
    /// let done = try await client.waitForJob(job.id)
    /// for try await bytes in client.output(of: done.id) { try file.write(contentsOf: bytes) }
    /// ```
    ///
    /// - Parameters:
    ///   - queries: A NumPy file (`.npy`) with one vector per image.
    ///   - ids: A JSON array with the id of each image, in the order of `queries`.
    ///   - progress: Called as the upload goes on, from any thread.
    public func startDump(
        queries: URL, ids: URL, of domain: String, options: DumpOptions = DumpOptions(),
        progress: (@Sendable (UploadProgress) -> Void)? = nil
    ) async throws -> JobInfo {
        let name = try Self.checked(domain, field: "domain")
        let body: UploadBody
        do {
            body = try UploadBody(multipart: [
                .json("options", options), .file("ids", ids), .file("queries", queries),
            ])
        } catch is EncodingError {
            throw CaptionerError(
                unsendable: .field(.invalidValue, "options", "a number is not finite, which JSON cannot carry"))
        }
        return try await answer(to: .change(.POST, "v1", "domains", name, "dumps").upload(body, progress: progress))
    }
}
