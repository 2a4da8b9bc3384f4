import Bundles
import DatastoreCore
import Foundation
import HTTPTypes
import TestSupport
import Testing

@testable import CapstanServer

/// Copies of everything, as the daemon hands them out.
struct BackupTests {
    @Test func aBackupListsFilesThatMakeADataDirectory() async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let answer = try await server.post("/v1/backups")
            #expect(answer.status == 201)
            let backup = try answer.decode(BackupInfo.self)
            #expect(answer.headers[.location] == "/v1/backups/\(backup.id)")
            #expect(try await server.get("/v1/backups/\(backup.id)").decode(BackupInfo.self).files == backup.files)
            let copy = try TemporaryDirectory()
            for file in backup.files {
                let content = try await server.get("/v1/backups/\(backup.id)/file?path=\(file.path)")
                #expect(content.status == 200 && content.body.count == file.bytes, "\(file.path)")
                #expect(Checksum.hex(of: content.body) == file.sha256, "\(file.path)")
                let url = copy.file("data").appending(path: file.path)
                try FileManager.default.createDirectory(
                    at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
                try content.body.write(to: url)
            }
            let state = try await server.state().filter { !$0.key.contains("jobs") && $0.key != "staging" }
            try await TestServer.run(directory: copy) { restored in
                let other = try await restored.state().filter { !$0.key.contains("jobs") && $0.key != "staging" }
                #expect(other == state)
            }
            #expect(try await server.send(.delete, "/v1/backups/\(backup.id)").status == 204)
            #expect(try server.staged() == [])
            try await server.get("/v1/backups/\(backup.id)").expectProblem(404, .unknownBackup)
        }
    }

    @Test func aFileOfABackupIsFetchedInParts() async throws {
        try await TestServer.run { server in
            try await server.load("tiny")
            let backup = try await server.post("/v1/backups").decode(BackupInfo.self)
            let path = "/v1/backups/\(backup.id)/file?path=datastores/tiny/versions/000001/text.vectors"
            let whole = try await server.get(path)
            let etag = try #require(whole.headers[.eTag])
            let part = try await server.send(.get, path, headers: ["Range": "bytes=10-", "If-Range": etag])
            #expect(part.status == 206 && part.body == whole.body.dropFirst(10))
            try await server.send(.get, path, headers: ["Range": "bytes=99999999-"])
                .expectProblem(416, .rangeNotSatisfiable)
            for wrong in ["../capstan.lock", "/etc/passwd", "nothing", ""] {
                try await server.get("/v1/backups/\(backup.id)/file?path=\(wrong)").expectProblem(404, .notFound)
            }
            try await server.get("/v1/backups/\(backup.id)/file").expectProblem(400, .missingField, field: "path")
            try await server.get("/v1/backups/none/file?path=catalog.sqlite").expectProblem(404, .unknownBackup)
        }
    }

    @Test func aVersionThatIsDeletedMeanwhileStaysInTheBackup() async throws {
        try await TestServer.run { server in
            try await server.load("tiny")
            let backup = try await server.post("/v1/backups").decode(BackupInfo.self)
            #expect(try await server.send(.delete, "/v1/datastores/tiny").status == 204)
            let file = try #require(backup.files.first { $0.path.hasSuffix("text.vectors") })
            let answer = try await server.get("/v1/backups/\(backup.id)/file?path=\(file.path)")
            #expect(Checksum.hex(of: answer.body) == file.sha256)
        }
    }

    @Test func aBackupThatNobodyFetchedGoesAtTheNextStart() async throws {
        let directory = try TemporaryDirectory()
        try await TestServer.run(directory: directory) { server in
            try await server.load("tiny")
            _ = try await server.post("/v1/backups")
            #expect(try server.staged().count == 1)
        }
        try await TestServer.run(directory: directory) { server in
            let left = try server.staged()
            #expect(left == [])
        }
    }
}
