import ArgumentParser
import CaptionerClient
import DatastoreCore

/// `capstan gc`
struct GCCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc",
        abstract: "Remove versions that retention does not keep, and what ended jobs have left.",
        discussion: """
            A datastore keeps all its versions until capstan datastore set says how many. What stays in any case: the \
            newest version, tagged ones, those that a domain is bound to, and those of the revisions that it may be rolled \
            back to. Removes at once; --dry-run shows what, how much and why.

              capstan datastore set coco --keep-last 7
              capstan gc --dry-run
              capstan gc coco
            """
    )

    @Argument(help: ArgumentHelp("The datastores; without, all, and what uploads have left.", valueName: "name"))
    var names: [String] = []

    @Flag(help: "Show what would go, and remove nothing.")
    var dryRun = false

    @Option(help: "Outputs and rejected rows of jobs that ended so many days ago go.")
    var jobFilesDays = GCRequest.defaultJobFilesDays

    @OptionGroup var connection: Connection

    func run() async throws {
        let report = try await connection.client().collectGarbage(
            GCRequest(datastores: names, dryRun: dryRun, jobFilesDays: jobFilesDays))
        try connection.show(report, as: \.text)
    }
}
