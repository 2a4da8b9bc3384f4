import AsyncHTTPClient
public import DatastoreCore
import Foundation
import NIOCore

/// The rows that an import refused, in the order of their lines: ``CaptionerClient/rejects(of:)``.
public struct RejectedRows: AsyncSequence, Sendable {
    let client: CaptionerClient
    let jobID: String

    public func makeAsyncIterator() -> Iterator {
        Iterator(client: client, jobID: jobID)
    }

    public struct Iterator: AsyncIteratorProtocol {
        let client: CaptionerClient
        let jobID: String
        private var body: HTTPClientResponse.Body.AsyncIterator?
        private var buffer = ByteBuffer()
        private var atEnd = false

        init(client: CaptionerClient, jobID: String) {
            self.client = client
            self.jobID = jobID
        }

        public mutating func next() async throws -> RejectedRow? {
            while let line = try await nextLine() {
                guard line.readableBytes > 0 else { continue }
                do {
                    return try WireJSON.decode(RejectedRow.self, from: Data(line.readableBytesView))
                } catch let error as DatastoreError {
                    throw CaptionerError(
                        invalidAnswer: "not a rejected row (\(error.detail))", status: 200, bytes: line)
                }
            }
            return nil
        }

        private mutating func nextLine() async throws -> ByteBuffer? {
            while true {
                if let newline = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
                    let line = buffer.readSlice(length: newline - buffer.readerIndex)
                    buffer.moveReaderIndex(forwardBy: 1)
                    return line
                }
                if atEnd {
                    return buffer.readableBytes > 0 ? buffer.readSlice(length: buffer.readableBytes) : nil
                }
                try await readMore()
            }
        }

        private mutating func readMore() async throws {
            do {
                if body == nil {
                    let call = Call.get("v1", "jobs", try CaptionerClient.checked(jobID, field: "job"), "rejects")
                    body = try await client.send(call) { $0.body }.makeAsyncIterator()
                }
                if var more = try await body?.next() {
                    buffer.discardReadBytes()
                    buffer.writeBuffer(&more)
                } else {
                    atEnd = true
                }
            } catch {
                throw CaptionerError.wrapping(error, url: client.url)
            }
        }
    }
}
