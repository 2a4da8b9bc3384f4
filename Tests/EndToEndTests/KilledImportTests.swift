import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// An import that is killed goes on behind its last batch, and ends as if nothing had happened.
struct KilledImportTests {
    private static let rows = 20_000
    private static let dim = 64

    private struct Files {
        let rows: URL
        let vectors: URL

        init(_ folder: TemporaryDirectory) throws {
            let all = Vectors(clustered: KilledImportTests.rows, dim: KilledImportTests.dim, seed: 5)
            vectors = try folder.write("vectors.npy", all.npy(.f32))
            // Every 97th row is refused, every 101st has an id that is given again later.
            let lines = (0..<KilledImportTests.rows).map { number in
                number % 97 == 0
                    ? #"{"id": \#(number)}"#
                    : #"{"id": \#(number % 101 == 0 ? number + 1 : number), "text": "caption \#(number)", "image_id": \#(number / 5)}"#
            }
            rows = try folder.write("rows.ndjson", Data((lines.joined(separator: "\n") + "\n").utf8))
        }
    }

    /// Size and checksum of each file of a version.
    private func files(_ client: CaptionerClient) async throws -> [VersionFile] {
        try #require(try await client.version(1, of: "store").files).sorted { $0.name < $1.name }
    }

    private func create(_ client: CaptionerClient) async throws {
        _ = try await client.createDatastore(
            CreateDatastoreRequest(
                name: "store", kind: .captions, keys: [KeySpec(name: "text", dim: Self.dim, metric: .cosine)]))
    }

    private func rejects(_ client: CaptionerClient, _ job: JobInfo) async throws -> [RejectedRow] {
        var rows: [RejectedRow] = []
        for try await row in client.rejects(of: job.id) { rows.append(row) }
        return rows
    }

    @Test func anImportKilledAtTenMomentsEndsWithExactlyTheRowsOfAnUndisturbedOne() async throws {
        let directory = try TemporaryDirectory()
        let source = try Files(directory)

        let quiet = try await Daemon(dataDirectory: directory.file("undisturbed"))
        try await create(quiet.client)
        let started = ContinuousClock.now
        let undisturbed = try await quiet.client.waitForJob(
            quiet.client.importRows(file: source.rows, vectors: source.vectors, into: "store").id)
        let duration = ContinuousClock.now - started
        #expect(undisturbed.state == .succeeded, "\(undisturbed)")
        #expect(undisturbed.resumed == 0)
        let expected = try await files(quiet.client)
        let expectedRejects = try await rejects(quiet.client, undisturbed)
        #expect(expectedRejects.count == undisturbed.counts.rejected)
        #expect(undisturbed.counts.rejected > 200)
        #expect(try await quiet.stop() == 0)

        let data = directory.file("killed")
        var random = SeededGenerator(seed: 77)
        var job: JobInfo?
        var resumed = 0
        for kill in 0..<10 {
            let doomed = try await Daemon(dataDirectory: data)
            if job == nil {
                try await create(doomed.client)
                job = try await doomed.client.importRows(file: source.rows, vectors: source.vectors, into: "store")
            }
            let nanoseconds = Double.random(in: 0...0.25, using: &random) * (duration / .nanoseconds(1))
            try await Task.sleep(for: .nanoseconds(Int(nanoseconds)))
            try await doomed.kill()
            resumed = kill
        }
        #expect(resumed == 9)
        let id = try #require(job?.id)
        let daemon = try await Daemon(dataDirectory: data)
        let done = try await daemon.client.waitForJob(id)
        #expect(done.state == .succeeded, "\(done)")
        #expect(done.counts == undisturbed.counts)
        #expect(done.rejectedByCode == undisturbed.rejectedByCode)
        #expect(done.resumed > 0)
        #expect(try await files(daemon.client) == expected)
        #expect(try await rejects(daemon.client, done) == expectedRejects)
        #expect(try await daemon.client.versions(of: "store").count == 1)
        #expect(try await daemon.client.datastore("store").pendingChanges == 0)
        #expect(try await daemon.stop() == 0)
    }
}
