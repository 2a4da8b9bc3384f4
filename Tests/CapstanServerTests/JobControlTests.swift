import DatastoreCore
import Foundation
import HTTPTypes
import HummingbirdTesting
import Testing

/// Jobs over HTTP: watched, cancelled, asked for twice.
struct JobControlTests {
    private static let rows = Data((Rows.four.joined(separator: "\n") + "\n").utf8)

    @Test func eventsTellTheJobUntilItsEnd() async throws {
        try await TestServer.run { server in
            try await server.create("new")
            let job = try await server.importing(.other("application/x-ndjson", Self.rows), into: "new")
            let answer = try await server.get("/v1/jobs/\(job.id)/events")
            #expect(answer.status == 200)
            #expect(answer.headers[.contentType] == "text/event-stream")
            let events = answer.text.split(separator: "\n\n")
            let last = try #require(events.last).split(separator: "\n")
            #expect(last.first == "event: job")
            let data = try #require(last.last).dropFirst("data: ".count)
            #expect(try WireJSON.decode(JobInfo.self, from: Data(data.utf8)) == job)
        }
    }

    @Test func aJobThatHasEndedIsNotCancelled() async throws {
        try await TestServer.run { server in
            try await server.create("new")
            let job = try await server.importing(.other("application/x-ndjson", Self.rows), into: "new")
            let answer = try await server.send(.delete, "/v1/jobs/\(job.id)")
            #expect(answer.status == 409)
            #expect(try answer.decode(Problem.self).code == ErrorCode.jobEnded.rawValue)
            #expect(try await server.send(.delete, "/v1/jobs/none").status == 404)
            #expect(try await server.get("/v1/jobs/none/events").status == 404)
        }
    }

    @Test func whoAskedIsKeptWithTheJob() async throws {
        try await TestServer.run { server in
            try await server.create("new")
            let answer = try await server.send(
                .post, "/v1/datastores/new/imports", .other("application/x-ndjson", Self.rows),
                headers: ["User-Agent": "curl/8 (ann)"])
            #expect(try await server.waitForJob(of: answer).submittedBy == "curl/8 (ann)")
        }
    }

    @Test func theSameUploadUnderOneKeyIsOneJob() async throws {
        try await TestServer.run { server in
            try await server.create("new")
            func upload(_ rows: Data, _ key: String, _ options: String = "") async throws -> Answer {
                try await server.send(
                    .post, "/v1/datastores/new/imports\(options)", .other("application/x-ndjson", rows),
                    headers: ["Idempotency-Key": key])
            }
            let first = try await upload(Self.rows, "k-1")
            #expect(first.status == 202)
            let job = try await server.waitForJob(of: first)
            let second = try await upload(Self.rows, "k-1")
            #expect(second.status == 202)
            #expect(try await server.waitForJob(of: second) == job)
            #expect(try await upload(Self.rows + Data("\n{}".utf8), "k-1").status == 409)
            #expect(try await upload(Self.rows, "k-1", "?build=false").status == 409)
            #expect(try await upload(Self.rows, "two words").status == 400)
            let other = try await server.waitForJob(of: upload(Self.rows, "k-2"))
            #expect(other.counts.duplicate == 4)
        }
    }

    @Test func optionsOfAnUploadReachTheJob() async throws {
        try await TestServer.run { server in
            try await server.create("new")
            let answer = try await server.send(
                .post, "/v1/datastores/new/imports?dry_run=true&max_words=1&format=ndjson&languages=en&lang=en",
                .other("text/plain", Self.rows))
            let job = try await server.waitForJob(of: answer)
            #expect(job.report?.dryRun == true)
            #expect(job.report?.format == .ndjson)
            #expect(job.rejectedByCode.keys.allSatisfy { $0 == "too_many_words" })
            for bad in [
                "max_words=0", "max_tokens=x", "format=xml", "columns=text", "columns=colour:1", "origin=robot",
                "header=perhaps", "columns=text:1&columns=text:2",
            ] {
                let refused = try await server.send(
                    .post, "/v1/datastores/new/imports?\(bad)", .other("text/plain", Self.rows))
                #expect(refused.status == 400, "\(bad)")
                #expect(try refused.decode(Problem.self).code == ErrorCode.invalidValue.rawValue, "\(bad)")
            }
        }
    }
}
