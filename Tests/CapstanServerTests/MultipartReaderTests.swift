import DatastoreCore
import Foundation
import Hummingbird
import NIOCore
import Testing

@testable import CapstanServer

/// The reader under every way a body can be cut into chunks.
struct MultipartReaderTests {
    private struct Part: Equatable {
        let name: String
        let data: Data
    }

    /// Reads all parts of a body that arrives in these chunks.
    private func read(_ chunks: [Data], boundary: String = "xyz") async throws -> [Part] {
        let stream = AsyncStream<ByteBuffer> { continuation in
            for chunk in chunks { continuation.yield(ByteBuffer(bytes: chunk)) }
            continuation.finish()
        }
        var reader = try MultipartReader(
            LimitedBody(RequestBody(asyncSequence: stream), limit: 1 << 20),
            contentType: "multipart/form-data; boundary=\(boundary)")
        var parts: [Part] = []
        while let name = try await reader.nextPart() {
            var data = Data()
            while let chunk = try await reader.nextChunk() { data += Data(chunk.readableBytesView) }
            parts.append(Part(name: name, data: data))
        }
        return parts
    }

    /// Parts that try to be taken for what they are not: line breaks at their ends, beginnings of the boundary.
    private static let parts = [
        Part(name: "rows", data: Data("first\r\n--xy\r\n--xzy\r\n-\r\n".utf8)),
        Part(name: "empty", data: Data()),
        Part(name: "vectors", data: Data([0x93, 0, 13, 10, 45, 45, 120, 121, 255, 13, 13, 10, 45])),
        Part(name: "last", data: Data("\r\n\r\n--\r\n".utf8)),
    ]
    private static let body =
        Data("a preamble\r\nof two lines\r\n".utf8)
        + Multipart.encode(parts.map { ($0.name, $0.data) }) + Data("an epilogue\r\n--xyz\r\n\r\n--xyz--".utf8)

    @Test func aBodyInOnePieceIsReadPartByPart() async throws {
        #expect(try await read([Self.body]) == Self.parts)
    }

    @Test(arguments: 1...20)
    func aBodyInSmallChunksIsReadTheSame(_ size: Int) async throws {
        let chunks = stride(from: 0, to: Self.body.count, by: size).map {
            Data(Self.body[$0..<min($0 + size, Self.body.count)])
        }
        #expect(try await read(chunks) == Self.parts)
    }

    @Test func aBodyCutAtAnyOneByteIsReadTheSame() async throws {
        for cut in 0...Self.body.count {
            let parts = try await read([Data(Self.body[..<cut]), Data(), Data(Self.body[cut...])])
            #expect(parts == Self.parts, "cut at \(cut)")
        }
    }

    @Test func aBodyThatStopsAnywhereBeforeItsLastBoundaryIsIncomplete() async throws {
        let body = Multipart.encode([("rows", Data("one\r\ntwo".utf8)), ("vectors", Data("three".utf8))])
        // The line break after the last boundary may be missing.
        for length in 0..<body.count - 2 {
            let error = await #expect(throws: DatastoreError.self, "cut at \(length)") {
                try await read([Data(body[..<length])])
            }
            #expect(error?.code == .uploadIncomplete, "cut at \(length): \(String(describing: error))")
        }
        #expect(try await read([Data(body.dropLast(2))]).count == 2)
    }

    @Test func partsThatAreNotReadAreSkipped() async throws {
        let stream = AsyncStream<ByteBuffer> { continuation in
            continuation.yield(ByteBuffer(bytes: Self.body))
            continuation.finish()
        }
        var reader = try MultipartReader(
            LimitedBody(RequestBody(asyncSequence: stream), limit: 1 << 20),
            contentType: "multipart/form-data; boundary=xyz")
        var names: [String] = []
        while let name = try await reader.nextPart() { names.append(name) }
        #expect(names == Self.parts.map(\.name))
    }

    @Test(arguments: [
        #"Content-Disposition: form-data; name="rows""#, #"content-disposition:form-data;name="rows""#,
        "Content-Disposition: form-data; name=rows",
        #"CONTENT-DISPOSITION: form-data; NAME="rows"; filename="a;b.txt""#,
        "Content-Type: text/plain\r\nContent-Disposition: form-data; filename=\"name\"; name=\"rows\"\r\nX-Other: 1",
    ])
    func headersAreReadInEveryFormThatClientsWrite(_ headers: String) async throws {
        let body = Data("--xyz\r\n\(headers)\r\n\r\ndata\r\n--xyz--\r\n".utf8)
        #expect(try await read([body]) == [Part(name: "rows", data: Data("data".utf8))])
    }

    @Test func namesWithinAFileNameAreNotTaken() async throws {
        let body = Data(
            "--xyz\r\nContent-Disposition: form-data; filename=\"a; name=vectors\"; name=\"rows\"\r\n\r\n\r\n--xyz--"
                .utf8)
        #expect(try await read([body]).map(\.name) == ["rows"])
    }

    @Test func aBodyWhoseRequestIsCancelledIsNotTakenForWhole() async throws {
        let (stream, continuation) = AsyncStream.makeStream(of: ByteBuffer.self)
        continuation.yield(ByteBuffer(string: "first"))
        let reading = Task {
            var body = LimitedBody(RequestBody(asyncSequence: stream), limit: 100)
            while try await body.next() != nil {}
        }
        try await Task.sleep(for: .milliseconds(50))
        reading.cancel()
        let error = await #expect(throws: DatastoreError.self) { try await reading.value }
        #expect(error?.code == .uploadIncomplete)
        continuation.finish()
    }

    @Test func aBodyOfManyPiecesIsReadInTimeThatGrowsWithItsLength() async throws {
        let data = Data(repeating: 13, count: 200_000)
        let body = Multipart.encode([("rows", data)])
        let chunks = stride(from: 0, to: body.count, by: 1000).map { Data(body[$0..<min($0 + 1000, body.count)]) }
        let start = ContinuousClock.now
        #expect(try await read(chunks) == [Part(name: "rows", data: data)])
        #expect(ContinuousClock.now - start < .seconds(5))
    }
}
