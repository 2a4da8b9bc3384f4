import DatastoreCore
import Foundation
import HTTPTypes
import TestSupport
import Testing

/// Uploads for a datastore with several keys.
struct SeveralKeysUploadTests {
    private static let rows = Data(
        """
        {"id": "a", "text": "one", "vectors": {"lexical": {"indices": [3, 0], "values": [0.5, 2]}}}
        {"id": "b", "text": "two", "vectors": {"lexical": {}}}
        {"id": "c", "text": "three", "vectors": {"lexical": {"zebra": 1}}}

        """.utf8)
    private static let text = Vectors(values: [1, 0, 0, 1, 1, 1], dim: 2).npy()
    private static let image = Vectors(values: [1, 0, 0, 0, 1, 0, 0, 0, 1], dim: 3).npy()

    private func create(_ server: TestServer) async throws {
        let answer = try await server.post(
            "/v1/datastores",
            .json(
                """
                {"name": "new", "kind": "captions", "keys": [
                    {"name": "text", "dim": 2, "metric": "cosine"},
                    {"name": "lexical", "kind": "sparse", "dim": 8, "metric": "ip"},
                    {"name": "image.clip", "dim": 3, "metric": "ip"}]}
                """))
        try #require(answer.status == 201, "\(answer)")
    }

    @Test(arguments: [
        [("rows", rows), ("vectors", text), ("vectors.image.clip", image)],
        [("vectors.image.clip", image), ("vectors.text", text), ("rows", rows)],
    ])
    func partsBringTheVectorsOfTheirKeys(parts: [(String, Data)]) async throws {
        try await TestServer.run { server in
            try await create(server)
            let job = try await server.importing(.multipart(parts), into: "new")
            #expect(job.state == .succeeded, "\(job)")
            #expect(job.counts.accepted == 2)
            #expect(job.rejectedByCode == ["unknown_term": 1])
            #expect(job.version == 1)
            #expect(try server.staged() == [])
        }
    }

    @Test(arguments: [
        ([("rows", rows), ("vectors.audio", text)], "unknown_key", "audio"),
        ([("rows", rows), ("vectors.lexical", text)], "invalid_value", "sparse"),
        ([("rows", rows), ("vectors", text), ("vectors.text", text)], "invalid_value", "text"),
        ([("rows", rows), ("vectors", text), ("vectors.image.clip", text)], "vector_dim_mismatch", "image.clip"),
    ])
    func partsThatFitNoKeyFailTheJob(parts: [(String, Data)], code: String, word: String) async throws {
        try await TestServer.run { server in
            try await create(server)
            let job = try await server.importing(.multipart(parts), into: "new")
            #expect(job.state == .failed)
            #expect(job.error?.code == code, "\(job)")
            #expect(job.error?.detail.contains(word) == true, "\(job)")
            #expect(try server.staged() == [])
        }
    }

    @Test func poolingOfAnUploadReachesTheReader() async throws {
        let row = #"{"text": "x", "vector": [[1, 0, 0, 0], [0, 1, 0, 0]]}"#
        try await TestServer.run { server in
            try await server.create("new")
            let refused = try await server.importing(.rows([row]), into: "new")
            #expect(refused.rejectedByCode == ["invalid_value": 1])
            let pooled = try await server.importing(.rows([row]), into: "new", options: "?pool=mean")
            #expect(pooled.counts.accepted == 1, "\(pooled)")
        }
    }

    @Test func theSameFileForAnotherKeyIsAnotherUpload() async throws {
        try await TestServer.run { server in
            try await create(server)
            let rows = Data(
                #"{"text": "x", "vectors": {"image.clip": [1, 0, 0], "lexical": {}}}"#.utf8)
            let text = Vectors(values: [1, 0], dim: 2).npy()
            func upload(_ part: String) async throws -> Answer {
                try await server.send(
                    .post, "/v1/datastores/new/imports", .multipart([("rows", rows), (part, text)]),
                    headers: ["Idempotency-Key": "k"])
            }
            let first = try await upload("vectors.text")
            #expect(try await server.waitForJob(of: first).state == .succeeded)
            #expect(try await upload("vectors.text").headers[.location] == first.headers[.location])
            #expect(try await upload("vectors.image.clip").status == 409)
        }
    }
}
