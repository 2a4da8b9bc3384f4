import ArgumentParser
import CaptionerClient
import DatastoreCore

/// `capstan reindex`
struct ReindexCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "reindex",
        abstract: "Make a version of the pending changes.",
        discussion: """
            Domains that follow the latest version answer from the new one as soon as it is ready. Where nothing is \
            pending, nothing is made, and that is no failure.

              capstan reindex coco
              capstan reindex coco web objects
            """
    )

    /// What became of one datastore.
    private struct Outcome: Encodable {
        let datastore: String
        /// Nil when there was nothing to build.
        let job: JobInfo?
    }

    @Argument(help: ArgumentHelp("The datastores.", valueName: "name"))
    var names: [String]

    @OptionGroup var connection: Connection

    func run() async throws {
        let client = try connection.client()
        for name in names {
            let start = ContinuousClock.now
            let job = try await build(name, client: client)
            try connection.show(Outcome(datastore: name, job: job)) { outcome in
                outcome.job?.summary(duration: start.duration(to: .now)) ?? "\(name): nothing to build"
            }
            try job?.throwUnlessSucceeded()
        }
    }

    /// The ended job; nil when there was nothing to build.
    private func build(_ name: String, client: CaptionerClient) async throws -> JobInfo? {
        let progress = connection.json ? nil : ProgressLine(name)
        do {
            let job = try await client.buildVersion(of: name)
            return try await ProgressLine.follow(job, client: client, progress: progress)
        } catch let error as CaptionerError where error.code == .nothingToBuild {
            return nil
        }
    }
}
