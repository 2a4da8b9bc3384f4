import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// Promise 4: a crash loses nothing that was acknowledged, and shows nothing half-made.
struct CrashTests {
    /// The steps of publishing, by the names that `CAPSTAN_FAULT_KILL_AFTER` takes.
    static let steps = ["staged", "synced", "renamed", "cataloged", "switched"]

    @Test(arguments: steps)
    func aKillAfterAStepOfPublishingLeavesTheOldVersionOrTheNew(step: String) async throws {
        let scene = try Scene()
        try await scene.prepareFirstVersion()

        let doomed = try await Daemon(
            dataDirectory: scene.data, environment: ["CAPSTAN_FAULT_KILL_AFTER": step])
        let job = try await doomed.client.importRows(file: scene.rows, vectors: scene.vectors, into: "store")
        #expect(try await doomed.waitForEnd() == -SIGKILL)

        let daemon = try await Daemon(dataDirectory: scene.data)
        try await scene.checkOldOrNew(daemon)
        // The import was acknowledged, so it ends well after the restart, and the domain follows it.
        let ended = try await daemon.client.waitForJob(job.id)
        #expect(ended.state == .succeeded, "\(ended)")
        try await scene.checkNew(daemon)
        #expect(try await !daemon.client.status().recovery.isEmpty || step == "switched")
        #expect(try await daemon.stop() == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scene.data.appending(path: "staging").path) == [])
        try await scene.checkNothingLeftToRecover()
    }

    @Test func killsAtAnyMomentOfAnImportLoseNothingThatWasAcknowledged() async throws {
        let scene = try Scene()
        try await scene.prepareFirstVersion()
        var random = SeededGenerator(seed: 20)
        var acknowledged: [String] = []
        for _ in 0..<12 {
            let doomed = try await Daemon(dataDirectory: scene.data)
            try await scene.checkOldOrNew(doomed)
            if let job = try? await doomed.client.importRows(file: scene.rows, vectors: scene.vectors, into: "store") {
                acknowledged.append(job.id)
            }
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...60, using: &random)))
            try await doomed.kill()
        }
        let daemon = try await Daemon(dataDirectory: scene.data)
        for id in acknowledged {
            let job = try await daemon.client.waitForJob(id)
            #expect(job.state == .succeeded, "\(job)")
        }
        try await scene.checkNew(daemon)
        #expect(try await daemon.stop() == 0)
        try await scene.checkNothingLeftToRecover()
    }

    /// A datastore whose first version holds half of the rows, and the import that brings the others.
    struct Scene {
        let directory: TemporaryDirectory
        let data: URL
        let rows = TestData.samples.appending(path: "shop-products/captions.ndjson")
        let vectors = TestData.samples.appending(path: "shop-products/captions.f16.npy")
        let all: Vectors
        let questions: Vectors
        let half: Int
        /// The exact answers of versions 1 and 2.
        let expected: [[[Neighbour]]]

        init() throws {
            directory = try TemporaryDirectory()
            data = directory.file("data")
            all = try Vectors(npy: vectors)
            questions = try Vectors(npy: TestData.samples.appending(path: "shop-products/questions.f16.npy"))
            half = all.count / 2
            let first = Vectors(values: Array(all.values[..<(half * all.dim)]), dim: all.dim)
            expected = [bruteForce(first, questions, k: 4), bruteForce(all, questions, k: 4)]
        }

        func prepareFirstVersion() async throws {
            let lines = try String(contentsOf: rows, encoding: .utf8).split(separator: "\n").prefix(half)
            let firstRows = try directory.write("first.ndjson", Data((lines.joined(separator: "\n") + "\n").utf8))
            let first = Vectors(values: Array(all.values[..<(half * all.dim)]), dim: all.dim)
            let firstVectors = try directory.write("first.npy", first.npy(.f16))
            let daemon = try await Daemon(dataDirectory: data)
            let job = try await daemon.client.load("store", rows: firstRows, vectors: firstVectors)
            #expect(job.state == .succeeded && job.version == 1)
            try await daemon.client.bind("domain", to: "store")
            #expect(try await daemon.stop() == 0)
        }

        /// Every answer is of one whole version: exact search over the rows of version 1, or over those of version 2.
        ///
        /// An import that goes on after the restart may publish version 2 while this asks; never the other way round.
        ///
        /// - Returns: the version of the last answer.
        @discardableResult
        func checkOldOrNew(_ daemon: Daemon) async throws -> Int {
            let answers = try await daemon.client.results(questions, of: "domain", options: QueryOptions(k: 4))
            #expect(answers.count == questions.count)
            var last = 1
            for (question, answer) in answers.enumerated() {
                let versions = Set(answer.map(\.version))
                let version = try #require(versions.first)
                try #require(versions.count == 1 && (last...2).contains(version))
                let wanted = expected[version - 1][question].map { externalIDs[$0.row] }
                #expect(answer.map(\.externalID) == wanted, "question \(question), version \(version)")
                last = version
            }
            return last
        }

        func checkNew(_ daemon: Daemon) async throws {
            let store = try await daemon.client.datastore("store")
            #expect(store.latestVersion == 2)
            #expect(store.entries == all.count)
            #expect(store.pendingChanges == 0)
            #expect(try await daemon.client.domain("domain").datastores.first?.version == 2)
            #expect(try await daemon.client.versions(of: "store").map(\.state) == [.ready, .ready])
            #expect(try await checkOldOrNew(daemon) == 2)
        }

        /// A start after an orderly stop finds nothing to do.
        func checkNothingLeftToRecover() async throws {
            let daemon = try await Daemon(dataDirectory: data)
            #expect(try await daemon.client.status().recovery == [])
            #expect(try await daemon.stop() == 0)
        }

        private let externalIDs: [String] = {
            struct Row: Decodable { var id: String }
            let file = TestData.samples.appending(path: "shop-products/captions.ndjson")
            let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
            return text.split(separator: "\n").compactMap { try? WireJSON.decode(Row.self, from: Data($0.utf8)).id }
        }()
    }
}
