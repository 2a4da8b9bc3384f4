public import ArgumentParser
import CaptionerClient
public import DatastoreCore

/// `capstan jobs`
struct JobsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "List and show imports and builds, and the rows they refused.",
        discussion: """
              capstan jobs list --state running
              capstan jobs rejects ID
            """,
        subcommands: [List.self, Show.self, Rejects.self]
    )
}

extension JobsCommand {
    struct List: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "List jobs, newest first.",
            discussion: """
                  capstan jobs list
                  capstan jobs list --datastore coco --state failed
                """
        )

        @Option(help: ArgumentHelp("Of this datastore only.", valueName: "name"))
        var datastore: String?

        @Option(help: "In this state only.")
        var state: JobState?

        @Option(help: "The newest so many.")
        var limit = 20

        @OptionGroup var connection: Connection

        func run() async throws {
            let jobs = try await connection.client().jobs(datastore: datastore, state: state, limit: limit)
            try connection.show(each: jobs) { jobs in
                Table(
                    heading: ["ID", "KIND", "DATASTORE", "STATE", "SEEN", "REJECTED", "VERSION", "MADE AT"],
                    rows: jobs.map { job in
                        [
                            job.id, job.kind.rawValue, job.datastore, job.state.rawValue, String(job.counts.seen),
                            String(job.counts.rejected), job.version.map(String.init) ?? "-", job.createdAt.shown,
                        ]
                    },
                    numbers: ["SEEN", "REJECTED", "VERSION"]
                ).text
            }
        }
    }

    struct Show: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one job.", discussion: "  capstan jobs show ID")

        @Argument(help: "The job.")
        var id: String

        @OptionGroup var connection: Connection

        func run() async throws {
            try connection.show(try await connection.client().job(id)) { job in
                properties([
                    ("job", job.id),
                    ("kind", job.kind.rawValue),
                    ("datastore", job.datastore),
                    ("state", job.state.rawValue),
                    ("phase", job.phase.rawValue),
                    ("rows", job.kind == .import ? job.counts.shown : nil),
                    ("version", job.version.map(String.init)),
                    ("error", job.error.map { "\($0.detail) (\($0.code))" }),
                    ("made at", job.createdAt.shown),
                    ("started at", job.startedAt?.shown),
                    ("ended at", job.finishedAt?.shown),
                ])
            }
        }
    }

    struct Rejects: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show every row that an import refused.",
            discussion: """
                  capstan jobs rejects ID
                  capstan jobs rejects ID --json | jq -r .code | sort | uniq -c
                """
        )

        @Argument(help: "The job.")
        var id: String

        @OptionGroup var connection: Connection

        func run() async throws {
            for try await row in try connection.client().rejects(of: id) {
                try connection.show(row) { row in
                    """
                    line \(row.line): \(row.code.rawValue): \(printable(row.detail))
                      \(printable(row.excerpt))
                    """
                }
            }
        }
    }
}

extension JobState: ExpressibleByArgument {}

extension JobCounts {
    var shown: String {
        "\(seen) seen: \(accepted) accepted, \(replaced) replaced, \(duplicate) duplicate, \(rejected) rejected"
    }
}

extension JobInfo {
    /// One line about a job that has ended.
    func summary(duration: Duration) -> String {
        let rows = kind == .import ? " \(counts.shown);" : ""
        let made = version.map { "version \($0)" } ?? "no version"
        return "\(datastore):\(rows) \(state == .succeeded ? made : state.rawValue), in \(duration.shown)"
    }

    /// - Throws: Why the job failed.
    func throwUnlessSucceeded() throws {
        guard state != .succeeded else { return }
        throw error ?? JobFailure(code: ErrorCode.interrupted.rawValue, detail: "job \(id) was \(state.rawValue)")
    }
}
