public import DatastoreCore
import Foundation
import NIOCore

/// A job each time it has moved on, until it has ended: ``CaptionerClient/events(of:)``.
///
/// It also ends when the daemon stops; the job goes on when the daemon is back.
public struct JobEvents: AsyncSequence, Sendable {
    let client: CaptionerClient
    let jobID: String

    public func makeAsyncIterator() -> Iterator {
        Iterator(client: client, jobID: jobID)
    }

    public struct Iterator: AsyncIteratorProtocol {
        let client: CaptionerClient
        let jobID: String
        private var lines: AnswerLines?
        private static let field = Array("data: ".utf8)

        init(client: CaptionerClient, jobID: String) {
            self.client = client
            self.jobID = jobID
        }

        public mutating func next() async throws -> JobInfo? {
            if lines == nil {
                let call = Call.get("v1", "jobs", try CaptionerClient.checked(jobID, field: "job"), "events")
                lines = AnswerLines(client: client, call: call)
            }
            // Each event is one line of data; the others name the event or keep the connection alive.
            while var line = try await lines?.next() {
                guard line.readableBytesView.starts(with: Self.field) else { continue }
                line.moveReaderIndex(forwardBy: Self.field.count)
                return try CaptionerClient.decode(JobInfo.self, line: line)
            }
            return nil
        }
    }
}
