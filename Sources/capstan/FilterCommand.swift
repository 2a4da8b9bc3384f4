public import ArgumentParser
import CaptionerClient
public import DatastoreCore
import Foundation

/// `capstan filter`
struct FilterCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "filter",
        abstract: "Drop entries whose image and text do not fit, and make a version of the others (CapFilt).",
        discussion: """
            The score of an entry is the cosine of its vectors of two keys, or a number of its payload. Entries with a \
            score below the threshold are dropped; capstan jobs output ID has them all. The versions before stay.

              capstan filter web --keys image,text --threshold 0.28 --dry-run
              capstan filter web --keys image,text --threshold 0.28 --threshold-for synthetic=0.3
              capstan filter web --payload itm --threshold 0.5 --drop-unscored
            """
    )

    @Argument(help: "The datastore.")
    var name: String

    @Option(help: ArgumentHelp("Score by the cosine of the vectors of these two keys.", valueName: "key,key"))
    var keys: String?

    @Option(help: ArgumentHelp("Score by this number of the payload.", valueName: "name"))
    var payload: String?

    @Option(parsing: .unconditional, help: "Drop entries with a score below.")
    var threshold: Float?

    @Option(
        name: .customLong("threshold-for"),
        help: ArgumentHelp(
            "Another threshold for entries of an origin, or of none; may be repeated.", valueName: "origin=threshold"),
        transform: { try ThresholdArgument($0) })
    var thresholds: [ThresholdArgument] = []

    @Flag(help: "Drop entries without a score too.")
    var dropUnscored = false

    @Option(help: ArgumentHelp("Kept and dropped entries nearest to the threshold to show of each.", valueName: "n"))
    var examples = 10

    @Flag(help: "Change nothing, and say what would be dropped.")
    var dryRun = false

    @Flag(name: .customLong("no-wait"), help: "Leave as soon as the job is taken.")
    var noWait = false

    @OptionGroup var connection: Connection

    func validate() throws {
        guard (keys == nil) != (payload == nil) else {
            throw ValidationError("Give one of --keys KEY,KEY and --payload NAME.")
        }
        if let keys, keys.split(separator: ",").count != 2 {
            throw ValidationError("--keys: got \"\(keys)\", expected two keys, for example image,text.")
        }
        let origins = thresholds.map(\.origin)
        if let twice = origins.first(where: { origin in origins.count { $0 == origin } > 1 }) {
            throw ValidationError("--threshold-for \(twice) is given twice, expected each origin once.")
        }
        guard threshold != nil || !thresholds.isEmpty else {
            throw ValidationError("Give --threshold, or --threshold-for an origin.")
        }
    }

    func run() async throws {
        let start = ContinuousClock.now
        let client = try connection.client()
        let job = try await client.startFilter(try request(), of: name)
        if noWait {
            return try connection.show(job) { "job \($0.id) is \($0.state.rawValue); see: capstan jobs show \($0.id)" }
        }
        let progress = connection.json ? nil : ProgressLine(name)
        let done = try await ProgressLine.follow(job, client: client, progress: progress)
        try connection.show(done) { job in
            guard let report = job.filterReport else { return job.summary(duration: start.duration(to: .now)) }
            let made = job.version.map { "version \($0)" } ?? (report.dryRun ? "nothing was changed" : "no version")
            return "\(name): \(report.sentence); \(made), in \(start.duration(to: .now).shown), job \(job.id)\n\n"
                + report.details
        }
        try done.throwUnlessSucceeded()
    }

    private func request() throws -> FilterRequest {
        let pair = (keys ?? "").split(separator: ",").map(String.init)
        let score = payload.map { FilterRequest.Score.payload($0) } ?? .keys(pair.first ?? "", pair.last ?? "")
        let request = FilterRequest(
            score: score, threshold: threshold,
            thresholds: Dictionary(thresholds.map { ($0.origin, $0.threshold) }) { _, last in last },
            unscored: dropUnscored ? .drop : .keep, examples: examples, dryRun: dryRun)
        try request.validate()
        return request
    }
}

/// `--threshold-for ORIGIN=THRESHOLD`.
struct ThresholdArgument {
    let origin: String
    let threshold: Float

    init(_ argument: String) throws {
        let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, let threshold = Float(parts[1]), threshold.isFinite else {
            throw ValidationError("got \"\(argument)\", expected ORIGIN=THRESHOLD, for example web=0.3")
        }
        origin = parts[0]
        self.threshold = threshold
    }
}

extension FilterReport {
    var sentence: String {
        "\(kept) kept, \(dropped) dropped\(unscored > 0 ? "; \(unscored) without a score" : "")"
    }

    /// Counts by origin, the scores as bars, and examples around the threshold.
    fileprivate var details: String {
        var parts = [
            Table(
                heading: ["ORIGIN", "KEPT", "DROPPED"],
                rows: origins.sorted { $0.key < $1.key }.map {
                    [$0.key, String($0.value.kept), String($0.value.dropped)]
                },
                numbers: ["KEPT", "DROPPED"]
            ).text
        ]
        if !histogram.counts.allSatisfy({ $0 == 0 }) { parts.append(histogram.bars) }
        for (title, examples) in [("dropped", droppedExamples), ("kept", keptExamples)] where !examples.isEmpty {
            let table = Table(
                heading: ["SCORE", "TEXT", "ORIGIN", "IMAGE", "ENTRY"],
                rows: examples.map { example in
                    [
                        example.score.map { String(format: "%.4f", $0) } ?? "-", example.text,
                        example.origin?.rawValue ?? "-", example.imageID ?? "-", "#\(example.id)",
                    ]
                },
                numbers: ["SCORE"])
            parts.append("\(title), nearest to the threshold:\n\(table.text)")
        }
        return parts.joined(separator: "\n\n")
    }
}

extension FilterReport.Histogram {
    private static let width = 40

    /// A line for each bin, from the first to the last with a score.
    fileprivate var bars: String {
        let largest = max(1, counts.max() ?? 0)
        let bin = (high - low) / Float(max(1, counts.count))
        let first = counts.firstIndex { $0 > 0 } ?? 0
        let last = counts.lastIndex { $0 > 0 } ?? 0
        return Table(
            heading: ["FROM", "TO", "ENTRIES", "SCORES"],
            rows: (first...last).map { index in
                let length = Int((Double(counts[index]) / Double(largest) * Double(Self.width)).rounded(.up))
                return [
                    String(format: "%.3f", low + Float(index) * bin),
                    String(format: "%.3f", low + Float(index + 1) * bin),
                    String(counts[index]), String(repeating: "#", count: max(0, min(length, Self.width))),
                ]
            },
            numbers: ["FROM", "TO", "ENTRIES"]
        ).text
    }
}
