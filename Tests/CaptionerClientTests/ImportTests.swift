import DatastoreCore
import Foundation
import NIOCore
import NIOHTTP1
import Synchronization
import TestSupport
import Testing

@testable import CaptionerClient

/// Uploads, and the jobs that they start.
struct ImportTests {
    /// Runs `body` with a folder that is gone afterwards.
    private func withFolder(_ body: (URL) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "capstan-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        do {
            try await body(folder)
        } catch {
            try FileManager.default.removeItem(at: folder)
            throw error
        }
        try FileManager.default.removeItem(at: folder)
    }

    @Test func rowsGoAsTheyAre() async throws {
        try await withFolder { folder in
            let file = folder.appending(path: "rows.ndjson.gz")
            let bytes = Data((0..<(3 * UploadBody.Chunks.chunkBytes + 7)).map { UInt8(truncatingIfNeeded: $0 / 7) })
            try bytes.write(to: file)
            try await FakeDaemon.with(.answer(202, json: JobInfo.example(.queued))) { client, daemon in
                let steps = Mutex<[UploadProgress]>([])
                let job = try await client.importRows(
                    file: file, into: "coco", options: ImportOptions(build: false, strict: true),
                    progress: { step in steps.withLock { $0.append(step) } })
                #expect(job.state == .queued)
                let request = try #require(daemon.requests.first)
                #expect(request.head.uri == "/v1/datastores/coco/imports?build=false&strict=true")
                #expect(request.head.headers["Content-Type"] == ["application/octet-stream"])
                #expect(request.head.headers["Content-Length"] == [String(bytes.count)])
                #expect(Data(request.body.readableBytesView) == bytes)
                let sent = steps.withLock { $0.map(\.bytesSent) }
                #expect(sent == sent.sorted())
                #expect(sent.count == 4)
                #expect(sent.last == Int64(bytes.count))
            }
        }
    }

    @Test func rowsAndVectorsGoAsTwoParts() async throws {
        try await withFolder { folder in
            let rows = folder.appending(path: "a \"b\".ndjson")
            let vectors = folder.appending(path: "v.npy")
            try Data("{}\n".utf8).write(to: rows)
            try Data([0, 13, 10, 255]).write(to: vectors)
            try await FakeDaemon.with(.answer(202, json: JobInfo.example(.queued))) { client, daemon in
                _ = try await client.importRows(file: rows, vectors: vectors, into: "coco")
                let request = try #require(daemon.requests.first)
                let type = try #require(request.head.headers["Content-Type"].first)
                let boundary = try #require(type.split(separator: "boundary=").last)
                let start =
                    "--\(boundary)\r\n"
                    + "Content-Disposition: form-data; name=\"rows\"; filename=\"a %22b%22.ndjson\"\r\n"
                    + "Content-Type: application/octet-stream\r\n\r\n{}\n\r\n--\(boundary)\r\n"
                    + "Content-Disposition: form-data; name=\"vectors\"; filename=\"v.npy\"\r\n"
                    + "Content-Type: application/octet-stream\r\n\r\n"
                let expected = Data(start.utf8) + [0, 13, 10, 255] + Data("\r\n--\(boundary)--\r\n".utf8)
                #expect(type.hasPrefix("multipart/form-data; boundary="))
                #expect(Data(request.body.readableBytesView) == expected)
                #expect(request.head.headers["Content-Length"] == [String(expected.count)])
            }
        }
    }

    @Test func vectorsOfEachKeyGoAsPartsOfTheirOwn() async throws {
        try await withFolder { folder in
            let files = Dictionary(
                uniqueKeysWithValues: ["rows", "text", "image", "a.b"].map { ($0, folder.appending(path: $0)) })
            for (name, file) in files { try Data(name.utf8).write(to: file) }
            let rows = try #require(files["rows"])
            try await FakeDaemon.with(
                .answer(202, json: JobInfo.example(.queued)), .answer(202, json: JobInfo.example(.queued))
            ) { client, daemon in
                let others = files.filter { $0.key != "rows" && $0.key != "text" }
                let options = ImportOptions(pool: .mean)
                _ = try await client.importRows(
                    file: rows, vectors: files["text"], keyVectors: others, into: "coco", options: options)
                _ = try await client.importRows(file: rows, keyVectors: others, into: "coco")
                let bodies = daemon.requests.map { String(buffer: $0.body) }
                let header = /; name="([^"]*)"; filename="([^"]*)"/
                let parts = bodies.map { $0.matches(of: header).map { [String($0.1), String($0.2)] } }
                let named = [["vectors.a.b", "a.b"], ["vectors.image", "image"]]
                #expect(parts.first == [["rows", "rows"], ["vectors", "text"]] + named)
                #expect(parts.last == [["rows", "rows"]] + named)
                #expect(daemon.requests.first?.head.uri.hasSuffix("?build=true&strict=false&pool=mean") == true)
            }
        }
    }

    @Test func namesOfKeysAreCheckedBeforeAnythingIsSent() async throws {
        try await withFolder { folder in
            let file = folder.appending(path: "rows")
            try Data().write(to: file)
            try await FakeDaemon.with { client, daemon in
                for name in ["", "a/b", "a\"b", "a\r\nb"] {
                    await #expect(throws: CaptionerError.self) {
                        try await client.importRows(file: file, keyVectors: [name: file], into: "coco")
                    }
                }
                #expect(daemon.requests.isEmpty)
            }
        }
    }

    @Test func emptyFileIsSent() async throws {
        try await withFolder { folder in
            let file = folder.appending(path: "empty")
            try Data().write(to: file)
            try await FakeDaemon.with(.answer(202, json: JobInfo.example(.queued))) { client, daemon in
                _ = try await client.importRows(file: file, into: "coco")
                #expect(daemon.requests.first?.head.headers["Content-Length"] == ["0"])
            }
        }
    }

    @Test func fileThatCannotBeReadIsSaidBeforeAnythingIsSent() async throws {
        try await withFolder { folder in
            try await FakeDaemon.with { client, daemon in
                for file in [folder, folder.appending(path: "missing")] {
                    let error = await #expect(throws: CaptionerError.self) {
                        try await client.importRows(file: file, into: "coco")
                    }
                    #expect(error?.kind == .unreadableFile)
                }
                #expect(daemon.requests.isEmpty)
            }
        }
    }

    @Test func fileThatShrinksIsNotSentAsWhole() async throws {
        try await withFolder { folder in
            let file = folder.appending(path: "rows")
            try Data("12345".utf8).write(to: file)
            let chunks = UploadBody.Chunks(segments: [.file(file, length: 6)], totalBytes: 6, progress: nil)
            let error = await #expect(throws: CaptionerError.self) { for try await _ in chunks {} }
            #expect(error?.kind == .unreadableFile)
        }
    }

    @Test func waitingEndsWithTheJob() async throws {
        let states = [JobInfo.example(.running, seen: 1), .example(.running, seen: 1), .example(.failed, seen: 5)]
        // The daemon stops after the second event, and is back.
        let streams = try [states[..<2], states[1...]].map { states in
            try states.map { "event: job\ndata: \(String(decoding: try WireJSON.encode($0), as: UTF8.self))\n\n" }
        }
        try await FakeDaemon.with(
            .answer(200, ":\n\n" + streams[0].joined()), .answer(json: states[1]),
            .answer(200, streams[1].joined(separator: ":\n\n"))
        ) { client, daemon in
            let updates = Mutex<[JobInfo]>([])
            let job = try await client.waitForJob("j1") { job in updates.withLock { $0.append(job) } }
            #expect(job == states[2])
            #expect(updates.withLock { $0 } == [states[0], states[1], states[1], states[2]])
            #expect(daemon.requests.map(\.head.uri) == ["/v1/jobs/j1/events", "/v1/jobs/j1", "/v1/jobs/j1/events"])
        }
    }

    @Test func uploadThatBreaksOffIsSentAgainUnderTheSameKey() async throws {
        try await withFolder { folder in
            let file = folder.appending(path: "rows")
            try Data("a dog\n".utf8).write(to: file)
            try await FakeDaemon.with(.close, .answer(202, json: JobInfo.example(.queued))) { client, daemon in
                _ = try await client.importRows(file: file, into: "coco")
                let keys = daemon.requests.map { $0.head.headers["Idempotency-Key"] }
                #expect(keys.count == 2)
                #expect(keys[0].count == 1)
                #expect(keys[0] == keys[1])
                #expect(daemon.requests.map { String(buffer: $0.body) } == ["a dog\n", "a dog\n"])
            }
        }
    }

    @Test func optionsGoAsTheyAreGiven() async throws {
        try await withFolder { folder in
            let file = folder.appending(path: "rows")
            try Data("a dog\n".utf8).write(to: file)
            let options = ImportOptions(
                dryRun: true, format: .karpathy, splits: ["train", "val"], captionText: .tokens,
                columns: ["text": "a b", "id": "1"], header: false, origin: .web, lang: "en", source: "s&t",
                filters: ImportFilters(
                    maxWords: 25, maxTokens: 26, minLetters: 2, languages: ["en", "de"], dropDuplicates: true))
            try await FakeDaemon.with(.answer(202, json: JobInfo.example(.queued))) { client, daemon in
                _ = try await client.importRows(file: file, into: "coco", options: options, idempotencyKey: "k1")
                #expect(daemon.requests.first?.head.headers["Idempotency-Key"] == ["k1"])
                #expect(
                    daemon.requests.first?.head.uri
                        == "/v1/datastores/coco/imports?build=true&strict=false&dry_run=true"
                        + "&format=karpathy&splits=train&splits=val&caption_text=tokens&columns=id%3A1&columns=text%3Aa%20b"
                        + "&header=false&origin=web&lang=en&source=s%26t&max_words=25&max_tokens=26&min_letters=2"
                        + "&languages=en&languages=de&drop_duplicates=true")
            }
        }
    }

    @Test func cancellingIsSentOnce() async throws {
        try await FakeDaemon.with(.answer(202, json: JobInfo.example(.cancelled))) { client, daemon in
            let job = try await client.cancelJob("j1")
            #expect(job.state == .cancelled)
            #expect(daemon.requests.map(\.head.method) == [.DELETE])
            #expect(daemon.requests.map(\.head.uri) == ["/v1/jobs/j1"])
        }
    }

    @Test(arguments: ["\n", "\n\n", ""])
    func rejectsAreReadLineByLine(end: String) async throws {
        let rows = (1...2000).map {
            RejectedRow(row: $0, line: $0, byte: 20 * $0, code: .missingText, detail: "no text", excerpt: "{\"é\": 1}")
        }
        let lines = try rows.map { String(decoding: try WireJSON.encode($0), as: UTF8.self) }
        try await FakeDaemon.with(.answer(200, lines.joined(separator: "\n") + end)) { client, daemon in
            var read: [RejectedRow] = []
            for try await row in client.rejects(of: "j1") { read.append(row) }
            #expect(read == rows)
            #expect(daemon.requests.map(\.head.uri) == ["/v1/jobs/j1/rejects"])
        }
    }

    @Test func rejectsOfNoJobAreRefused() async throws {
        try await FakeDaemon.with(.answer(404, json: Problem.example(404, "unknown_job"))) { client, _ in
            let error = await #expect(throws: CaptionerError.self) {
                for try await _ in client.rejects(of: "j1") {}
            }
            #expect(error?.code == .unknownJob)
        }
    }
}
