import CaptionerClient
import DatastoreCore
import Foundation
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

/// Scores, entries, vocabularies, filters and dumps: what goes out, and what comes of the answer.
struct ChangeTests {
    @Test func scoresAreAsked() async throws {
        let answer = try ScoreAnswer(cosines: [0.1, 0.3], texts: ["a cat", "a dog"], temperature: 0.01)
        try await FakeDaemon.with(.close, .answer(json: answer)) { client, daemon in
            let request = ScoreRequest(
                query: .vector([1, 2]), domain: "street", candidates: .texts(["a cat", "a dog"]), temperature: 0.5)
            let got = try await client.score(request)
            #expect(got == answer)
            #expect(daemon.requests.map(\.head.uri) == ["/v1/score", "/v1/score"])
            #expect(
                daemon.requests.last?.text
                    == #"{"domain":"street","query":{"vector":[1,2]},"temperature":0.5,"texts":["a cat","a dog"]}"#)
        }
    }

    @Test func entriesGoAsTheyAre() async throws {
        var counts = JobCounts()
        counts.seen = 1
        counts.accepted = 1
        let changes = EntryChanges(
            entries: [EntryChange(outcome: .accepted, id: 7, externalID: "a")], counts: counts, pendingChanges: 3)
        try await FakeDaemon.with(.answer(json: changes), .answer(json: changes), .close) { client, daemon in
            let rows = Data("{\"text\": \"é\"}\r\n\n{}".utf8)
            let got = try await client.addEntries(ndjson: rows, to: "coco")
            #expect(got == changes)
            _ = try await client.addEntry(json: Data("{\n}".utf8), to: "coco")
            #expect(daemon.requests.map(\.head.uri) == ["/v1/datastores/coco/entries", "/v1/datastores/coco/entries"])
            #expect(
                daemon.requests.map { $0.head.headers["Content-Type"] } == [
                    ["application/x-ndjson"], ["application/json"],
                ])
            #expect(Data(daemon.requests[0].body.readableBytesView) == rows)
            // A change that may have been made is not made again.
            await #expect(throws: CaptionerError.self) { try await client.addEntries(ndjson: rows, to: "coco") }
            #expect(daemon.requests.count == 3)
        }
    }

    @Test func aVocabularyIsPut() async throws {
        try await FakeDaemon.with(.answer(204)) { client, daemon in
            try await client.setVocabulary(Data("dog\ncat\n".utf8), ofKey: "lexical", of: "shop")
            let request = try #require(daemon.requests.first)
            #expect(request.head.method == .PUT)
            #expect(request.head.uri == "/v1/datastores/shop/keys/lexical/vocabulary")
            #expect(request.head.headers["Content-Type"] == ["text/plain"])
            #expect(request.text == "dog\ncat\n")
            let error = await #expect(throws: CaptionerError.self) {
                try await client.setVocabulary(Data(), ofKey: "../x", of: "shop")
            }
            #expect(error?.code == .invalidName)
        }
    }

    @Test func aFilterIsAJob() async throws {
        try await FakeDaemon.with(.answer(202, json: JobInfo.example(.queued))) { client, daemon in
            let request = FilterRequest(
                score: .keys("image", "text"), threshold: 0.25, thresholds: ["web": 0.5], unscored: .drop, dryRun: true)
            let job = try await client.startFilter(request, of: "web")
            #expect(job.state == .queued)
            let sent = try #require(daemon.requests.first)
            #expect(sent.head.method == .POST)
            #expect(sent.head.uri == "/v1/datastores/web/filters")
            #expect(try WireJSON.decode(FilterRequest.self, from: Data(sent.text.utf8)) == request)
        }
    }

    @Test func aDumpGoesInThreeParts() async throws {
        let folder = try TemporaryDirectory()
        let queries = try folder.write("images.npy", Data([0, 13, 10, 255]))
        let ids = try folder.write("ids.json", Data("[1, \"2\"]".utf8))
        try await FakeDaemon.with(.answer(202, json: JobInfo.example(.queued))) { client, daemon in
            _ = try await client.startDump(
                queries: queries, ids: ids, of: "street", options: DumpOptions(k: 7, excludeOwnImage: false))
            let request = try #require(daemon.requests.first)
            let type = try #require(request.head.headers["Content-Type"].first)
            let boundary = try #require(type.split(separator: "boundary=").last)
            let start =
                "--\(boundary)\r\nContent-Disposition: form-data; name=\"options\"\r\n"
                + "Content-Type: application/json\r\n\r\n{\"exclude_own_image\":false,\"k\":7}\r\n--\(boundary)\r\n"
                + "Content-Disposition: form-data; name=\"ids\"; filename=\"ids.json\"\r\n"
                + "Content-Type: application/octet-stream\r\n\r\n[1, \"2\"]\r\n--\(boundary)\r\n"
                + "Content-Disposition: form-data; name=\"queries\"; filename=\"images.npy\"\r\n"
                + "Content-Type: application/octet-stream\r\n\r\n"
            let expected = Data(start.utf8) + [0, 13, 10, 255] + Data("\r\n--\(boundary)--\r\n".utf8)
            #expect(request.head.uri == "/v1/domains/street/dumps")
            #expect(Data(request.body.readableBytesView) == expected)
            #expect(request.head.headers["Content-Length"] == [String(expected.count)])
        }
    }

    @Test func numbersThatNoJSONCarriesAreNotDumped() async throws {
        let folder = try TemporaryDirectory()
        let file = try folder.write("file", Data())
        try await FakeDaemon.with { client, daemon in
            let error = await #expect(throws: CaptionerError.self) {
                try await client.startDump(queries: file, ids: file, of: "street", options: DumpOptions(minScore: .nan))
            }
            #expect(error?.code == .invalidValue)
            #expect(daemon.requests.isEmpty)
        }
    }

    @Test func outputComesAsItIs() async throws {
        let text = String(repeating: "{\"é\": [\"\\n\"]}\r\n", count: 50_000)
        try await FakeDaemon.with(.answer(200, text)) { client, daemon in
            var output = Data()
            for try await bytes in client.output(of: "j1") { output += bytes }
            #expect(output == Data(text.utf8))
            #expect(daemon.requests.map(\.head.uri) == ["/v1/jobs/j1/output"])
        }
        try await FakeDaemon.with(.answer(404, json: Problem.example(404, "no_output"))) { client, _ in
            let error = await #expect(throws: CaptionerError.self) {
                for try await _ in client.output(of: "j1") {}
            }
            #expect(error?.code == .noOutput)
        }
    }
}
