import CaptionerClient
import DatastoreCore
import Foundation
import Synchronization

/// Says on standard error how far an upload and its job are: one line that moves when that is a terminal, else a line
/// every few seconds.
final class ProgressLine: Sendable {
    private let name: String
    private let isTerminal = StandardError.isTerminal
    private let nextLine: Mutex<ContinuousClock.Instant>

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

    func update(_ job: JobInfo) {
        let rows = job.counts.seen > 0 ? ", \(job.counts.shown)" : ""
        let bar = job.progress.map { isTerminal ? " \(Self.bar($0.fraction))" : "" } ?? ""
        say("\(job.phase.rawValue)\(bar)\(job.progress.map { " \($0.shown)" } ?? "")\(rows)")
    }

    /// Leaves the terminal's line empty for what comes next.
    func end() {
        if isTerminal { StandardError.write("\r\u{1B}[K", terminator: "") }
    }

    /// Waits until `job` has ended, and says how it goes on.
    static func follow(_ job: JobInfo, client: CaptionerClient, progress: ProgressLine?) async throws -> JobInfo {
        do {
            let done = try await client.waitForJob(job.id) { progress?.update($0) }
            progress?.end()
            return done
        } catch {
            progress?.end()
            if progress != nil { StandardError.write("job \(job.id) may go on; see: capstan jobs show \(job.id)") }
            throw error
        }
    }

    private func say(_ text: String) {
        let isDue = nextLine.withLock { next in
            guard ContinuousClock.now >= next else { return false }
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
