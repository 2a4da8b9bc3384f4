import DatastoreCore
import DatastoreStorage
import Foundation
import RetrievalEngine
import Synchronization
import TestSupport
import Testing

/// Builds that are wanted only where something changed, or only where nothing else is at work.
struct ReindexingTests {
    private static let rows = TestRow.several(20, seed: 810)

    @Test func ofManyCallsAtOnceOneBuilds() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d")
            try await engine.importRows(Self.rows, into: "d", build: false)
            let request = BuildVersionRequest(ifChanged: true, ifIdle: true)
            let jobs = try await withThrowingTaskGroup(of: JobInfo?.self) { group in
                for _ in 0..<16 {
                    group.addTask {
                        do {
                            return try await engine.submitBuild(of: "d", request)
                        } catch let error as DatastoreError
                            where error.code == .datastoreBusy || error.code == .nothingToBuild
                        {
                            return nil
                        }
                    }
                }
                var jobs: [JobInfo] = []
                for try await job in group { if let job { jobs.append(job) } }
                return jobs
            }
            #expect(jobs.count == 1)
            for job in jobs { #expect(try await engine.ended(job).version == 1) }
            #expect(try await engine.versions(of: "d", .init()).count == 1)
        }
    }

    @Test func whatTheJobBeforeHasBuiltIsNotBuiltAgain() async throws {
        let harness = try EngineHarness()
        let gate = PublishGate()
        var configuration = harness.configuration
        configuration.onPublishStep = { gate.pass($0) }
        try await harness.run(configuration) { engine in
            try await engine.create("d")
            try await engine.importRows(Self.rows, into: "d", build: false)
            let first = try await engine.submitBuild(of: "d")
            for await _ in gate.steps { break }
            let error = await expectError(.datastoreBusy) {
                try await engine.submitBuild(of: "d", BuildVersionRequest(ifIdle: true))
            }
            #expect(error?.detail.contains(first.id) == true)
            let second = try await engine.submitBuild(of: "d", BuildVersionRequest(ifChanged: true))
            gate.open()
            #expect(try await engine.ended(first).version == 1)
            let done = try await engine.ended(second)
            #expect(done.state == .succeeded && done.version == nil)
            await expectError(.nothingToBuild) {
                try await engine.submitBuild(of: "d", BuildVersionRequest(ifChanged: true))
            }
            // Without the condition it is built anew, and the domain moves in one revision.
            try await engine.bind("street", "d")
            #expect(try await engine.build("d").version == 2)
            #expect(try await engine.domain("street").revision == 2)
            #expect(try await engine.datastore("d").entries == 20)
        }
    }

    @Test func buildsRunAtALowerPriorityThanQuestions() async throws {
        let harness = try EngineHarness()
        let niceness = Niceness()
        var configuration = harness.configuration
        configuration.onPublishStep = { _ in niceness.note() }
        try await harness.run(configuration) { engine in
            try await engine.create("d")
            try await engine.importRows(Self.rows, into: "d")
        }
        #expect(niceness.least >= 10)
    }

    /// Of the threads that told theirs.
    private final class Niceness: Sendable {
        private let seen = Mutex<[Int32]>([])

        func note() {
            let niceness = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)
            seen.withLock { $0.append(niceness) }
        }

        var least: Int32 { seen.withLock { $0.min() ?? -1 } }
    }
}
