import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// What it takes to write a version into a file and to bring it back, beside tar and lz4 of the same folder.
struct BenchBundle: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bundle",
        abstract: "Times capstan export and capstan import of a bundle, beside tar and lz4.",
        discussion: """
            It makes clustered vectors and short texts, imports them into a capstand of its own, and then, round by round: tar \
            and lz4 of the version's folder, capstan export (with its check of the file), lz4 and tar back, and capstan import \
            after the datastore was deleted. Each ends with all bytes on disk. It removes what it made. Nothing else should run \
            on the machine meanwhile.
            """)

    @Option(help: "Rows of the version.")
    var rows = 500_000

    @Option(help: "Components of each vector.")
    var dim = 512

    @Option(help: "How often each is done; the median is shown.")
    var rounds = 3

    @Option(help: "Where the random numbers start.")
    var seed: UInt64 = 1

    @Option(help: "The folder to work in, removed afterwards; else a temporary one.")
    var folder: String?

    func run() async throws {
        let work = try WorkFolder("bench-bundle", in: folder)
        defer { work.remove() }
        let folder = work.url
        progress("making \(rows) rows of \(dim)")
        let files = try DatasetFiles(name: "large", rows: rows, dim: dim, seed: seed, folder: folder)
        let daemon = try await BenchmarkDaemon(folder: folder, threads: 2)
        defer { daemon.stop() }
        do {
            progress("importing them")
            let version = try await load(files, daemon.client)
            let times = try await measure(version, daemon, folder)
            show(version, times)
        } catch {
            progress("capstand \(daemon.isRunning ? "runs" : "has ended"); its log ends with:\n\(daemon.logEnd)")
            throw error
        }
    }

    private struct Times {
        var tar: [Double] = []
        var export: [Double] = []
        var untar: [Double] = []
        var restore: [Double] = []
        var tarBytes = 0
        var bundleBytes = 0
        var peak = 0
    }

    private func load(_ files: DatasetFiles, _ client: CaptionerClient) async throws -> VersionInfo {
        try await client.createDatastore(
            CreateDatastoreRequest(
                name: "large", kind: .captions, keys: [KeySpec(name: "text", dim: dim, metric: .cosine)]))
        let job = try await client.importFromServerPath(
            ImportRequest(rowsPath: files.rowsFile.path, vectorsPath: files.vectorsFile.path), into: "large")
        let done = try await client.waitForJob(job.id)
        guard done.state == .succeeded, let version = done.version else {
            throw BenchmarkError("the import ended \(done.state): \(done.error?.detail ?? "no reason")")
        }
        return try await client.version(version, of: "large")
    }

    private func measure(_ version: VersionInfo, _ daemon: BenchmarkDaemon, _ folder: URL) async throws -> Times {
        var times = Times()
        let tar = folder.appending(path: "large.tar.lz4")
        let bundle = folder.appending(path: "large.capstan")
        let unpacked = folder.appending(path: "unpacked")
        let source = folder.appending(path: "data/datastores/large/versions/000001")
        let capstan = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent().appending(path: "capstan").path
        let url = "http://\(daemon.address)"
        for round in 1...max(1, rounds) {
            progress("round \(round): tar and lz4")
            times.tar.append(
                try seconds("tar -C \(source.path) -cf - . | lz4 -q -f - \(tar.path) && sync \(tar.path)"))
            times.tarBytes = try size(tar)
            progress("round \(round): capstan export")
            times.export.append(
                try seconds(
                    "\(capstan) export large@\(version.version) -o \(bundle.path) --url \(url) --json > /dev/null"))
            times.bundleBytes = try size(bundle)
            progress("round \(round): lz4 and tar back")
            try FileManager.default.createDirectory(at: unpacked, withIntermediateDirectories: true)
            times.untar.append(
                try seconds("lz4 -q -dc \(tar.path) | tar -C \(unpacked.path) -xf - && sync -f \(unpacked.path)"))
            try seconds("chmod -R u+w \(unpacked.path) && rm -r \(unpacked.path)")
            progress("round \(round): capstan import")
            try await daemon.client.deleteDatastore("large")
            times.restore.append(try seconds("\(capstan) import \(bundle.path) --url \(url) --json > /dev/null"))
            times.peak = max(times.peak, try daemon.statistics.memory().anonymous)
        }
        return times
    }

    private func show(_ version: VersionInfo, _ times: Times) {
        let bytes = Double(version.bytes)
        func line(_ seconds: [Double], _ other: [Double]) -> String {
            let median = Self.median(seconds)
            return
                "\(number(median, 2)) s (\(number(bytes / median / 1e6, 0)) MB/s), \(number(median / Self.median(other), 2)) times"
        }
        let lines: [(String, String)] = [
            ("version", "\(rows) x \(dim): \(number(bytes / 1e6, 0)) MB"),
            ("tar | lz4", "\(line(times.tar, times.tar)), \(number(Double(times.tarBytes) / 1e6, 0)) MB"),
            ("capstan export", "\(line(times.export, times.tar)), \(number(Double(times.bundleBytes) / 1e6, 0)) MB"),
            ("lz4 | tar", line(times.untar, times.untar)),
            ("capstan import", line(times.restore, times.untar)),
            ("memory of capstand", "heap \(number(Double(times.peak) / 1e6, 0)) MB, the open index in it"),
        ]
        let width = lines.map(\.0.count).max() ?? 0
        for (name, value) in lines { print(name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + value) }
    }

    private static func median(_ values: [Double]) -> Double {
        values.isEmpty ? .nan : values.sorted()[values.count / 2]
    }

    @discardableResult
    private func seconds(_ script: String) throws -> Double {
        let start = ContinuousClock.now
        let process = Process()
        process.executableURL = URL(filePath: "/bin/bash")
        process.arguments = ["-c", "set -o pipefail; " + script]
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw BenchmarkError("failed: \(script)") }
        return (ContinuousClock.now - start) / .seconds(1)
    }

    private func size(_ file: URL) throws -> Int {
        try file.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
    }

    private func number(_ value: Double, _ digits: Int) -> String {
        value.formatted(.number.precision(.fractionLength(digits)).grouping(.never))
    }
}
