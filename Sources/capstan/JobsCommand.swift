public import ArgumentParser
import CaptionerClient
public import DatastoreCore
import Foundation

/// `capstan jobs`
struct JobsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "List, watch and cancel imports, builds, filters and dumps, and show what they refused and made.",
        discussion: """
              capstan jobs list --state running
              capstan jobs watch ID
              capstan jobs cancel ID
              capstan jobs rejects ID
              capstan jobs output ID -o captions.json
            """,
        subcommands: [List.self, Show.self, Watch.self, Cancel.self, Rejects.self, Output.self]
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

        func validate() throws {
            guard limit > 0 else { throw ValidationError("--limit: got \(limit), expected a number above 0.") }
        }

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
            try connection.show(try await connection.client().job(id)) { $0.details }
        }
    }

    struct Watch: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Follow a job until it has ended.",
            discussion: """
                Leaves with 0 when the job succeeded, 1 when it failed or was cancelled.

                  capstan jobs watch ID
                  capstan jobs watch ID --json | jq .counts.seen
                """
        )

        @Argument(help: "The job.")
        var id: String

        @OptionGroup var connection: Connection

        func run() async throws {
            let client = try connection.client()
            if connection.json {
                let done = try await client.waitForJob(id) { job in try? connection.show(job) { $0.details } }
                return try done.throwUnlessSucceeded()
            }
            let job = try await client.job(id)
            let done = try await ProgressLine.follow(job, client: client, progress: ProgressLine(job.datastore))
            try StandardOutput.write(done.details)
            try done.throwUnlessSucceeded()
        }
    }

    struct Cancel: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop a job; what it has read is dropped.", discussion: "  capstan jobs cancel ID")

        @Argument(help: "The job.")
        var id: String

        @OptionGroup var connection: Connection

        func run() async throws {
            let client = try connection.client()
            let asked = try await client.cancelJob(id)
            let done = asked.state.isFinal ? asked : try await client.waitForJob(id)
            try connection.show(done) { job in
                job.state == .cancelled
                    ? "job \(job.id) is cancelled; \(job.datastore) is as it was"
                    : "too late: job \(job.id) \(job.state.rawValue)"
            }
            if done.state != .cancelled { throw ExitCode(1) }
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
                    \(row.place): \(row.code.rawValue): \(printable(row.detail))
                      \(printable(row.excerpt))
                    """
                }
            }
        }
    }

    struct Output: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fetch what a job made: the captions of a dump, the entries that a filter dropped.",
            discussion: """
                  capstan jobs output ID -o captions.json
                  capstan jobs output ID | jq length
                """
        )

        @Argument(help: "The job.")
        var id: String

        @Option(name: .shortAndLong, help: ArgumentHelp("A file for it; else standard output.", valueName: "file"))
        var output: String?

        @OptionGroup var connection: Connection

        func run() async throws {
            try await OutputFile(output).write(connection.client().output(of: id))
        }
    }
}

extension JobState: ExpressibleByArgument {}

extension RejectedRow {
    /// Where it is, for people.
    var place: String { "row \(row), line \(line), byte \(byte)" }
}

extension JobCounts {
    var shown: String {
        "\(seen) seen: \(accepted) accepted, \(replaced) replaced, \(duplicate) duplicate, \(rejected) rejected"
    }
}

extension JobInfo {
    /// All that is known of it, a line for each thing.
    var details: String {
        let codes = rejectedByCode.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        return properties([
            ("job", id),
            ("kind", kind.rawValue),
            ("datastore", datastore),
            ("domain", domain),
            ("state", state.rawValue + (cancelRequested && !state.isFinal ? ", asked to stop" : "")),
            ("phase", phase.rawValue),
            ("progress", progress?.shown),
            ("rows", kind == .import ? counts.shown + (isLost ? "; nothing was kept" : "") : nil),
            ("rejected", codes.isEmpty ? nil : codes.joined(separator: ", ")),
            ("form", report.map { "\($0.format.rawValue), vectors of \($0.dim) from \($0.vectors.shown)" }),
            ("dry run", report.flatMap { $0.dryRun ? "nothing was changed" : nil }),
            ("would have", report?.entries.map { "\($0) entries, index \(report?.indexPlan ?? "exact")" }),
            ("would take", report.flatMap(\.estimateShown)),
            ("notes", report.flatMap { $0.notes.isEmpty ? nil : $0.notes.joined(separator: "; ") }),
            ("filter", filterReport.map { $0.sentence + ($0.dryRun ? "; nothing was changed" : "") }),
            ("dump", dumpReport.map(\.sentence)),
            ("verified", verifyReport.map(\.sentence)),
            ("version", version.map(String.init)),
            ("error", error.map { "\($0.detail) (\($0.code))" }),
            ("asked by", submittedBy),
            ("resumed", resumed > 0 ? (resumed == 1 ? "once" : "\(resumed) times") : nil),
            ("made at", createdAt.shown),
            ("started at", startedAt?.shown),
            ("ended at", finishedAt?.shown),
        ])
    }

    /// One line about a job that has ended.
    func summary(duration: Duration) -> String {
        let rows = kind == .import ? " \(counts.shown)\(isLost ? ", nothing was kept" : "");" : ""
        let isUnchanged = kind == .import && state == .succeeded && counts.accepted + counts.replaced == 0
        let made = version.map { "version \($0)" } ?? (isUnchanged ? "nothing changed" : "no version")
        let form = report.map { " (\($0.format.rawValue), vectors from \($0.vectors.shown))" } ?? ""
        return
            "\(datastore):\(rows) \(state == .succeeded ? made : state.rawValue), in \(duration.shown)\(form), job \(id)"
    }

    /// Whether rows were read that are in no version and will be in none.
    private var isLost: Bool {
        kind == .import && (state == .cancelled || state == .failed && phase == .reading)
    }

    /// - Throws: Why the job failed.
    func throwUnlessSucceeded() throws {
        guard state != .succeeded else { return }
        throw error ?? JobFailure(code: ErrorCode.interrupted.rawValue, detail: "job \(id) was \(state.rawValue)")
    }
}

extension JobProgress {
    /// For example ` 42%, 13700 rows/s, 12 s left`.
    var shown: String {
        let left = secondsLeft.map { ", \(Duration.seconds(max(0, $0.rounded(.up))).shownLong) left" } ?? ""
        return String(format: "%.0f%%, %.0f rows/s", fraction * 100, rowsPerSecond) + left
    }
}

extension VectorOrigin {
    var shown: String {
        switch self {
        case .rows: "the rows"
        case .file: "a NumPy file"
        case .index: "a FAISS index"
        case .encoder: "the encoder"
        }
    }
}

extension ImportReport {
    fileprivate var estimateShown: String? {
        guard let diskBytes, let memoryBytes else { return nil }
        return "\(diskBytes.shownAsBytes) on disk, \(memoryBytes.shownAsBytes) in memory while it is open"
    }
}
