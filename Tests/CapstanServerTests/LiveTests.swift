import CapstanServer
import DatastoreCore
import Foundation
import HummingbirdTesting
import TestSupport
import Testing

/// What only a real socket shows: limits while the body is still coming, chunks, connections that break off.
struct LiveTests {
    private static let small = ServerConfiguration(bodyLimit: 4096, uploadLimit: 64 * 1024)

    private struct Reply {
        let head: String
        let problem: Problem?
        var status: String { String(head.split(separator: " ").dropFirst().first ?? "") }

        init(_ answer: (head: String, body: Data)) {
            head = answer.head
            problem = try? WireJSON.decode(Problem.self, from: answer.body)
        }
    }

    @Test(arguments: [
        "/v1/domains/street/query", "/v1/domains/street/query/batch", "/v1/domains/street/rollback", "/v1/datastores",
    ])
    func aBodyOverTheLimitIsRefusedWithContentLength(_ path: String) async throws {
        try await TestServer.run(.live, configuration: Self.small) { server in
            try await server.load("tiny")
            try await server.bind("street", to: "tiny")
            let before = try await server.state()
            let answer = try await server.post(path, .json(String(repeating: " ", count: 4097)))
            try answer.expectProblem(413, .bodyTooLarge, saying: ["4096 bytes"])
            #expect(try await server.state() == before)
        }
    }

    @Test func aBodyOfExactlyTheLimitIsRead() async throws {
        try await TestServer.run(.live, configuration: Self.small) { server in
            try await server.load("tiny")
            try await server.bind("street", to: "tiny")
            let question = #"{"query": {"vector": [1, 0, 0, 0]}}"#
            let padded = question + String(repeating: " ", count: 4096 - question.utf8.count)
            #expect(try await server.post("/v1/domains/street/query", .json(padded)).status == 200)
        }
    }

    @Test(arguments: ["application/json", "application/octet-stream"])
    func aBodyOverTheLimitIsRefusedInChunks(_ type: String) async throws {
        try await TestServer.run(.live, configuration: Self.small) { server in
            try await server.load("tiny")
            try await server.bind("street", to: "tiny")
            let before = try await server.state()
            let reply = try await RawConnection.with(port: server.port) { connection in
                connection.send(
                    "POST /v1/domains/street/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: \(type)\r\n"
                        + "Transfer-Encoding: chunked\r\n\r\n")
                for _ in 0..<10 { connection.send("400\r\n\(String(repeating: " ", count: 1024))\r\n") }
                connection.send("0\r\n\r\n")
                return Reply(try connection.readAnswer())
            }
            #expect(reply.status == "413", "\(reply.head)")
            #expect(reply.problem?.code == "body_too_large")
            #expect(reply.problem?.requestID != nil)
            #expect(try await server.state() == before)
        }
    }

    @Test func aBodyFarOverTheLimitIsRefusedBeforeItHasAllCome() async throws {
        try await TestServer.run(.live, configuration: Self.small) { server in
            let reply = try await RawConnection.with(port: server.port) { connection in
                connection.send(
                    "POST /v1/datastores HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        + "Content-Length: 10000000\r\n\r\n")
                connection.send(String(repeating: " ", count: 100_000))
                return Reply(try connection.readAnswer())
            }
            #expect(reply.status == "413", "\(reply.head)")
        }
    }

    @Test func sixteenMebibytesAreTheLimitWhenNothingElseIsSaid() async throws {
        #expect(ServerConfiguration().bodyLimit == 16 << 20)
        try await TestServer.run(.live) { server in
            let body = Body.json(String(repeating: " ", count: 16 << 20 + 1))
            try await server.post("/v1/datastores", body).expectProblem(413, .bodyTooLarge, saying: ["16777216"])
            // The connection is still good.
            #expect(try await server.get("/livez").status == 200)
        }
    }

    @Test func aQuestionInChunksIsAnswered() async throws {
        try await TestServer.run(.live) { server in
            try await server.load("tiny")
            try await server.bind("street", to: "tiny")
            let answer = try await RawConnection.with(port: server.port) { connection in
                connection.send(
                    "POST /v1/domains/street/query HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        + "Transfer-Encoding: chunked\r\n\r\n")
                for byte in #"{"query": {"vector": [0, 1, 0, 0]}, "k": 1}"# { connection.send("1\r\n\(byte)\r\n") }
                connection.send("0\r\n\r\n")
                return try connection.readAnswer()
            }
            let results = try WireJSON.decode(QueryAnswer.self, from: answer.body).results
            #expect(results.map(\.externalID) == ["c"])
        }
    }

    /// How an upload breaks off.
    enum Break: String, CaseIterable, Sendable {
        case close, reset, endOfSending
    }

    private static let types = [
        "application/x-ndjson": Data((Rows.four.joined(separator: "\n") + "\n").utf8),
        "multipart/form-data; boundary=xyz": Multipart.encode([
            ("rows", Data((Rows.four.joined(separator: "\n") + "\n").utf8))
        ]).dropLast(20),
    ]

    @Test(arguments: types.keys.sorted(), Break.allCases)
    func anUploadThatBreaksOffLeavesNothing(_ type: String, _ how: Break) async throws {
        let body = try #require(Self.types[type])
        for transfer in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
            try await TestServer.run(.live) { server in
                try await server.create("new")
                let before = try await server.state()
                try await RawConnection.with(port: server.port) { connection in
                    connection.send(
                        "POST /v1/datastores/new/imports HTTP/1.1\r\nHost: localhost\r\nContent-Type: \(type)\r\n"
                            + "\(transfer)\r\n\r\n")
                    if transfer.hasPrefix("Transfer") {
                        connection.send("\(String(body.count, radix: 16))\r\n")
                        connection.send(body)
                        connection.send("\r\n")
                    } else {
                        connection.send(body)
                    }
                    // The server is to have the rows before the connection goes.
                    Thread.sleep(forTimeInterval: 0.1)
                    switch how {
                    case .close: break
                    case .reset: connection.reset()
                    case .endOfSending:
                        connection.endSending()
                        _ = try? connection.readAnswer()
                    }
                }
                let deadline = ContinuousClock.now + .seconds(5)
                while try await server.state() != before, ContinuousClock.now < deadline {
                    try await Task.sleep(for: .milliseconds(10))
                }
                #expect(try await server.state() == before, "\(transfer)")
            }
        }
    }

    @Test func anUploadThatStopsIsToldSoWhereTheClientStillListens() async throws {
        try await TestServer.run(.live) { server in
            try await server.create("new")
            let reply = try await RawConnection.with(port: server.port) { connection in
                connection.send(
                    "POST /v1/datastores/new/imports HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
                        + "Content-Length: 1000\r\n\r\n0123456789")
                connection.endSending()
                return Reply(try connection.readAnswer())
            }
            #expect(reply.status == "400", "\(reply.head)")
            #expect(reply.problem?.code == "upload_incomplete")
            #expect(reply.problem?.detail == "the upload broke off after 10 bytes; nothing of it was kept")
        }
    }

    @Test func aSampleIsImportedAndAnswersOverASocket() async throws {
        try await TestServer.run(.live) { server in
            try await server.load(sample: "everyday-photos")
            try await server.bind("camera", to: "everyday-photos")
            let folder = TestData.samples.appending(path: "everyday-photos")
            let rows = try Vectors(npy: folder.appending(path: "captions.f16.npy"))
            let questions = try Vectors(npy: folder.appending(path: "questions.f16.npy"))
            let expected = bruteForce(rows, questions, k: 5)
            for row in stride(from: 0, to: questions.count, by: 10) {
                let answer = try await server.post("/v1/domains/camera/query?k=5", .floats(questions[row]))
                    .decode(QueryAnswer.self)
                #expect(answer.results.map(\.id) == expected[row].map { Int64($0.row + 1) })
                #expect(answer.shortfall == nil)
                #expect(answer.results.allSatisfy { $0.datastore == "everyday-photos" && $0.version == 1 })
            }
        }
    }

    @Test(arguments: ["evil.example", "evil.example:7411", "localhost.evil.example", "192.168.0.1"])
    func aRequestUnderANameOfAnotherMachineIsRefused(_ host: String) async throws {
        try await TestServer.run(.live) { server in
            let reply = try await RawConnection.with(port: server.port) { connection in
                connection.send("GET /v1/datastores HTTP/1.1\r\nHost: \(host)\r\n\r\n")
                return Reply(try connection.readAnswer())
            }
            #expect(reply.status == "403", "\(reply.head)")
            #expect(reply.problem?.code == "foreign_request")
        }
    }

    @Test(arguments: ["localhost:7411", "127.0.0.1", "[::1]:80", "LOCALHOST"])
    func aRequestUnderANameOfThisMachineIsAnswered(_ host: String) async throws {
        try await TestServer.run(.live) { server in
            let reply = try await RawConnection.with(port: server.port) { connection in
                connection.send("GET /v1/datastores HTTP/1.1\r\nHost: \(host)\r\n\r\n")
                return Reply(try connection.readAnswer())
            }
            #expect(reply.status == "200", "\(reply.head)")
        }
    }

    @Test func aRequestThatIsNoHTTPIsRefused() async throws {
        try await TestServer.run(.live) { server in
            let reply = try await RawConnection.with(port: server.port) { connection in
                connection.send("GET /livez HTTP/9.9\r\nnonsense\r\n\r\n")
                return Reply(try connection.readAnswer())
            }
            #expect(reply.status == "400")
            #expect(try await server.get("/livez").status == 200)
        }
    }
}
