import ArgumentParser
import CaptionerClient
import DatastoreCore

/// `capstan status`
struct StatusCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show how the daemon is.",
        discussion: """
              capstan status
              capstan status --url http://captions.internal:7411 --json
            """
    )

    @OptionGroup var connection: Connection

    func run() async throws {
        try connection.show(try await connection.client().status()) { status in
            var pairs: [(String, String?)] = [
                ("capstand", "\(status.release), process \(status.pid), at \(connection.daemonURL)"),
                ("state", "\(status.readiness.status.rawValue): \(status.readiness.detail)"),
                ("started at", status.startedAt.shown),
                ("data directory", status.dataDirectory),
                ("datastores", String(status.datastores)),
                ("open versions", String(status.openVersions)),
                ("domains", String(status.domains)),
                ("searches", "\(status.searchesInFlight) in flight, \(status.searchThreads) threads"),
                ("jobs running", String(status.jobsRunning)),
            ]
            for pending in status.pending {
                let many = pending.warning.map { "; warning: \($0)" } ?? ""
                pairs.append(("pending", "\(pending.datastore): \(pending.changes)\(many)"))
            }
            for version in status.damagedVersions { pairs.append(("damaged", version)) }
            for step in status.recovery { pairs.append(("last start", step)) }
            return properties(pairs)
        }
    }
}
