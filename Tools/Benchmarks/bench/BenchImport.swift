import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation
import VectorIndex

/// What an import takes: time, memory and disk, beside a copy of the same bytes and a bare FAISS add; and what questions
/// to another datastore notice of it.
struct BenchImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Times an import by path into a capstand of its own, beside cp and a bare FAISS add.",
        discussion: """
            It makes clustered vectors and short texts, imports them once while nothing else runs and once more, into \
            another datastore, while one client asks a third. It removes what it made. Nothing else should run on the \
            machine meanwhile.
            """)

    @Option(help: "Rows to import.")
    var rows = 500_000

    @Option(help: "Components of each vector.")
    var dim = 512

    @Option(help: "Rows of the datastore that is asked meanwhile.")
    var askedRows = 20_000

    @Option(help: "Seconds of questions without an import.")
    var seconds = 20.0

    @Option(help: "Where the random numbers start.")
    var seed: UInt64 = 1

    @Option(help: "The folder to work in, removed afterwards; else a temporary one.")
    var folder: String?

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        VectorIndex.useCallersThreadsOnly()
        let parent = folder.map { URL(filePath: $0) } ?? FileManager.default.temporaryDirectory
        let folder = parent.resolvingSymlinksInPath().appending(path: "bench-import-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        Cleanup.shared.setFolder(folder)
        let signals = Cleanup.shared.watchSignals()
        defer {
            try? FileManager.default.removeItem(at: folder)
            for signal in signals { signal.cancel() }
        }
        progress("making \(rows) rows of \(dim)")
        let files = try DatasetFiles(name: "large", rows: rows, dim: dim, seed: seed, folder: folder)
        let asked = try DatasetFiles(name: "asked", rows: askedRows, dim: dim, seed: seed, folder: folder)
        let bytes = try size(files.rowsFile) + size(files.vectorsFile)
        let vectorBytes = Double(rows * dim * 4)

        progress("copying the same bytes")
        let copy = try seconds {
            try run("/bin/sh", "-c", "cp \(files.rowsFile.path) \(files.vectorsFile.path) \(folder.path)/copy/ && sync")
        } setUp: {
            try FileManager.default.createDirectory(
                at: folder.appending(path: "copy"), withIntermediateDirectories: true)
        }
        try FileManager.default.removeItem(at: folder.appending(path: "copy"))

        progress("adding the vectors to a bare FAISS index")
        let bare = try seconds { try addToFAISS(files) }

        progress("starting capstand")
        let daemon = try await BenchmarkDaemon(folder: folder, threads: 2)
        defer { daemon.stop() }
        do {
            let before = try daemon.statistics.memory()
            progress("importing alone")
            let alone = try await load(files, as: "alone", daemon, folder)
            _ = try await load(asked, as: "asked", daemon, folder)
            try await daemon.client.setDomain(
                "asked", to: SetDomainRequest(datastores: [DatastoreBinding(name: "asked")]))
            progress("asking for \(Int(seconds)) s without an import")
            let quiet = try await ask(daemon) { try await Task.sleep(for: .seconds(seconds)) }
            progress("importing while a client asks")
            nonisolated(unsafe) var beside: Load?
            let busy = try await ask(daemon) { beside = try await load(files, as: "beside", daemon, folder) }
            let lines: [(String, String)] = [
                ("source", "\(rows) x \(dim): \(mb(Double(bytes))) of vectors and rows"),
                ("cp and sync", "\(s(copy))"),
                ("bare FAISS add (read, normalise, add)", "\(s(bare)) (\(rate(bare)))"),
                (
                    "import",
                    "\(s(alone.seconds)) (\(rate(alone.seconds))); \(ratio(alone.seconds, copy)) of cp, "
                        + "\(ratio(alone.seconds, bare)) of the add"
                ),
                ("its phases", alone.phases.map { "\($0.0) \(s($0.1))" }.joined(separator: ", ")),
                (
                    "peak memory",
                    "\(mb(Double(alone.peak.resident))) resident at once: heap \(mb(Double(alone.peak.anonymous)))"
                        + ", mapped files \(mb(Double(alone.peak.mapped))); before \(mb(Double(before.resident))); "
                        + "\(ratio(Double(alone.peak.resident), vectorBytes)) of the vectors"
                ),
                ("disk", "peak \(mb(Double(alone.peakDisk))), version \(mb(Double(alone.versionBytes)))"),
                ("import beside questions", beside.map { "\(s($0.seconds)) (\(rate($0.seconds)))" } ?? "-"),
                ("questions without", "\(latencies(quiet))"),
                ("questions beside the import", "\(latencies(busy))"),
            ]
            let width = lines.map(\.0.count).max() ?? 0
            for (name, value) in lines {
                print(name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + value)
            }
        } catch {
            progress("capstand \(daemon.isRunning ? "runs" : "has ended"); its log ends with:\n\(daemon.logEnd)")
            throw error
        }
    }

    // MARK: What is measured

    private struct Load: Sendable {
        var seconds: Double
        var phases: [(String, Double)]
        /// The largest of each that was seen at once.
        var peak: Memory
        var peakDisk: Int
        var versionBytes: Int64
    }

    private func load(
        _ files: DatasetFiles, as name: String, _ daemon: BenchmarkDaemon, _ folder: URL
    ) async throws -> Load {
        let client = daemon.client
        try await client.createDatastore(
            CreateDatastoreRequest(
                name: name, kind: .captions, keys: [KeySpec(name: "text", dim: dim, metric: .cosine)]))
        let data = folder.appending(path: "data")
        let diskBefore = try used(data)
        var peak = try daemon.statistics.memory()
        var peakDisk = 0
        let start = ContinuousClock.now
        var phaseStart = start
        var phases: [(String, Double)] = []
        var job = try await client.importFromServerPath(
            ImportRequest(rowsPath: files.rowsFile.path, vectorsPath: files.vectorsFile.path), into: name)
        while !job.state.isFinal {
            try await Task.sleep(for: .milliseconds(50))
            let now = try await client.job(job.id)
            if now.phase != job.phase {
                phases.append((job.phase.rawValue, (ContinuousClock.now - phaseStart) / .seconds(1)))
                phaseStart = .now
            }
            job = now
            let memory = try daemon.statistics.memory()
            if memory.resident > peak.resident { peak = memory }
            peakDisk = max(peakDisk, try used(data) - diskBefore)
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        guard job.state == .succeeded, job.counts.accepted == files.rows, let version = job.version else {
            throw BenchmarkError("the import ended \(job.state), \(job.counts): \(job.error?.detail ?? "no reason")")
        }
        let info = try await client.version(version, of: name)
        return Load(seconds: seconds, phases: phases, peak: peak, peakDisk: peakDisk, versionBytes: info.bytes)
    }

    /// Asks one question after the other until `body` returns.
    ///
    /// - Returns: milliseconds of each, sorted.
    private func ask(_ daemon: BenchmarkDaemon, while body: () async throws -> Void) async throws -> [Double] {
        let questions = Questions(dim: dim, seed: seed)
        let requests = try questions.requests(.raw, domain: "asked", k: 10, address: daemon.address)
        let (host, port) = (daemon.host, daemon.port)
        let asking = Task.detached {
            let connection = try LeanConnection(host: host, port: port)
            var latencies: [Double] = []
            var number = 0
            while !Task.isCancelled {
                let start = ContinuousClock.now
                try connection.ask(requests[number % requests.count])
                latencies.append((ContinuousClock.now - start) / .milliseconds(1))
                number += 1
            }
            return latencies.sorted()
        }
        do {
            try await body()
        } catch {
            asking.cancel()
            throw error
        }
        asking.cancel()
        return try await asking.value
    }

    private func addToFAISS(_ files: DatasetFiles) throws {
        var builder = try VectorIndexBuilder(dim: dim)
        let handle = try FileHandle(forReadingFrom: files.vectorsFile)
        try handle.seek(toOffset: UInt64(size(files.vectorsFile) - rows * dim * 4))
        while var data = try handle.read(upToCount: 1024 * dim * 4), !data.isEmpty {
            try data.withUnsafeMutableBytes { bytes in
                let floats = bytes.bindMemory(to: Float.self)
                for from in stride(from: 0, to: floats.count, by: dim) {
                    VectorMath.normalise(UnsafeMutableBufferPointer(rebasing: floats[from..<from + dim]))
                }
                try builder.add(UnsafeBufferPointer(floats))
            }
        }
        let index = builder.freeze()
        guard index.count == rows else { throw BenchmarkError("FAISS has \(index.count) rows, expected \(rows)") }
    }

    // MARK: Small things

    private func seconds(_ body: () throws -> Void, setUp: () throws -> Void = {}) throws -> Double {
        try setUp()
        let start = ContinuousClock.now
        try body()
        return (ContinuousClock.now - start) / .seconds(1)
    }

    private func run(_ program: String, _ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw BenchmarkError("\(arguments) failed") }
    }

    private func size(_ file: URL) throws -> Int {
        try file.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
    }

    /// Bytes of all files below a folder.
    private func used(_ folder: URL) throws -> Int {
        let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: [.fileSizeKey])
        var sum = 0
        while let file = files?.nextObject() as? URL { sum += (try? size(file)) ?? 0 }
        return sum
    }

    private func latencies(_ values: [Double]) -> String {
        guard !values.isEmpty else { return "none" }
        func at(_ share: Double) -> String {
            number(values[min(values.count - 1, Int(Double(values.count) * share))], 2)
        }
        return "\(values.count) answers, p50 \(at(0.5)) ms, p99 \(at(0.99)) ms, max \(at(1)) ms"
    }

    private func s(_ seconds: Double) -> String { number(seconds, 1) + " s" }
    private func mb(_ bytes: Double) -> String { number(bytes / 1e6, 0) + " MB" }
    private func rate(_ seconds: Double) -> String { number(Double(rows) / seconds, 0) + " rows/s" }
    private func ratio(_ value: Double, _ other: Double) -> String { number(value / other, 2) + " times" }
    private func number(_ value: Double, _ digits: Int) -> String {
        value.formatted(.number.precision(.fractionLength(digits)).grouping(.never))
    }
}
