import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// `capstan reindex`
struct ReindexCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "reindex",
        abstract: "Make a new version of the newest one and the pending changes.",
        discussion: """
            Domains that follow the latest version answer from the new one, each in one revision, as soon as it is ready; \
            until then, and when it comes to nothing, they answer from the one before. The build runs beside questions, at \
            a low priority. With --if-changed nothing is made where nothing is pending.

            Prints one line for each datastore. A datastore that another job works on is busy and is left alone, so that \
            two nightly runs at once build once; --queue waits behind that job instead. When --max-time is over, the job \
            that runs is cancelled, what was pending stays so, and datastores that are left are not begun.

              capstan reindex coco
              capstan reindex --all --if-changed --max-time 3h
              capstan reindex coco web --if-changed --json

            Exit codes, the first that holds of any datastore: 3 capstand not reachable, 1 failed, 4 the recall gate \
            refused the new index, 5 busy, 0 built or nothing to do.
            """
    )

    @Argument(help: ArgumentHelp("The datastores.", valueName: "name"))
    var names: [String] = []

    @Flag(help: "All datastores.")
    var all = false

    @Flag(help: "Only where changes are pending.")
    var ifChanged = false

    @Flag(help: "Wait behind other jobs of a datastore, instead of leaving it alone as busy.")
    var queue = false

    @Flag(
        inversion: .prefixedNo, help: "Wait until the versions are ready; without, leave as soon as the jobs are taken."
    )
    var wait = true

    @Option(
        help: ArgumentHelp(
            "How long all may take, for example 30s, 15m or 3h; then the job that runs is cancelled.",
            valueName: "time"))
    var maxTime: TimeLimit?

    @OptionGroup var search: SearchSettings

    @OptionGroup var connection: Connection

    func validate() throws {
        if all != names.isEmpty { throw ValidationError("Give the names of datastores, or --all.") }
        if maxTime != nil, !wait { throw ValidationError("--max-time needs --wait: nobody is there to cancel.") }
    }

    func run() async throws {
        let client = try connection.client()
        let deadline = maxTime.map { ContinuousClock.now + $0.duration }
        var worst = ReindexOutcome.built
        for name in all ? try await client.datastores().map(\.name) : names {
            let line = try await reindex(name, client: client, deadline: deadline)
            try connection.show(line, as: \.text)
            worst = max(worst, line.outcome)
        }
        if worst.exitCode != 0 { throw ExitCode(worst.exitCode) }
    }

    /// - Throws: what makes it useless to go on to the next datastore: the daemon is not there.
    private func reindex(
        _ name: String, client: CaptionerClient, deadline: ContinuousClock.Instant?
    ) async throws -> ReindexLine {
        let start = ContinuousClock.now
        func line(
            _ outcome: ReindexOutcome, job: JobInfo? = nil, version: Int? = nil, entries: Int? = nil,
            code: String? = nil, detail: String? = nil
        ) -> ReindexLine {
            ReindexLine(
                datastore: name, outcome: outcome, version: version, entries: entries,
                seconds: start.duration(to: .now).seconds, job: job?.id, code: code, detail: detail, at: Date())
        }
        if let deadline, ContinuousClock.now >= deadline { return line(.failed, detail: "not begun: \(overTime)") }
        let request = BuildVersionRequest(
            plan: search.plan, recallGate: search.recallGate, ifChanged: ifChanged, ifIdle: !queue)
        do {
            let job: JobInfo
            switch try await client.buildVersion(of: name, request) {
            case .unchanged(let datastore): return line(.nothingToDo, version: datastore.version)
            case .started(let started): job = started
            }
            guard wait else { return line(.started, job: job) }
            let (done, isOver) = try await ended(job, client: client, deadline: deadline)
            switch done.state {
            case .succeeded:
                guard let version = done.version else { return line(.nothingToDo, job: done) }
                let entries = try await client.version(version, of: name).entries
                return line(.built, job: done, version: version, entries: entries)
            default:
                let failure =
                    done.error ?? JobFailure(code: ErrorCode.cancelled.rawValue, detail: "the job was cancelled")
                let isRefused = failure.code == Self.gateRefused
                return line(
                    isRefused ? .refused : .failed, job: done, code: failure.code,
                    detail: isOver ? "\(overTime); the job was cancelled, what is pending stays so" : failure.detail)
            }
        } catch let error as CaptionerError {
            guard let problem = error.problem else { throw error }
            let code = error.code
            return line(
                code == .datastoreBusy ? .busy : code == .nothingToBuild ? .nothingToDo : .failed, code: problem.code,
                detail: problem.detail)
        }
    }

    private static let gateRefused = ErrorCode.recallGateRefused.rawValue

    private var overTime: String { "--max-time \(maxTime?.shown ?? "") is over" }

    /// The job when it has ended, and whether time ended it.
    private func ended(
        _ job: JobInfo, client: CaptionerClient, deadline: ContinuousClock.Instant?
    ) async throws -> (JobInfo, isOver: Bool) {
        let progress = connection.json ? nil : ProgressLine(job.datastore)
        guard let deadline else {
            return (try await ProgressLine.follow(job, client: client, progress: progress), false)
        }
        let done = try await withThrowingTaskGroup(of: JobInfo?.self) { group in
            group.addTask { try await ProgressLine.follow(job, client: client, progress: progress) }
            group.addTask {
                try await Task.sleep(until: deadline, clock: .continuous)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        if let done { return (done, false) }
        do {
            _ = try await client.cancelJob(job.id)
        } catch let error as CaptionerError where error.code == .jobEnded {
            // A moment before.
        }
        let ended = try await client.waitForJob(job.id)
        return (ended, ended.state == .cancelled)
    }
}

/// What became of one datastore, the least serious first.
enum ReindexOutcome: String, Encodable, Comparable, CaseIterable {
    case nothingToDo = "nothing_to_do"
    case built
    /// Its job is taken; nobody waits for it.
    case started
    case busy
    case refused
    case failed

    var exitCode: Int32 {
        switch self {
        case .nothingToDo, .built, .started: 0
        case .busy: 5
        case .refused: 4
        case .failed: 1
        }
    }

    static func < (left: ReindexOutcome, right: ReindexOutcome) -> Bool {
        guard let left = allCases.firstIndex(of: left), let right = allCases.firstIndex(of: right) else { return false }
        return left < right
    }
}

/// The line that `capstan reindex` prints for one datastore.
private struct ReindexLine: Encodable {
    let datastore: String
    let outcome: ReindexOutcome
    /// The version that was made; where nothing was to do, the one that stays.
    let version: Int?
    let entries: Int?
    let seconds: Double
    let job: String?
    /// Of the error, when there is one.
    let code: String?
    let detail: String?
    let at: Date

    var text: String {
        let duration = Duration.seconds(seconds).shown
        let about = detail.map { ": \(printable($0))" + (code.map { " (\($0))" } ?? "") } ?? ""
        let job = job.map { ", job \($0)" } ?? ""
        return switch outcome {
        case .nothingToDo: "\(datastore): nothing to do" + (version.map { ", version \($0) stays" } ?? "")
        case .built: "\(datastore): version \(version ?? 0), \(entries ?? 0) entries, in \(duration)\(job)"
        case .started: "\(datastore): started\(job)"
        case .busy: "\(datastore): busy\(about)"
        case .refused: "\(datastore): refused by the recall gate\(about)\(job)"
        case .failed: "\(datastore): failed\(about)\(job)"
        }
    }
}

extension Duration {
    fileprivate var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
