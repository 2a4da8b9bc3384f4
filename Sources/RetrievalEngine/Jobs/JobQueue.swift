import DatastoreCore
import Synchronization

/// Runs jobs: those that change one datastore one after the other, all others side by side.
final class JobQueue: Sendable {
    struct Job: Sendable {
        let id: String
        let datastore: String
        /// Jobs of one lane run one after the other.
        let lane: String

        init(id: String, datastore: String, kind: JobKind) {
            self.id = id
            self.datastore = datastore
            lane = kind.runsBeside ? "\(datastore)/\(id)" : datastore
        }
    }

    private enum Event: Sendable {
        case submitted(Job)
        case finished
        case closed
    }

    private let events: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation
    /// Datastores that a job works on now, each with those who wait for its end.
    private let busy = Mutex<[String: [CheckedContinuation<Void, Never>]]>([:])

    init() {
        (events, continuation) = AsyncStream.makeStream(of: Event.self)
    }

    var runningCount: Int { busy.withLock { $0.count } }

    /// Whether a job works on the datastore now.
    func isBusy(_ datastore: String) -> Bool { busy.withLock { $0[datastore] != nil } }

    /// Returns once no job works on the datastore, at once when none does.
    func whenIdle(_ datastore: String) async {
        await withCheckedContinuation { continuation in
            let isIdle = busy.withLock { busy in
                busy[datastore]?.append(continuation)
                return busy[datastore] == nil
            }
            if isIdle { continuation.resume() }
        }
    }

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
        var isClosed = false
        await withDiscardingTaskGroup { group in
            for await event in events {
                switch event {
                case .submitted(let job): waiting.append(job)
                case .finished: break
                case .closed: isClosed = true
                }
                if isClosed {
                    if runningCount == 0 { return }
                    continue
                }
                while let index = waiting.firstIndex(where: { !isBusy($0.lane) }) {
                    let job = waiting.remove(at: index)
                    busy.withLock { $0[job.lane] = [] }
                    group.addTask { [self] in
                        await work(job)
                        let waiting = busy.withLock { $0.removeValue(forKey: job.lane) }
                        for waiter in waiting ?? [] { waiter.resume() }
                        continuation.yield(.finished)
                    }
                }
            }
        }
    }
}

extension JobKind {
    /// Whether jobs of this kind only read, so that they run beside those that change their datastore.
    var runsBeside: Bool { self == .dump || self == .verify }
}
