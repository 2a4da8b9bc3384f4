import CapstanServer
import DatastoreCore
import Foundation
import HTTPTypes
import TestSupport
import Testing

/// Health, and what a start looks like from outside.
struct ServiceTests {
    @Test func whileItLoadsItSaysSoAndAnswersNothingElse() async throws {
        try await TestServer.run(isLoading: true) { server in
            #expect(try await server.get("/livez").status == 200)
            let readiness = try await server.get("/readyz")
            #expect(readiness.status == 503)
            #expect(try readiness.decode(Readiness.self).status == .loading)
            let status = try await server.get("/v1/status")
            #expect(status.status == 200)
            #expect(try status.decode(ServiceStatus.self).readiness.status == .loading)
            #expect(try await server.get("/openapi.yaml").status == 200)

            let question = Body.json(#"{"query": {"vector": [1, 0, 0, 0]}}"#)
            for answer in [
                try await server.post("/v1/domains/street/query", question),
                try await server.post("/v1/domains/street/query", .floats([1])),
                try await server.post("/v1/domains/street/query/batch", .json("not even JSON")),
                try await server.get("/v1/domains"), try await server.get("/v1/domains/street"),
                try await server.put("/v1/domains/street", .json("{}")),
                try await server.send(.delete, "/v1/domains/street"), try await server.get("/v1/datastores"),
                try await server.post("/v1/datastores/tiny/imports", .rows(Rows.four)),
                try await server.get("/v1/jobs"), try await server.get("/v1/jobs/x/rejects"),
            ] {
                try answer.expectProblem(503, .notReady, saying: ["loading"])
                #expect(answer.headers[.retryAfter].flatMap { Int($0) } ?? 0 > 0)
            }

            await server.finishLoading()
            let ready = try await server.get("/readyz")
            #expect(ready.status == 200)
            #expect(try ready.decode(Readiness.self).status == .ready)
            #expect(try await server.get("/livez").status == 200)
            try await server.post("/v1/domains/street/query", question).expectProblem(404, .unknownDomain)
        }
    }

    @Test func everythingIsThereAfterARestart() async throws {
        let directory = try TemporaryDirectory()
        let before = try await TestServer.run(directory: directory) { server in
            try await server.loadFixtures()
            return try await server.state()
        }
        let after = try await TestServer.run(directory: directory) { try await $0.state() }
        #expect(after == before)
    }

    @Test func statusCountsWhatIsThere() async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let status = try await server.get("/v1/status").decode(ServiceStatus.self)
            #expect(status.release == Release.version)
            #expect(status.readiness == Readiness(status: .ready, detail: "ready"))
            #expect(status.datastores == 4)
            #expect(status.domains == 1)
            #expect(status.openVersions >= 1)
            #expect(status.damagedVersions == [])
            #expect(status.pid == Int(ProcessInfo.processInfo.processIdentifier))
        }
    }

    @Test func everyRequestHasAnIDOfItsOwn() async throws {
        try await TestServer.run { server in
            var ids: Set<String> = []
            for path in ["/livez", "/readyz", "/v1/status", "/openapi.yaml", "/v1/jobs", "/nope", "/v1/jobs/x"] {
                ids.insert(try #require(try await server.get(path).requestID))
            }
            #expect(ids.count == 7)
        }
    }
}

/// A failure inside says nothing of where files lie or how the program is made.
struct LeakTests {
    private func expectNoLeak(_ text: String, _ server: TestServer, sourceLocation: SourceLocation = #_sourceLocation) {
        let words = [
            server.directory.url.path, server.dataDirectory.path, "/tmp/", "datastores/", "staging/", ".sqlite",
            "NSCocoa", "NSPOSIX", "NSError", "Error Domain", "GRDB", "SQLite", "NIO", "Hummingbird", "DatastoreCore.",
            "Swift.", "FileSystemError", "Optional(",
        ]
        for word in words {
            #expect(!text.contains(word), "\(word) in \(text)", sourceLocation: sourceLocation)
        }
    }

    @Test func anUploadThatCannotBeKeptSaysThatStorageFailed() async throws {
        try await TestServer.run { server in
            try await server.create("new")
            let staging = server.dataDirectory.appending(path: "staging")
            try FileManager.default.removeItem(at: staging)
            try Data().write(to: staging)
            for body in [Body.rows(Rows.four), .multipart([("rows", Data("x".utf8))])] {
                let answer = try await server.post("/v1/datastores/new/imports", body)
                try answer.expectProblem(500, .storageFailed, saying: ["the log of the daemon"])
                expectNoLeak(answer.text, server)
            }
        }
    }

    @Test func aVersionThatCannotBePlacedFailsTheJob() async throws {
        try await TestServer.run { server in
            try await server.create("new")
            let versions = server.dataDirectory.appending(path: "datastores/new/versions")
            try FileManager.default.removeItem(at: versions)
            try Data().write(to: versions)
            let job = try await server.importing(.rows(Rows.four), into: "new")
            #expect(job.state == .failed, "\(job)")
            #expect(job.error?.code == ErrorCode.storageFailed.rawValue)
            expectNoLeak(job.error?.detail ?? "", server)
        }
    }

    @Test func aVersionThatIsDamagedIsNotServedAndNamesItsFileOnly() async throws {
        let directory = try TemporaryDirectory()
        try await TestServer.run(directory: directory) { server in
            try await server.load("tiny")
            try await server.bind("street", to: "tiny")
        }
        let folder = directory.file("data/datastores/tiny/versions/000001")
        let file = folder.appending(path: "text.vectors")
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file.path)
        var data = try Data(contentsOf: file)
        data[data.count - 1] ^= 1
        try data.write(to: file)
        try await TestServer.run(directory: directory) { server in
            let answers = [
                try await server.post("/v1/domains/street/query", .floats([1, 0, 0, 0])),
                try await server.put("/v1/domains/other", .json(#"{"datastores": [{"name": "tiny"}]}"#)),
            ]
            for answer in answers {
                try answer.expectProblem(500, .versionDamaged, saying: ["tiny@1", "text.vectors"])
                expectNoLeak(answer.text, server)
            }
            let version = try await server.get("/v1/datastores/tiny/versions/1")
            let info = try version.decode(VersionInfo.self)
            #expect(info.state == .damaged)
            #expect(info.detail?.contains("text.vectors") == true)
            expectNoLeak(info.detail ?? "", server)
            let status = try await server.get("/v1/status").decode(ServiceStatus.self)
            #expect(status.damagedVersions == ["tiny@1"])
            #expect(try await server.get("/readyz").status == 200)
            // A batch says it once, or once for each question; never 200 with results.
            let batch = try await server.post(
                "/v1/domains/street/query/batch", .json(#"{"queries": [{"query": {"vector": [1, 0, 0, 0]}}]}"#))
            #expect(try batch.decode(QueryBatchAnswer.self).answers.map(\.error?.code) == ["version_damaged"])
            expectNoLeak(batch.text, server)
        }
    }

    @Test func aVersionWithoutItsFilesIsNotServed() async throws {
        let directory = try TemporaryDirectory()
        try await TestServer.run(directory: directory) { server in
            try await server.load("tiny")
            try await server.bind("street", to: "tiny")
        }
        try FileManager.default.removeItem(at: directory.file("data/datastores/tiny/versions/000001"))
        try await TestServer.run(directory: directory) { server in
            let answer = try await server.post("/v1/domains/street/query", .floats([1, 0, 0, 0]))
            #expect(answer.status == 500)
            expectNoLeak(answer.text, server)
            for path in ["/v1/datastores/tiny/versions/1", "/v1/datastores/tiny/versions", "/readyz"] {
                expectNoLeak(try await server.get(path).text, server)
            }
        }
    }
}
