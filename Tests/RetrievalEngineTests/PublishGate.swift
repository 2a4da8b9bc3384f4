import Foundation
import RetrievalEngine
import Synchronization

/// Holds a publishing job after each of its steps until the test lets it go on.
final class PublishGate: Sendable {
    private let reached = AsyncStream.makeStream(of: PublishStep.self)
    private let permits = DispatchSemaphore(value: 0)
    private let isOpen = Mutex(false)

    /// Given to the engine as `onPublishStep`.
    func pass(_ step: PublishStep) {
        guard !isOpen.withLock({ $0 }) else { return }
        reached.continuation.yield(step)
        permits.wait()
    }

    /// The steps, as they are reached.
    var steps: AsyncStream<PublishStep> { reached.stream }

    func goOn() { permits.signal() }

    /// Holds nobody any more.
    func open() {
        isOpen.withLock { $0 = true }
        reached.continuation.finish()
        permits.signal()
    }
}
