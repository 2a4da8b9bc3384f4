import DatastoreCore

/// How fast a phase of a job goes, said a few times a second.
struct Pace {
    private let started = ContinuousClock.now
    private let firstRow: Int
    private let firstFraction: Double
    private var next = ContinuousClock.now + .milliseconds(100)

    /// - Parameters:
    ///   - rows: done before this run.
    ///   - fraction: of the phase, done before this run.
    init(rows: Int = 0, fraction: Double = 0) {
        firstRow = rows
        firstFraction = fraction
    }

    /// How far the phase is; nil when that was said a moment ago.
    mutating func progress(rows: Int, fraction: Double) -> JobProgress? {
        let now = ContinuousClock.now
        guard now >= next else { return nil }
        next = now + .milliseconds(250)
        let seconds = (now - started) / .seconds(1)
        let gained = fraction - firstFraction
        return JobProgress(
            fraction: fraction, rowsPerSecond: seconds > 0 ? Double(rows - firstRow) / seconds : 0,
            secondsLeft: gained > 0 ? seconds * (1 - fraction) / gained : nil)
    }
}
