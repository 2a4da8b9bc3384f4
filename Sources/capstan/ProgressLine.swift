import CaptionerClient
import DatastoreCore
import Dispatch
import Foundation
import Synchronization

/// Says on standard error how far an upload and its job are: one line that moves when that is a terminal, else a line
/// every few seconds.
final class ProgressLine: Sendable {
    private let name: String
    private let isTerminal = StandardError.isTerminal
    private let nextLine: Mutex<ContinuousClock.Instant>
    private let shownPhase = Mutex<String?>(nil)
    private let started = ContinuousClock.now

    init(_ name: String) {
        self.name = name
        nextLine = Mutex(.now + (isTerminal ? .zero : Self.pause(isTerminal: false)))
    }

    func update(_ upload: UploadProgress) {
        let share = upload.totalBytes > 0 ? Double(upload.bytesSent) / Double(upload.totalBytes) : 1
        let sizes = "\(upload.bytesSent.shownAsBytes) of \(upload.totalBytes.shownAsBytes)"
        let percent = String(format: "%3.0f%%", share * 100)
        say(isTerminal ? "uploading \(Self.bar(share)) \(percent)  \(sizes)" : "uploading: \(percent) of \(sizes)")
    }

    /// How many bytes a command has dealt with; of how many, when that is known.
    func update(_ bytes: Int64, of total: Int64?, _ what: String) {
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        let rate = seconds > 0 ? ", \(Int64(Double(bytes) / seconds).shownAsBytes)/s" : ""
        guard let total, total > 0 else { return say("\(what) \(bytes.shownAsBytes)\(rate)") }
        let share = min(1, Double(bytes) / Double(total))
        let sizes = "\(what) \(bytes.shownAsBytes) of \(total.shownAsBytes)\(rate)"
        say(isTerminal ? "\(Self.bar(share)) \(sizes)" : sizes)
    }

    /// How many of a command's own questions are answered.
    func update(_ done: Int, of total: Int, _ what: String) {
        let share = total > 0 ? Double(done) / Double(total) : 1
        let counts = "\(done) of \(total) \(what)"
        say(isTerminal ? "\(Self.bar(share)) \(counts)" : counts)
    }

    func update(_ job: JobInfo) {
        let rows = job.kind == .import && job.counts.seen > 0 ? ", \(job.counts.shown)" : ""
        let bar = job.progress.map { isTerminal ? " \(Self.bar($0.fraction))" : "" } ?? ""
        let phase = job.state == .queued ? "waiting for the jobs before it" : job.phase.rawValue
        let isNews = shownPhase.withLock { shown in
            defer { shown = phase }
            return shown != phase
        }
        say("\(phase)\(bar)\(job.progress.map { " \($0.shown)" } ?? "")\(rows)", atOnce: isNews && shownLong)
    }

    /// Leaves the terminal's line empty for what comes next.
    func end() {
        if isTerminal { StandardError.write("\r\u{1B}[K", terminator: "") }
    }

    /// From now on, until what is returned is cancelled, an interruption from the terminal says that the job goes on.
    private static func sayOnInterrupt(_ job: JobInfo, _ progress: ProgressLine) -> any DispatchSourceSignal {
        signal(SIGINT, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
        source.setEventHandler {
            progress.end()
            StandardError.write("job \(job.id) goes on; capstan jobs watch \(job.id), or capstan jobs cancel \(job.id)")
            exit(130)
        }
        source.resume()
        return source
    }

    /// Waits until `job` has ended, and says how it goes on.
    static func follow(_ job: JobInfo, client: CaptionerClient, progress: ProgressLine?) async throws -> JobInfo {
        let interrupt = progress.map { sayOnInterrupt(job, $0) }
        defer { interrupt?.cancel() }
        do {
            let done = try await client.waitForJob(job.id) { progress?.update($0) }
            progress?.end()
            return done
        } catch is CancellationError {
            progress?.end()
            throw CancellationError()
        } catch {
            progress?.end()
            if progress != nil { StandardError.write("job \(job.id) may go on; see: capstan jobs show \(job.id)") }
            throw error
        }
    }

    /// Whether this goes on for long enough that a change of phase is worth a line.
    private var shownLong: Bool { isTerminal || ContinuousClock.now - started > .seconds(1) }

    private func say(_ text: String, atOnce: Bool = false) {
        let isDue = nextLine.withLock { next in
            guard atOnce || ContinuousClock.now >= next else { return false }
            next = .now + Self.pause(isTerminal: isTerminal)
            return true
        }
        guard isDue else { return }
        if isTerminal {
            StandardError.write("\r\u{1B}[K\(name): \(text)", terminator: "")
        } else {
            StandardError.write("\(name): \(text)")
        }
    }

    private static func pause(isTerminal: Bool) -> Duration { isTerminal ? .milliseconds(50) : .seconds(3) }

    private static func bar(_ share: Double) -> String {
        let width = 30
        let done = Int(share * Double(width))
        return "[" + String(repeating: "#", count: done) + String(repeating: ".", count: width - done) + "]"
    }
}
