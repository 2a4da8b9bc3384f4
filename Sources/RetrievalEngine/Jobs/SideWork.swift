import Foundation

/// Blocking work that goes on beside the thread that asked for it, on a thread of its own with the same priority: the two
/// halves of an import, which is one job.
///
/// Thread-safe.
final class SideWork<Value: Sendable>: Sendable {
    /// `@unchecked Sendable`: the result is read and written under the condition's lock.
    private final class Outcome: @unchecked Sendable {
        let condition = NSCondition()
        var result: Result<Value, any Error>?
    }

    private let outcome = Outcome()

    @discardableResult
    init(_ body: @escaping @Sendable () throws -> Value) {
        // On Linux a thread has the niceness of the one that makes it.
        Thread.detachNewThread { [outcome] in
            let result = Result { try body() }
            outcome.condition.withLock {
                outcome.result = result
                outcome.condition.broadcast()
            }
        }
    }

    /// Waits for the end.
    ///
    /// - Throws: what the work threw.
    @discardableResult
    func value() throws -> Value {
        try outcome.condition.withLock {
            while true {
                if let result = outcome.result { return try result.get() }
                outcome.condition.wait()
            }
        }
    }
}
