import Foundation
import Histogram

/// One thing whose time is taken.
struct BenchmarkCase: Sendable {
    enum Way: Sendable, Hashable, CustomStringConvertible {
        case bare
        case http(Encoding)
        case livez

        var description: String {
            switch self {
            case .bare: "bare search"
            case .http(let encoding): "HTTP \(encoding.rawValue)"
            case .livez: "GET /livez"
            }
        }
    }

    /// What is asked; nil for what is of no datastore.
    let set: String?
    let way: Way
    /// Threads that ask at once, each with a connection of its own over HTTP.
    let concurrency: Int
    /// Makes what one thread calls over and over, with the number of a question.
    let worker: @Sendable () throws -> (Int) throws -> Void
}

/// What was seen of one case, over all its rounds.
struct Measurement: Sendable {
    let benchmark: BenchmarkCase
    /// Nanoseconds from the first byte sent to the last received.
    private(set) var latencies = Self.emptyHistogram()
    /// The median of each block in milliseconds, and its answers per second: what is compared block by block with
    /// another case.
    private(set) var blocks: [(p50: Double, perSecond: Double)] = []
    private(set) var errors = 0
    private(set) var firstError: String?
    var answers: Int { Int(latencies.totalCount) }
    /// Answers per second of all its threads.
    var perSecond: Double { seconds > 0 ? Double(answers) / (seconds / Double(benchmark.concurrency)) : 0 }
    /// CPU seconds of the daemon and of this process meanwhile.
    private(set) var daemonCPU = 0.0
    private(set) var ownCPU = 0.0
    /// Sum over the threads.
    private var seconds = 0.0

    private static let mostErrors = 100

    init(_ benchmark: BenchmarkCase) {
        self.benchmark = benchmark
    }

    /// In milliseconds.
    func percentile(_ percentile: Double) -> Double { Double(latencies.valueAtPercentile(percentile)) / 1e6 }
    var largest: Double { Double(latencies.max) / 1e6 }
    var mean: Double { latencies.mean / 1e6 }
    /// Milliseconds of CPU per answer.
    var daemonCPUPerAnswer: Double { answers > 0 ? daemonCPU * 1e3 / Double(answers) : 0 }
    var ownCPUPerAnswer: Double { answers > 0 ? ownCPU * 1e3 / Double(answers) : 0 }

    /// Runs the case for `duration` more. The first question of each thread is asked before the clock runs.
    mutating func run(for duration: Duration, round: Int, daemon: ProcessStatistics) async throws {
        let benchmark = benchmark
        let daemonBefore = try daemon.cpuSeconds()
        let ownBefore = ProcessStatistics.ownCPUSeconds()
        let outcomes = try await onThreads(benchmark.concurrency) { thread in
            try Self.loop(benchmark, for: duration, firstQuestion: round * 211 + thread * 127)
        }
        ownCPU += ProcessStatistics.ownCPUSeconds() - ownBefore
        daemonCPU += try daemon.cpuSeconds() - daemonBefore
        var block = Self.emptyHistogram()
        for outcome in outcomes { block.add(outcome.latencies) }
        blocks.append(
            (
                Double(block.valueAtPercentile(50)) / 1e6,
                outcomes.reduce(0) { $0 + Double($1.latencies.totalCount) / max($1.seconds, 1e-9) }
            ))
        for outcome in outcomes {
            latencies.add(outcome.latencies)
            seconds += outcome.seconds
            errors += outcome.errors
            firstError = firstError ?? outcome.firstError
        }
    }

    private struct Outcome: Sendable {
        var latencies = Measurement.emptyHistogram()
        var seconds = 0.0
        var errors = 0
        var firstError: String?
    }

    private static func loop(
        _ benchmark: BenchmarkCase, for duration: Duration, firstQuestion: Int
    ) throws -> Outcome {
        var outcome = Outcome()
        var ask = try benchmark.worker()
        var question = firstQuestion
        try ask(question % Questions.count)
        let clock = ContinuousClock()
        let start = clock.now
        let deadline = start + duration
        var before = start
        repeat {
            question += 1
            do {
                try ask(question % Questions.count)
                let after = clock.now
                let (seconds, attoseconds) = (after - before).components
                outcome.latencies.record(UInt64(seconds * 1_000_000_000 + attoseconds / 1_000_000_000))
                before = after
            } catch {
                outcome.errors += 1
                outcome.firstError = outcome.firstError ?? "\(error)"
                guard outcome.errors < mostErrors else { break }
                ask = try benchmark.worker()
                before = clock.now
            }
        } while before < deadline
        let (seconds, attoseconds) = (clock.now - start).components
        outcome.seconds = Double(seconds) + Double(attoseconds) / 1e18
        return outcome
    }

    private static func emptyHistogram() -> Histogram<UInt32> {
        Histogram(highestTrackableValue: 120_000_000_000, numberOfSignificantValueDigits: .three)
    }
}

/// Runs `body` on `count` threads of their own at once, for each its number: it may block.
func onThreads<Value: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (Int) throws -> Value
) async throws -> [Value] {
    try await withThrowingTaskGroup(of: Value.self) { group in
        for number in 0..<count {
            group.addTask {
                try await withCheckedThrowingContinuation { continuation in
                    let thread = Thread { continuation.resume(with: Result { try body(number) }) }
                    thread.stackSize = 8 << 20
                    thread.start()
                }
            }
        }
        return try await group.reduce(into: []) { $0.append($1) }
    }
}
