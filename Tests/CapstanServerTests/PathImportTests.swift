import DatastoreCore
import Foundation
import TestSupport
import Testing

/// Imports of files that the daemon reads itself: only from below its import roots.
struct PathImportTests {
    /// A root with rows in it, and a secret beside it.
    private final class Folder: Sendable {
        let directory: TemporaryDirectory
        let root: URL
        var secret: URL { directory.file("secret.ndjson") }

        init() throws {
            directory = try TemporaryDirectory()
            root = directory.file("root")
            let inner = root.appending(path: "inner")
            try FileManager.default.createDirectory(at: inner, withIntermediateDirectories: true)
            let rows = Data(Rows.four.joined(separator: "\n").utf8)
            try rows.write(to: inner.appending(path: "rows.ndjson"))
            try rows.write(to: secret)
            try Vectors(values: [1, 0, 0, 0], dim: 4).npy().write(to: root.appending(path: "one.npy"))
            let links = [
                "out.ndjson": secret.path, "up": directory.url.path, "in.ndjson": "inner/rows.ndjson",
                "dangling": "nowhere",
            ]
            for (name, target) in links {
                try FileManager.default.createSymbolicLink(
                    atPath: root.appending(path: name).path, withDestinationPath: target)
            }
            let sibling = directory.file("root-other")
            try FileManager.default.createDirectory(at: sibling, withIntermediateDirectories: true)
            try rows.write(to: sibling.appending(path: "rows.ndjson"))
        }
    }

    private func request(_ rows: String, vectors: String? = nil) throws -> Body {
        var members: [String: JSONValue] = ["rows_path": .string(rows)]
        if let vectors { members["vectors_path"] = .string(vectors) }
        return .json(String(decoding: try WireJSON.encode(members), as: UTF8.self))
    }

    @Test func withoutImportRootsNothingIsReadByPath() async throws {
        try await TestServer.run { server in
            try await server.create("new")
            let before = try await server.state()
            for path in ["rows.ndjson", "/etc/passwd", "", "/"] {
                try await server.post("/v1/datastores/new/imports", request(path)).expectProblem(
                    403, .importByPathDisabled, field: "rows_path", saying: ["--import-root"])
            }
            #expect(try await server.state() == before)
        }
    }

    @Test func whatLeavesTheRootsIsRefusedInTheSameWords() async throws {
        let folder = try Folder()
        try await TestServer.run(importRoots: [folder.root]) { server in
            try await server.create("new")
            let before = try await server.state()
            let secret = folder.secret.path
            for path in [
                secret, "/etc/passwd", "/nowhere/at/all", "../secret.ndjson", "inner/../../secret.ndjson",
                "\(folder.root.path)/../secret.ndjson", "../nowhere", "out.ndjson", "up/secret.ndjson",
                "\(folder.root.path)-other/rows.ndjson", "../root-other/rows.ndjson", "/", folder.root.path, "",
            ] {
                let problem = try await server.post("/v1/datastores/new/imports", request(path)).expectProblem(
                    403, .pathOutsideImportRoots, field: "rows_path")
                // Neither the roots nor whether something is there.
                #expect(problem.detail == "rows_path: \"\(path)\" is not below an import root of this daemon")
            }
            for path in [secret, "out.ndjson", "../secret.ndjson"] {
                try await server.post(
                    "/v1/datastores/new/imports", request("inner/rows.ndjson", vectors: path)
                ).expectProblem(403, .pathOutsideImportRoots, field: "vectors_path")
            }
            #expect(try await server.state() == before)
        }
    }

    @Test func whatIsNotThereIsSaidToBeSo() async throws {
        let folder = try Folder()
        try await TestServer.run(importRoots: [folder.root]) { server in
            try await server.create("new")
            let before = try await server.state()
            for path in ["missing.ndjson", "inner/missing.ndjson", "dangling", "\(folder.root.path)/missing.ndjson"] {
                try await server.post("/v1/datastores/new/imports", request(path)).expectProblem(
                    400, .sourceUnreadable, field: "rows_path")
            }
            #expect(try await server.state() == before)
            try await server.post("/v1/datastores/nope/imports", request("inner/rows.ndjson")).expectProblem(
                404, .unknownDatastore)
        }
    }

    @Test func aFolderFailsTheJob() async throws {
        let folder = try Folder()
        try await TestServer.run(importRoots: [folder.root]) { server in
            try await server.create("new")
            let answer = try await server.post("/v1/datastores/new/imports", request("inner"))
            let job = try await server.waitForJob(of: answer)
            #expect(job.state == .failed)
            #expect(job.error?.code == ErrorCode.sourceUnreadable.rawValue)
            #expect(job.error?.detail.contains("directory") == true)
        }
    }

    @Test func whatLiesBelowARootIsImported() async throws {
        let folder = try Folder()
        let other = try TemporaryDirectory()
        try await TestServer.run(importRoots: [other.url, folder.root]) { server in
            let paths = [
                "inner/rows.ndjson", "\(folder.root.path)/inner/rows.ndjson", "in.ndjson", "inner/./rows.ndjson",
                "inner/../inner/rows.ndjson",
            ]
            for (number, path) in paths.enumerated() {
                try await server.create("new\(number)")
                let answer = try await server.post("/v1/datastores/new\(number)/imports", request(path))
                #expect(answer.status == 202, "\(path): \(answer)")
                let job = try await server.waitForJob(of: answer)
                #expect(job.counts.accepted == 4, "\(path): \(job)")
            }
            #expect(FileManager.default.fileExists(atPath: folder.root.appending(path: "inner/rows.ndjson").path))
        }
    }
}
