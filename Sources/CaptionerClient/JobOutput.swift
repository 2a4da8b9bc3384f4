import AsyncHTTPClient
import DatastoreCore
public import Foundation
import NIOCore

/// The bytes of a job's output, in order: ``CaptionerClient/output(of:)``.
public struct JobOutput: AsyncSequence, Sendable {
    let client: CaptionerClient
    let jobID: String

    public func makeAsyncIterator() -> Iterator {
        Iterator(client: client, jobID: jobID)
    }

    public struct Iterator: AsyncIteratorProtocol {
        let client: CaptionerClient
        let jobID: String
        private var body: HTTPClientResponse.Body.AsyncIterator?

        init(client: CaptionerClient, jobID: String) {
            self.client = client
            self.jobID = jobID
        }

        public mutating func next() async throws -> Data? {
            do {
                if body == nil {
                    let call = Call.get("v1", "jobs", try CaptionerClient.checked(jobID, field: "job"), "output")
                    body = try await client.send(call) { $0.body }.makeAsyncIterator()
                }
                return try await body?.next().map { Data($0.readableBytesView) }
            } catch {
                throw CaptionerError.wrapping(error, url: client.url)
            }
        }
    }
}
