package import CaptionerClient
package import Foundation

/// The built `capstand`, as a process of its own on a free port.
package final class Daemon: @unchecked Sendable {
    package let address: String
    package let client: CaptionerClient
    private let process: Process
    private let log: URL

    package struct DidNotStart: Error, CustomStringConvertible {
        package let exitCode: Int32?
        package let log: String
        package var description: String {
            "capstand did not start (exit code \(exitCode.map(String.init) ?? "none")): \(log)"
        }
    }

    /// Where the built products are: beside the test bundle.
    package static let products: URL = {
        #if os(Linux)
            URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
        #else
            Bundle(for: TemporaryDirectory.self).bundleURL.deletingLastPathComponent()
        #endif
    }()

    /// Starts the daemon and waits until it answers questions.
    ///
    /// - Parameter environment: added to that of the tests.
    /// - Throws: `DidNotStart` when it ends first.
    package init(
        dataDirectory: URL, arguments: [String] = [], environment: [String: String] = [:]
    ) async throws {
        let readyFile = dataDirectory.appendingPathExtension("ready-\(UUID().uuidString)")
        log = dataDirectory.appendingPathExtension("log")
        process = Process()
        process.executableURL = Self.products.appending(path: "capstand")
        process.arguments =
            ["--data-dir", dataDirectory.path, "--listen", "127.0.0.1:0", "--ready-file", readyFile.path] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if !FileManager.default.fileExists(atPath: log.path) {
            try Data().write(to: log)
        }
        let logHandle = try FileHandle(forWritingTo: log)
        try logHandle.seekToEnd()
        process.standardError = logHandle
        process.standardOutput = logHandle
        try process.run()
        var found: String?
        while found == nil {
            found = (try? String(contentsOf: readyFile, encoding: .utf8)).map { $0.trimmingCharacters(in: .newlines) }
            guard found != nil || process.isRunning else {
                throw DidNotStart(
                    exitCode: process.terminationStatus, log: (try? String(contentsOf: log, encoding: .utf8)) ?? "")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        address = found ?? ""
        client = try CaptionerClient(url: "http://\(address)")
    }

    deinit {
        if process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
    }

    package var pid: Int32 { process.processIdentifier }
    package var logText: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }

    /// Asks it to stop and waits for its end.
    package func stop() async throws -> Int32 {
        process.terminate()
        return try await waitForEnd()
    }

    /// Ends it as a crash would.
    package func kill() async throws {
        _ = Foundation.kill(process.processIdentifier, SIGKILL)
        _ = try await waitForEnd()
    }

    /// Waits for its end; the exit code, or minus the signal.
    package func waitForEnd() async throws -> Int32 {
        while process.isRunning { try await Task.sleep(for: .milliseconds(5)) }
        return process.terminationReason == .uncaughtSignal ? -process.terminationStatus : process.terminationStatus
    }
}
