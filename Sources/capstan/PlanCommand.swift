import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// `capstan plan`
struct PlanCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show what each way of searching a datastore takes, before any work.",
        discussion: """
            Size, memory, time to build and time of a search, for exact search and every kind of index; exact searches are \
            measured now on the newest version, the others computed. The line marked * is what the next build uses.

              capstan plan coco
              capstan plan coco --plan auto:latency_ms=5
              capstan plan coco --rows 2000000 --plan ivf_sq8:nprobe=32
              capstan datastore set coco --plan auto      from the next build on
            """
    )

    @Argument(help: "The datastore.")
    var name: String

    @Option(help: "The dense key; else the first.")
    var key: String?

    @Option(help: "For so many entries; else for those that are there.")
    var rows: Int?

    @Option(
        help: ArgumentHelp("Another plan than the datastore's.", valueName: "plan"),
        transform: { try IndexPlan(argument: $0) })
    var plan: IndexPlan?

    @OptionGroup var connection: Connection

    func run() async throws {
        let answer = try await connection.client().plan(of: name, key: key, rows: rows, plan: plan)
        try connection.show(answer) { answer in
            let lines = answer.estimates.map { estimate in
                [
                    (estimate.plan.method == answer.chosen.method ? "* " : "  ") + estimate.plan.description,
                    estimate.indexBytes.shownAsBytes, estimate.memoryBytes.shownAsBytes,
                    Self.shown(seconds: estimate.buildSeconds), Self.shown(estimate.latencyMilliseconds) + " ms",
                    estimate.against ?? "",
                ]
            }
            return """
                \(answer.datastore), key \(answer.key): \(answer.rows) entries of \(answer.dim) numbers
                asked for \(answer.plan), chosen \(answer.chosen)
                \(answer.reason)
                from \(answer.basis)
                an index must find \(answer.gate) of the 10 nearest

                \(Table(
                    heading: ["  PLAN", "INDEX", "MEMORY", "BUILD", "SEARCH", "AGAINST IT"], rows: lines,
                    numbers: ["INDEX", "MEMORY", "BUILD", "SEARCH"]
                ).text)
                """
        }
    }

    private static func shown(_ value: Double) -> String {
        value >= 10 ? String(Int(value.rounded())) : "\((value * 100).rounded() / 100)"
    }

    private static func shown(seconds: Double) -> String {
        seconds < 120 ? "\(Int(seconds.rounded(.up))) s" : "\(Int((seconds / 60).rounded(.up))) min"
    }
}
