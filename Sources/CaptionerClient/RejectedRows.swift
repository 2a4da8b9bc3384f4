public import DatastoreCore
import Foundation
import NIOCore

/// The rows that an import refused, in their order: ``CaptionerClient/rejects(of:)``.
public struct RejectedRows: AsyncSequence, Sendable {
    let client: CaptionerClient
    let jobID: String

    public func makeAsyncIterator() -> Iterator {
        Iterator(client: client, jobID: jobID)
    }

    public struct Iterator: AsyncIteratorProtocol {
        let client: CaptionerClient
        let jobID: String
        private var lines: AnswerLines?

        init(client: CaptionerClient, jobID: String) {
            self.client = client
            self.jobID = jobID
        }

        public mutating func next() async throws -> RejectedRow? {
            if lines == nil {
                let call = Call.get("v1", "jobs", try CaptionerClient.checked(jobID, field: "job"), "rejects")
                lines = AnswerLines(client: client, call: call)
            }
            while let line = try await lines?.next() {
                guard line.readableBytes > 0 else { continue }
                return try CaptionerClient.decode(RejectedRow.self, line: line)
            }
            return nil
        }
    }
}
