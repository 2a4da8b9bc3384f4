import DatastoreCore
import Foundation

/// All that was measured, as a table for people and as JSON.
struct QueryReport {
    struct Settings: Codable {
        var k: Int
        var seed: UInt64
        var seconds: Double
        var rounds: Int
        var threads: Int
        var sets: [Shape]
        var cores = ProcessInfo.processInfo.activeProcessorCount
        var capstan = Release.version
    }

    struct Shape: Codable {
        var name: String
        var rows: Int
        var dim: Int
    }

    let settings: Settings
    /// Of the daemon, after the run.
    let memory: Memory
    let measurements: [Measurement]

    var errors: Int { measurements.reduce(0) { $0 + $1.errors } }

    /// The bare search that a case stands beside: with as many threads as its questions can run on.
    private func bare(_ measurement: Measurement) -> Measurement? {
        let threads = min(measurement.benchmark.concurrency, settings.threads)
        return measurements.first {
            $0.benchmark.set == measurement.benchmark.set && $0.benchmark.way == .bare
                && $0.benchmark.concurrency == threads
        }
    }

    /// Milliseconds over the bare search: the median of the differences of medians, block by block. Of one client only:
    /// more than there are threads wait for one another.
    private func added(_ measurement: Measurement) -> Double? {
        guard measurement.benchmark.concurrency == 1 else { return nil }
        return compared(measurement) { $0.p50 - $1.p50 }
    }

    /// Answers per second as a part of the bare search's, by blocks in the same way.
    private func share(_ measurement: Measurement) -> Double? {
        compared(measurement) { $0.perSecond / $1.perSecond }
    }

    private func compared(
        _ measurement: Measurement,
        _ compare: ((p50: Double, perSecond: Double), (p50: Double, perSecond: Double)) -> Double
    ) -> Double? {
        guard measurement.benchmark.way != .bare, let bare = bare(measurement) else { return nil }
        let values = zip(measurement.blocks, bare.blocks).map(compare).filter(\.isFinite).sorted()
        return values.isEmpty ? nil : values[values.count / 2]
    }

    // MARK: For people

    var table: String {
        let columns = [
            "set, way", "at once", "answers", "errors", "p50 ms", "p99 ms", "over bare ms", "answers/s", "of bare",
            "daemon CPU ms", "client CPU ms",
        ]
        var lines = [columns]
        for shape in settings.sets {
            lines.append(["\(shape.name): \(shape.rows) x \(shape.dim)"])
            lines += measurements.filter { $0.benchmark.set == shape.name }.map(line)
        }
        lines.append(["the daemon alone"])
        lines += measurements.filter { $0.benchmark.set == nil }.map(line)
        return """
            capstan \(settings.capstan), \(settings.cores) cores, \(settings.threads) searching threads, k \(settings.k), \
            seed \(settings.seed), \(settings.seconds) s per case in \(settings.rounds) blocks

            \(aligned(lines))

            Client: a blocking socket per thread, requests made beforehand, one write each; it shares the cores.
            "over bare" is the median over the blocks of p50 less the p50 of the bare search; "of bare" the same of answers
            per second as a part of what the bare search does on as many threads as can search. CPU is per answer.
            memory of the daemon: resident \(size(memory.resident)) (heap \(size(memory.anonymous)), mapped files \
            \(size(memory.mapped)))\(firstErrors)
            """
    }

    private func line(_ measurement: Measurement) -> [String] {
        [
            "  \(measurement.benchmark.way)", String(measurement.benchmark.concurrency), String(measurement.answers),
            String(measurement.errors), decimal(measurement.percentile(50)), decimal(measurement.percentile(99)),
            added(measurement).map { decimal($0) } ?? "-", decimal(measurement.perSecond, 1),
            share(measurement).map { decimal($0 * 100, 1) + "%" } ?? "-",
            measurement.benchmark.way == .bare ? "-" : decimal(measurement.daemonCPUPerAnswer),
            decimal(measurement.ownCPUPerAnswer),
        ]
    }

    /// The first column to the left, the others to the right; a line of one column is a heading.
    private func aligned(_ lines: [[String]]) -> String {
        let widths = (lines.first ?? []).indices.map { column in
            lines.map { column < $0.count && $0.count > 1 ? $0[column].count : 0 }.max() ?? 0
        }
        return lines.map { line in
            guard line.count > 1 else { return "\n" + (line.first ?? "") }
            return line.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - line[column].count)
                return column == 0 ? line[column] + padding : padding + line[column]
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }

    private var firstErrors: String {
        measurements.compactMap { measurement in
            measurement.firstError.map {
                "\nerror: \(measurement.benchmark.set ?? "") \(measurement.benchmark.way): \($0)"
            }
        }.joined()
    }

    private func size(_ bytes: Int) -> String { decimal(Double(bytes) / 1_048_576, 1) + " MiB" }

    private func decimal(_ value: Double, _ digits: Int = 3) -> String {
        value.isFinite ? value.formatted(.number.precision(.fractionLength(digits)).grouping(.never)) : "-"
    }

    // MARK: For programs

    private struct Document: Encodable {
        var settings: Settings
        var memory: Memory
        var cases: [Case]
    }

    private struct Case: Encodable {
        var set: String?
        var way: String
        var concurrency: Int
        var answers: Int
        var errors: Int
        var p50Ms: Double
        var p90Ms: Double
        var p99Ms: Double
        var maxMs: Double
        var meanMs: Double
        var answersPerSecond: Double
        var overBareMs: Double?
        var ofBare: Double?
        var daemonCpuMs: Double?
        var clientCpuMs: Double
    }

    var json: Data {
        get throws {
            let cases = measurements.map { measurement in
                Case(
                    set: measurement.benchmark.set, way: measurement.benchmark.way.description,
                    concurrency: measurement.benchmark.concurrency, answers: measurement.answers,
                    errors: measurement.errors, p50Ms: measurement.percentile(50), p90Ms: measurement.percentile(90),
                    p99Ms: measurement.percentile(99), maxMs: measurement.largest, meanMs: measurement.mean,
                    answersPerSecond: measurement.perSecond, overBareMs: added(measurement),
                    ofBare: share(measurement),
                    daemonCpuMs: measurement.benchmark.way == .bare ? nil : measurement.daemonCPUPerAnswer,
                    clientCpuMs: measurement.ownCPUPerAnswer)
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            encoder.keyEncodingStrategy = .convertToSnakeCase
            return try encoder.encode(Document(settings: settings, memory: memory, cases: cases))
        }
    }
}
