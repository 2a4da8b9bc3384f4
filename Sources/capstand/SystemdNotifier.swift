import DatastoreCore
import Logging
import RetrievalEngine
import ServiceLifecycle

/// Tells systemd what the daemon does: how far its loading is, that it is ready, that it is alive, that it stops.
///
/// Ready means that questions are answered, as `/readyz` says; the daemon listens before that. Alive means that a call
/// which reads the catalog on the control threads has come back: a daemon whose disk or threads hang is not, though its
/// process is there.
final class SystemdNotifier: Service {
    private let socket: NotifySocket
    private let watchdog: Duration?
    private let engine: CapstanEngine
    private let logger: Logger

    /// - Parameter watchdog: in which systemd expects a sign of life; it comes twice as often.
    init(_ socket: NotifySocket, watchdog: Duration?, engine: CapstanEngine, logger: Logger) {
        self.socket = socket
        self.watchdog = watchdog
        self.engine = engine
        self.logger = logger
    }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            do {
                try await untilReady()
                try await whileReady()
            } catch {
                // Cancelled: it stops.
            }
        }
        say("STOPPING=1", "STATUS=stopping")
    }

    private func untilReady() async throws {
        while engine.readiness.status == .loading {
            // Comparing checksums may take longer than a start usually may.
            say("STATUS=\(engine.readiness.detail)", "EXTEND_TIMEOUT_USEC=30000000")
            try await Task.sleep(for: Self.loadingPause)
        }
    }

    private func whileReady() async throws {
        if engine.readiness.status == .ready { say("READY=1", "STATUS=ready") }
        while true {
            do {
                let status = try await engine.status()
                let damaged = status.damagedVersions.isEmpty ? "" : ", \(status.damagedVersions.count) versions damaged"
                say(
                    watchdog == nil ? "" : "WATCHDOG=1",
                    "STATUS=\(status.readiness.detail): \(status.domains) domains, \(status.jobsRunning) jobs running\(damaged)"
                )
            } catch let error as DatastoreError {
                logger.warning("no sign of life to systemd", metadata: ["error": "\(error.detail)"])
            }
            try await Task.sleep(for: watchdog.map { $0 / 2 } ?? Self.statusPause)
        }
    }

    private static let loadingPause = Duration.milliseconds(250)
    private static let statusPause = Duration.seconds(30)

    private func say(_ lines: String...) {
        do {
            try socket.send(lines.filter { !$0.isEmpty })
        } catch {
            logger.warning("systemd could not be told", metadata: ["error": "\(error)"])
        }
    }
}
