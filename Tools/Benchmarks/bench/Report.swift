import DatastoreCore
import Foundation
import VectorIndex

/// All that was measured, as a table for people and as JSON.
struct Report {
    struct Settings: Codable {
        var rows: Int
        var dim: Int
        var k: Int
        var seed: UInt64
        var seconds: Double
        var rounds: Int
        var threads: Int
        var cores = ProcessInfo.processInfo.activeProcessorCount
        var capstan = Release.version
        var faiss = VectorIndex.faissVersion
    }

    /// The import of the large datastore, from the request to the end of the job, and the version it made.
    struct Load: Codable {
        var seconds: Double
        var rowsPerSecond: Double
        var bytes: Int64
        var files: [String: Int64]
    }

    let settings: Settings
    let load: Load
    let memoryAfterLoad: Memory
    let memoryAfterRun: Memory
    let measurements: [Measurement]

    var errors: Int { measurements.reduce(0) { $0 + $1.errors } }

    private func measured(
        _ group: BenchmarkCase.Group, _ encoding: Encoding? = nil, concurrency: Int
    ) -> Measurement? {
        measurements.first {
            $0.benchmark.group == group && $0.benchmark.encoding == encoding && $0.benchmark.concurrency == concurrency
        }
    }

    private var faissAlone: Double { measured(.faiss, concurrency: 1)?.percentile(50) ?? .nan }

    /// Milliseconds that FAISS alone takes for one of `concurrency` questions at once: on one thread for one, else on
    /// all searching threads, and as often in turn as there are questions for each thread.
    private func faiss(concurrency: Int) -> Double {
        let threads = concurrency < settings.threads ? 1 : settings.threads
        let alone = measured(.faiss, concurrency: threads)?.percentile(50) ?? .nan
        return alone * Double(max(1, concurrency / threads))
    }

    /// Whether the case searches the large datastore, so that FAISS has a share in it.
    private func isCompared(_ measurement: Measurement) -> Bool {
        [.faiss, .keyIndex, .http].contains(measurement.benchmark.group)
    }

    private func notFAISS(_ measurement: Measurement) -> Double? {
        isCompared(measurement)
            ? 1 - faiss(concurrency: measurement.benchmark.concurrency) / measurement.percentile(50) : nil
    }

    // MARK: For people

    var table: String {
        let columns = [
            "case", "at once", "answers", "errors", "p50 ms", "p90 ms", "p99 ms", "max ms", "answers/s", "p50/FAISS",
            "not FAISS", "daemon CPU ms", "client CPU ms",
        ]
        let lines = measurements.map { measurement in
            let isInProcess = [.faiss, .keyIndex].contains(measurement.benchmark.group)
            return [
                name(measurement.benchmark), String(measurement.benchmark.concurrency),
                String(measurement.answers), String(measurement.errors),
                decimal(measurement.percentile(50)), decimal(measurement.percentile(90)),
                decimal(measurement.percentile(99)), decimal(measurement.largest), decimal(measurement.perSecond, 1),
                isCompared(measurement) ? decimal(measurement.percentile(50) / faissAlone) : "-",
                notFAISS(measurement).map { decimal($0 * 100, 1) + "%" } ?? "-",
                isInProcess ? "-" : decimal(measurement.daemonCPUPerAnswer), decimal(measurement.ownCPUPerAnswer),
            ]
        }
        return """
            capstan \(settings.capstan), FAISS \(settings.faiss), \(settings.cores) cores, \(settings.threads) searching \
            threads; \(settings.rows) rows of \(settings.dim), k \(settings.k), seed \(settings.seed), \
            \(settings.seconds) s per case in \(settings.rounds) rounds

            \(aligned([columns] + lines))

            Client: a blocking socket per thread, requests made beforehand, one write each; it shares the cores.
            p50/FAISS compares with FAISS alone on one thread. "not FAISS" is 1 - FAISS/p50, where FAISS is its own p50
            with as many threads at once as questions can run, times the turns that a question waits for when there are
            more questions than searching threads. CPU is per answer.

            \(aligned([["one question, one client", "p50 ms", "of the whole"]] + breakdown))

            import: \(decimal(load.seconds, 1)) s, \(decimal(load.rowsPerSecond, 0)) rows/s
            version: \(size(load.bytes)): \(files)
            memory after load: \(text(memoryAfterLoad))
            memory after run:  \(text(memoryAfterRun))\(firstErrors)
            """
    }

    /// Where the time of one question goes, by differences of medians.
    private var breakdown: [[String]] {
        guard let key = measured(.keyIndex, concurrency: 1)?.percentile(50),
            let livez = measured(.livez, concurrency: 1)?.percentile(50)
        else { return [] }
        return Encoding.allCases.flatMap { encoding -> [[String]] in
            guard let whole = measured(.http, encoding, concurrency: 1)?.percentile(50),
                let tiny = measured(.httpTiny, encoding, concurrency: 1)?.percentile(50)
            else { return [] }
            func line(_ what: String, _ value: Double) -> [String] {
                ["  \(what)", decimal(value), decimal(value / whole * 100, 1) + "%"]
            }
            return [
                ["\(encoding.rawValue), \(settings.rows) rows", decimal(whole), "100.0%"],
                line("FAISS", faissAlone),
                line("exact scores of the candidates (KeyIndex - FAISS)", key - faissAlone),
                line("HTTP itself (livez)", livez),
                line("decode, hops, texts, encode (tiny - livez)", tiny - livez),
                line("the rest (caches that FAISS emptied, noise)", whole - key - tiny),
            ]
        }
    }

    private func name(_ benchmark: BenchmarkCase) -> String {
        let encoding = benchmark.encoding?.rawValue ?? ""
        return switch benchmark.group {
        case .faiss: "FAISS alone"
        case .keyIndex: "KeyIndex.search"
        case .http: "HTTP \(encoding)"
        case .httpTiny: "HTTP \(encoding), tiny"
        case .livez: "GET /livez"
        }
    }

    /// The first column to the left, the others to the right.
    private func aligned(_ lines: [[String]]) -> String {
        let widths = (lines.first ?? []).indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            line.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - line[column].count)
                return column == 0 ? line[column] + padding : padding + line[column]
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }

    private var files: String {
        load.files.sorted { $0.key < $1.key }.map { "\($0.key) \(size($0.value))" }.joined(separator: ", ")
    }

    private var firstErrors: String {
        measurements.compactMap { measurement in
            measurement.firstError.map { "\nerror: \(name(measurement.benchmark)): \($0)" }
        }.joined()
    }

    private func text(_ memory: Memory) -> String {
        "resident \(size(Int64(memory.resident))) (heap \(size(Int64(memory.anonymous))), mapped files "
            + "\(size(Int64(memory.mapped)))), peak \(size(Int64(memory.peak)))"
    }

    private func size(_ bytes: Int64) -> String { decimal(Double(bytes) / 1_048_576, 1) + " MiB" }

    private func decimal(_ value: Double, _ digits: Int = 3) -> String {
        value.isFinite ? value.formatted(.number.precision(.fractionLength(digits)).grouping(.never)) : "-"
    }

    // MARK: For programs

    private struct Document: Encodable {
        var settings: Settings
        var load: Load
        var memoryAfterLoad: Memory
        var memoryAfterRun: Memory
        var cases: [Case]
    }

    private struct Case: Encodable {
        var group: BenchmarkCase.Group
        var encoding: Encoding?
        var concurrency: Int
        var answers: Int
        var errors: Int
        var p50Ms: Double
        var p90Ms: Double
        var p99Ms: Double
        var maxMs: Double
        var meanMs: Double
        var answersPerSecond: Double
        var p50ToFaiss: Double?
        var notFaiss: Double?
        var daemonCpuMs: Double?
        var clientCpuMs: Double
    }

    var json: Data {
        get throws {
            let cases = measurements.map { measurement in
                Case(
                    group: measurement.benchmark.group, encoding: measurement.benchmark.encoding,
                    concurrency: measurement.benchmark.concurrency, answers: measurement.answers,
                    errors: measurement.errors, p50Ms: measurement.percentile(50), p90Ms: measurement.percentile(90),
                    p99Ms: measurement.percentile(99), maxMs: measurement.largest, meanMs: measurement.mean,
                    answersPerSecond: measurement.perSecond,
                    p50ToFaiss: isCompared(measurement) ? measurement.percentile(50) / faissAlone : nil,
                    notFaiss: notFAISS(measurement),
                    daemonCpuMs: [.faiss, .keyIndex].contains(measurement.benchmark.group)
                        ? nil : measurement.daemonCPUPerAnswer,
                    clientCpuMs: measurement.ownCPUPerAnswer)
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            encoder.keyEncodingStrategy = .convertToSnakeCase
            return try encoder.encode(
                Document(
                    settings: settings, load: load, memoryAfterLoad: memoryAfterLoad, memoryAfterRun: memoryAfterRun,
                    cases: cases))
        }
    }
}
