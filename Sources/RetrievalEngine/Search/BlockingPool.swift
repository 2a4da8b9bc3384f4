import DatastoreCore
import NIOPosix
import Synchronization

/// A bounded set of threads for calls that block, so that none runs on an event loop or on Swift's cooperative pool.
///
/// Work beyond `queueLimit` is refused at once rather than kept waiting.
package final class BlockingPool: Sendable {
    private let pool: NIOThreadPool
    private let name: String
    private let queueLimit: Int
    private let inFlightCount = Atomic<Int>(0)
    package let threads: Int

    /// - Parameter queueLimit: calls that may wait for a thread.
    package init(name: String, threads: Int, queueLimit: Int) {
        self.name = name
        self.threads = threads
        self.queueLimit = queueLimit
        pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
    }

    /// Calls that run or wait now.
    package var inFlight: Int { inFlightCount.load(ordering: .relaxed) }

    /// Runs `body` on one of the threads.
    ///
    /// Cancelling the task drops a call that still waits, never one that runs.
    ///
    /// - Throws: `overloaded` when too many wait already, and whatever `body` throws.
    package func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        let ahead = inFlightCount.wrappingAdd(1, ordering: .relaxed).oldValue
        defer { inFlightCount.wrappingSubtract(1, ordering: .relaxed) }
        guard ahead < threads + queueLimit else {
            throw DatastoreError(
                .overloaded,
                "\(ahead) calls run or wait in the \(name) pool, its limit is \(threads + queueLimit); retry")
        }
        return try await pool.runIfActive(body)
    }

    /// Ends the threads after what they run now.
    package func shutdown() async throws {
        try await pool.shutdownGracefully()
    }
}
