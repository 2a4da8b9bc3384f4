import CaptionerClient
import Foundation
import Synchronization

/// The `capstand` beside this program, as a process on a free port with a data directory of its own.
///
/// `@unchecked Sendable`: `Process` is used by one task at a time; a signal only kills by process id.
final class BenchmarkDaemon: @unchecked Sendable {
    let host: String
    let port: UInt16
    let client: CaptionerClient
    let statistics: ProcessStatistics
    private let process: Process
    private let log: URL

    var isRunning: Bool { process.isRunning }
    var logEnd: String { String(((try? String(contentsOf: log, encoding: .utf8)) ?? "").suffix(2000)) }
    var address: String { "\(host):\(port)" }

    /// Starts the daemon and waits until it answers.
    ///
    /// - Parameters:
    ///   - folder: holds its data directory and its log, and is its import root.
    ///   - arguments: further ones.
    init(folder: URL, threads: Int, arguments: [String] = []) async throws {
        let executable = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent().appending(path: "capstand")
        guard FileManager.default.isExecutableFile(atPath: executable.path) else {
            throw BenchmarkError("\(executable.path) is not there; build it: swift build -c release --product capstand")
        }
        let readyFile = folder.appending(path: "ready")
        log = folder.appending(path: "capstand.log")
        try Data().write(to: log)
        let logHandle = try FileHandle(forWritingTo: log)
        process = Process()
        process.executableURL = executable
        process.arguments =
            [
                "--data-dir", folder.appending(path: "data").path, "--listen", "127.0.0.1:0", "--ready-file",
                readyFile.path, "--import-root", folder.path, "--threads", String(threads),
            ] + arguments
        process.standardOutput = logHandle
        process.standardError = logHandle
        try process.run()
        statistics = ProcessStatistics(pid: process.processIdentifier)
        Cleanup.shared.setDaemon(process.processIdentifier)
        do {
            let text = try await Self.address(process, readyFile: readyFile, log: log)
            let parts = text.split(separator: ":")
            guard parts.count == 2, let port = UInt16(parts[1]) else {
                throw BenchmarkError("capstand says that it listens on \"\(text)\", expected HOST:PORT")
            }
            host = String(parts[0])
            self.port = port
            client = try CaptionerClient(url: "http://\(text)")
        } catch {
            process.terminate()
            process.waitUntilExit()
            Cleanup.shared.setDaemon(nil)
            throw error
        }
    }

    private static func address(_ process: Process, readyFile: URL, log: URL) async throws -> String {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline, process.isRunning {
            if let text = try? String(contentsOf: readyFile, encoding: .utf8) {
                return text.trimmingCharacters(in: .whitespacesAndNewlines)
            }
            try await Task.sleep(for: .milliseconds(1))
        }
        let said = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
        throw BenchmarkError("capstand did not start within 60 s: \(said.suffix(2000))")
    }

    /// Asks it to end, and ends it when it does not.
    func stop() {
        process.terminate()
        let deadline = ContinuousClock.now + .seconds(30)
        while process.isRunning, ContinuousClock.now < deadline { usleep(20_000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        Cleanup.shared.setDaemon(nil)
    }
}

/// What is left to clean up when this program is interrupted.
final class Cleanup: Sendable {
    static let shared = Cleanup()

    private struct State {
        var daemon: Int32?
        var folder: URL?
    }

    private let state = Mutex(State())

    func setDaemon(_ pid: Int32?) {
        state.withLock { $0.daemon = pid }
    }

    func setFolder(_ folder: URL?) {
        state.withLock { $0.folder = folder }
    }

    /// From now on, until what is returned is cancelled, SIGINT and its kin stop the daemon and remove the folder first.
    func watchSignals() -> [any DispatchSourceSignal] {
        [SIGINT, SIGTERM, SIGHUP].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [self] in
                let left = state.withLock { $0 }
                if let pid = left.daemon { kill(pid, SIGKILL) }
                if let folder = left.folder { try? FileManager.default.removeItem(at: folder) }
                exit(128 + number)
            }
            source.resume()
            return source
        }
    }
}
