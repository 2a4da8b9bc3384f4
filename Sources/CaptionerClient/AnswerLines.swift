import AsyncHTTPClient
import DatastoreCore
import Foundation
import NIOCore

/// The lines of an answer, read as they come. The call is sent when the first is asked for.
struct AnswerLines {
    let client: CaptionerClient
    let call: Call
    private var body: HTTPClientResponse.Body.AsyncIterator?
    private var buffer = ByteBuffer()
    private var atEnd = false

    init(client: CaptionerClient, call: Call) {
        self.client = client
        self.call = call
    }

    /// The next line without its end, nil after the last.
    mutating func next() async throws -> ByteBuffer? {
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
