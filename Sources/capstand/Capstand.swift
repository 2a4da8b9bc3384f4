import ArgumentParser
import CapstanServer
import DatastoreCore
import Foundation
import Logging
import NIOCore
import RetrievalEngine
import ServiceLifecycle
import UnixSignals

/// The daemon.
@main
struct Capstand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capstand",
        abstract: "Serves versioned datastores of captions and names to retrieval-augmented captioners.",
        discussion: """
            Every setting is taken from its flag, else from the environment (--data-dir is CAPSTAN_DATA_DIR, and so on; \
            lists are separated by commas), else from the JSON file that --config names ({"data-dir": "…"}), else from \
            its default.

            EXAMPLES:
              capstand --data-dir /var/lib/capstan
              capstand --data-dir ./data --listen 127.0.0.1:0 --ready-file ./ready --import-root /srv/captions
              CAPSTAN_DATA_DIR=./data CAPSTAN_THREADS=4 capstand

            Stop it with SIGTERM: it finishes what is in flight. What it does is logged on standard error.
            """,
        version: Release.version)

    @OptionGroup var flags: SettingsFlags

    /// The daemon, unless its first argument is the command that the daemon itself starts.
    static func main() async {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.first == ExtractVectors.configuration.commandName {
            ExtractVectors.main(Array(arguments.dropFirst()))
        } else {
            await main(nil)
        }
    }

    func run() async throws {
        do {
            let settings = try await Settings(flags)
            try await serve(settings)
        } catch {
            let error = Self.explained(error)
            FileHandle.standardError.write(Data("capstand: \(error.detail) (\(error.code.rawValue))\n".utf8))
            throw ExitCode(1)
        }
    }

    private func serve(_ settings: Settings) async throws {
        let level = settings.logLevel
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        let logger = Logger(label: "capstand")
        Self.raiseOpenFileLimit()
        let engine = try CapstanEngine(settings.engine, logger: logger)
        let readyFile = ReadyFile(path: settings.readyFile, engine: engine, logger: logger)
        let application = buildApplication(engine: engine, configuration: settings.server, logger: logger) { address in
            readyFile.listening(on: address)
        }
        // Stopped in reverse: first systemd hears of it, then no more requests, last the data directory.
        var services: [any Service] = [engine, readyFile, application]
        if let socket = settings.notifySocket {
            services.append(
                SystemdNotifier(socket, watchdog: settings.watchdog, engine: engine, logger: logger))
        }
        var configuration = ServiceGroupConfiguration(
            services: services.map { .init(service: $0) }, gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger)
        // A client that never ends its request does not hold the daemon for ever.
        configuration.maximumGracefulShutdownDuration = settings.engine.shutdownGrace * 2 + .seconds(10)
        let group = ServiceGroup(configuration: configuration)
        try await group.run()
    }

    /// Each open version takes a few files for each thread that reads it; the usual soft limit is soon reached.
    private static func raiseOpenFileLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// What ended the daemon, in the words of its errors.
    private static func explained(_ error: any Error) -> DatastoreError {
        switch error {
        case let error as DatastoreError: error
        case let error as IOError: DatastoreError(.listenRefused, "could not listen: \(error.localizedDescription)")
        default: DatastoreError(.storageFailed, "could not open the data directory: \(error)")
        }
    }
}
