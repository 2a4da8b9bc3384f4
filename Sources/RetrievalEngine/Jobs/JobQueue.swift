import DatastoreCore
import Synchronization

/// Runs jobs: those of one datastore one after the other, those of several side by side.
final class JobQueue: Sendable {
    struct Job: Sendable {
        let id: String
        let datastore: String
    }

    private enum Event: Sendable {
        case submitted(Job)
        case finished(Job)
        case closed
    }

    private let events: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation
    private let running = Atomic<Int>(0)

    init() {
        (events, continuation) = AsyncStream.makeStream(of: Event.self)
    }

    var runningCount: Int { running.load(ordering: .relaxed) }

    func submit(_ job: Job) {
        continuation.yield(.submitted(job))
    }

    /// Starts no more jobs. `run` returns when those that run have ended.
    func close() {
        continuation.yield(.closed)
    }

    /// Runs what is submitted until `close`. `work` must not throw: a job's failure is the job's own.
    func run(_ work: @escaping @Sendable (Job) async -> Void) async {
        var waiting: [Job] = []
        var busy: Set<String> = []
        var isClosed = false
        await withDiscardingTaskGroup { group in
            for await event in events {
                switch event {
                case .submitted(let job): waiting.append(job)
                case .finished(let job): busy.remove(job.datastore)
                case .closed: isClosed = true
                }
                if isClosed {
                    if busy.isEmpty { return }
                    continue
                }
                while let index = waiting.firstIndex(where: { !busy.contains($0.datastore) }) {
                    let job = waiting.remove(at: index)
                    busy.insert(job.datastore)
                    running.wrappingAdd(1, ordering: .relaxed)
                    group.addTask { [self] in
                        await work(job)
                        running.wrappingSubtract(1, ordering: .relaxed)
                        continuation.yield(.finished(job))
                    }
                }
            }
        }
    }
}
