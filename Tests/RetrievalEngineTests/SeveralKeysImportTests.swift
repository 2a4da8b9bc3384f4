import DatastoreCore
import DatastoreStorage
import Foundation
import RetrievalEngine
import TestSupport
import Testing

/// Imports by path for a datastore with several keys.
struct SeveralKeysImportTests {
    private let keys = [
        KeySpec(name: "text", dim: 2, metric: .cosine), KeySpec(name: "image", dim: 3, metric: .innerProduct),
        KeySpec(name: "lexical", terms: 8),
    ]

    private func write(below folder: URL, vectors: Int = 3) throws {
        let rows = (0..<3).map {
            #"{"id":\#($0),"text":"row \#($0)","vectors":{"lexical":{"indices":[\#($0)],"values":[1]}}}"#
        }
        try Data(rows.joined(separator: "\n").utf8).write(to: folder.appending(path: "rows.ndjson"))
        try Vectors(clustered: 3, dim: 2, seed: 1).npy().write(to: folder.appending(path: "text.npy"))
        try Vectors(clustered: vectors, dim: 3, seed: 2).npy().write(to: folder.appending(path: "image.npy"))
    }

    private func create(_ engine: CapstanEngine) async throws {
        _ = try await engine.createDatastore(CreateDatastoreRequest(name: "d", kind: .captions, keys: keys))
    }

    @Test(
        arguments: [
            ("text.npy", ["image": "image.npy"]), (nil, ["image": "image.npy", "text": "text.npy"]),
        ] as [(String?, [String: String])])
    func filesOfEachKeyAreRead(first: String?, others: [String: String]) async throws {
        let harness = try EngineHarness()
        try write(below: harness.sources)
        try await harness.run { engine in
            try await create(engine)
            let request = ImportRequest(rowsPath: "rows.ndjson", vectorsPath: first, vectorsPaths: others)
            let job = try await engine.ended(engine.submitImport(request, into: "d"))
            #expect(job.state == .succeeded, "\(String(describing: job.error))")
            #expect(job.counts.accepted == 3)
            #expect(job.report?.vectors == .file)
            #expect(job.version == 1)
            let again = try await engine.ended(engine.submitImport(request, into: "d"))
            #expect(again.counts.duplicate == 3)
        }
    }

    @Test func filesOfDifferentLengthsFailTheJob() async throws {
        let harness = try EngineHarness()
        try write(below: harness.sources, vectors: 2)
        try await harness.run { engine in
            try await create(engine)
            let request = ImportRequest(
                rowsPath: "rows.ndjson", vectorsPath: "text.npy", vectorsPaths: ["image": "image.npy"])
            let job = try await engine.ended(engine.submitImport(request, into: "d"))
            #expect(job.error?.code == ErrorCode.rowsVectorsMismatch.rawValue)
            #expect(job.error?.detail.contains("text.npy has 3 vectors, image.npy has 2") == true)
        }
    }

    @Test func pathsOfKeysAreResolvedBelowTheRoots() async throws {
        let harness = try EngineHarness()
        try write(below: harness.sources)
        try await harness.run { engine in
            try await create(engine)
            let outside = await expectError(.pathOutsideImportRoots) {
                try await engine.submitImport(
                    ImportRequest(rowsPath: "rows.ndjson", vectorsPaths: ["image": "/etc/passwd"]), into: "d")
            }
            #expect(outside?.errors.first?.field == "vectors_paths.image")
            for name in ["", "../x"] {
                let invalid = await expectError(.invalidName) {
                    try await engine.submitImport(
                        ImportRequest(rowsPath: "rows.ndjson", vectorsPaths: [name: "text.npy"]), into: "d")
                }
                #expect(invalid?.errors.first?.field == "vectors_paths")
            }
        }
    }
}
