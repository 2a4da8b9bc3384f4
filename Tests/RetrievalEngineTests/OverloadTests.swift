import DatastoreCore
import Foundation
import RetrievalEngine
import TestSupport
import Testing

/// What is too much is refused at once, and what is not refused is right.
struct OverloadTests {
    @Test func aPoolRefusesWhatIsBeyondItsThreadsAndItsQueue() async throws {
        let pool = BlockingPool(name: "test", threads: 1, queueLimit: 1)
        let hold = DispatchSemaphore(value: 0)
        let entered = AsyncStream.makeStream(of: Void.self)
        try await withThrowingTaskGroup(of: Int.self) { group in
            group.addTask {
                try await pool.run {
                    entered.continuation.yield()
                    hold.wait()
                    return 1
                }
            }
            for await _ in entered.stream { break }
            group.addTask { try await pool.run { 2 } }
            while pool.inFlight < 2 { await Task.yield() }
            let error = await expectError(.overloaded) { try await pool.run { 3 } }
            #expect(error?.detail.contains("test pool") == true)
            // A refusal takes no place.
            #expect(pool.inFlight == 2)
            hold.signal()
            let values = try await group.reduce(into: []) { $0.append($1) }
            #expect(values.sorted() == [1, 2])
        }
        #expect(pool.inFlight == 0)
        #expect(try await pool.run { 4 } == 4)
        try await pool.shutdown()
    }

    @Test func aCallThatIsCancelledWhileItWaitsIsNotRun() async throws {
        let pool = BlockingPool(name: "test", threads: 1, queueLimit: 1)
        let hold = DispatchSemaphore(value: 0)
        let entered = AsyncStream.makeStream(of: Void.self)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await pool.run {
                    entered.continuation.yield()
                    hold.wait()
                    return true
                }
            }
            for await _ in entered.stream { break }
            // It ends when its turn comes, without having run.
            let waiting = await withThrowingTaskGroup(of: Void.self) { inner in
                inner.addTask { try await pool.run { _ = Issue.record("a cancelled call was run") } }
                while pool.inFlight < 2 { await Task.yield() }
                inner.cancelAll()
                hold.signal()
                return await inner.nextResult()
            }
            #expect(throws: CancellationError.self) { try waiting?.get() }
            let first = try await group.next()
            #expect(first == true)
        }
        try await pool.shutdown()
    }

    @Test func anErrorOfACallIsItsCallers() async throws {
        let pool = BlockingPool(name: "test", threads: 2, queueLimit: 1)
        await expectError(.storageFailed) {
            try await pool.run { () throws -> Int in throw DatastoreError(.storageFailed, "on purpose") }
        }
        #expect(pool.inFlight == 0)
        try await pool.shutdown()
    }

    @Test func anEngineWithMoreQuestionsThanItCanHoldAnswersSomeAndNoneWrongly() async throws {
        let harness = try EngineHarness()
        let rows = TestRow.several(3000, dim: 64, seed: 70)
        let queries = Vectors(clustered: 64, dim: 64, seed: 71)
        var configuration = harness.configuration
        configuration.searchThreads = 1
        configuration.searchQueueLimit = 1
        try await harness.run(configuration) { engine in
            try await engine.create("d", dim: 64)
            try await engine.importRows(rows, into: "d")
            try await engine.bind("street", "d")
            let vectors = try QueryVectors(values: queries.values, count: 64)
            let expected = try await engine.answers(vectors, of: "street", options: QueryOptions(k: 100))
            let answered = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<50 {
                    group.addTask {
                        do {
                            let answer = try await engine.answers(vectors, of: "street", options: QueryOptions(k: 100))
                            #expect(answer == expected)
                            return true
                        } catch let error as DatastoreError where error.code == .overloaded {
                            return false
                        }
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(answered > 0)
            #expect(answered < 50)
            // And then it has time again.
            #expect(try await engine.answers(vectors, of: "street", options: QueryOptions(k: 100)) == expected)
            #expect(try await engine.status().searchesInFlight == 0)
        }
    }
}
