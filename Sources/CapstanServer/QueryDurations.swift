import Synchronization

/// How long questions took, by domain. Thread-safe.
final class QueryDurations: Sendable {
    private let domains = Mutex<[String: DurationCounts]>([:])

    /// - Parameter domain: one that there is: each has its numbers from then on.
    func record(_ duration: Duration, domain: String) {
        domains.withLock { $0[domain, default: DurationCounts()].record(duration) }
    }

    /// By the names of their domains.
    var all: [(value: String, durations: DurationCounts)] {
        domains.withLock { $0 }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}

/// Durations by how long they were.
struct DurationCounts: Sendable {
    /// Upper bounds of all but the last of `counts`, in seconds.
    static let bounds = [
        0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10,
    ]

    /// Durations of at most each bound and more than the one before; those above all are last.
    private(set) var counts = [Int](repeating: 0, count: bounds.count + 1)
    private(set) var seconds = 0.0

    mutating func record(_ duration: Duration) {
        let value = Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
        counts[Self.bounds.firstIndex { value <= $0 } ?? Self.bounds.count] += 1
        seconds += value
    }
}
