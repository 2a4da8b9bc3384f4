import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// What an import takes: time, memory and disk, beside a copy of the same bytes; and what questions to another datastore
/// notice of it.
struct BenchImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract:
            "Times imports by path into a capstand of its own, each beside a copy of the same bytes that is synced.",
        discussion: """
            It makes clustered vectors and short texts, copies them and imports them into a new datastore, turn by turn; \
            then once more while one client asks another datastore. Everything that was written is on disk before each is \
            timed, and the sources are in the file cache. It removes what it made. Nothing else should run on the machine \
            meanwhile.
            """)

    @Option(help: "Rows to import.")
    var rows = 500_000

    @Option(help: "Components of each vector.")
    var dim = 768

    @Flag(help: "Vectors as 32-bit floats, in place of 16-bit ones.")
    var single = false

    @Option(help: "The metric of the key: cosine or ip.")
    var metric = "cosine"

    @Option(help: "Copies and imports that are timed.")
    var rounds = 3

    @Option(help: "Rows of the datastore that is asked meanwhile; 0 asks none.")
    var askedRows = 20_000

    @Option(help: "Seconds of questions without an import.")
    var seconds = 10.0

    @Option(help: "Where the random numbers start.")
    var seed: UInt64 = 1

    @Option(help: "The folder to work in, removed afterwards; else a temporary one.")
    var folder: String?

    @Option(help: "Writes the figures to this file, as JSON.")
    var json: String?

    func validate() throws {
        guard rows > 0, dim > 0, rounds > 0, askedRows >= 0, Metric(rawValue: metric) != nil else {
            throw ValidationError("--rows, --dim and --rounds must be above 0, --metric cosine or ip.")
        }
    }

    func run() async throws {
        let work = try WorkFolder("bench-import", in: folder)
        defer { work.remove() }
        let folder = work.url
        progress("making \(rows) rows of \(dim)")
        let files = try DatasetFiles(name: "large", rows: rows, dim: dim, seed: seed, folder: folder, isHalf: !single)
        var figures = Figures(
            rows: rows, dim: dim, element: single ? "f32" : "f16",
            sourceBytes: try size(files.rowsFile) + size(files.vectorsFile))

        for round in 1...rounds {
            progress("copying the same bytes, round \(round)")
            figures.copySeconds.append(try copy(files, folder))
            progress("importing, round \(round)")
            let daemon = try await BenchmarkDaemon(folder: folder, threads: 2)
            do {
                let load = try await load(files, as: "alone", daemon, folder)
                figures.add(load)
                if round == rounds, askedRows > 0 { try await ask(beside: files, daemon, folder, &figures) }
            } catch {
                progress("capstand \(daemon.isRunning ? "runs" : "has ended"); its log ends with:\n\(daemon.logEnd)")
                daemon.stop()
                throw error
            }
            daemon.stop()
            try FileManager.default.removeItem(at: folder.appending(path: "data"))
        }
        show(figures)
        if let json { try figures.json.write(to: URL(filePath: json)) }
    }

    private func ask(
        beside files: DatasetFiles, _ daemon: BenchmarkDaemon, _ folder: URL, _ figures: inout Figures
    ) async throws {
        let asked = try DatasetFiles(name: "asked", rows: askedRows, dim: dim, seed: seed, folder: folder)
        _ = try await load(asked, as: "asked", daemon, folder)
        try await daemon.client.setDomain(
            "asked", to: SetDomainRequest(datastores: [DatastoreBinding(name: "asked")]))
        progress("asking for \(Int(seconds)) s without an import")
        figures.quiet = try await ask(daemon) { try await Task.sleep(for: .seconds(seconds)) }
        progress("importing while a client asks")
        nonisolated(unsafe) var beside: Load?
        figures.busy = try await ask(daemon) { beside = try await load(files, as: "beside", daemon, folder) }
        figures.besideSeconds = beside?.seconds
    }

    /// What was seen; seconds and bytes.
    private struct Figures: Encodable {
        var rows: Int
        var dim: Int
        var element: String
        var sourceBytes: Int
        var copySeconds: [Double] = []
        var importSeconds: [Double] = []
        var cpuSeconds: [Double] = []
        var peakResident: [Int] = []
        var peakHeap: [Int] = []
        var peakDisk: [Int] = []
        var phases: [String: Double] = [:]
        var versionBytes: Int64 = 0
        var besideSeconds: Double?
        /// Milliseconds of questions, sorted.
        var quiet: [Double] = []
        var busy: [Double] = []

        mutating func add(_ load: Load) {
            importSeconds.append(load.seconds)
            cpuSeconds.append(load.cpu)
            peakResident.append(load.peakResident)
            peakHeap.append(load.peakHeap)
            peakDisk.append(load.peakDisk)
            phases = Dictionary(load.phases, uniquingKeysWith: +)
            versionBytes = load.versionBytes
        }

        /// Median of the import, in medians of the copy.
        var ratio: Double { Self.median(importSeconds) / Self.median(copySeconds) }

        static func median(_ values: [Double]) -> Double {
            values.isEmpty ? .nan : values.sorted()[values.count / 2]
        }

        private struct Document: Encodable {
            var figures: Figures
            var ratio: Double
        }

        var json: Data {
            get throws {
                var figures = self
                figures.quiet = []
                figures.busy = []
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
                encoder.keyEncodingStrategy = .convertToSnakeCase
                return try encoder.encode(Document(figures: figures, ratio: ratio))
            }
        }
    }

    private func show(_ figures: Figures) {
        let median = Figures.median(figures.importSeconds)
        var lines: [(String, String)] = [
            ("source", "\(rows) x \(dim), \(figures.element): \(mb(Double(figures.sourceBytes))) of vectors and rows"),
            ("cp and fsync", figures.copySeconds.map(s).joined(separator: ", ")),
            ("import", figures.importSeconds.map(s).joined(separator: ", ") + " (\(rate(median)))"),
            ("import / copy", "\(number(figures.ratio, 2)) (medians)"),
            ("CPU of the import", figures.cpuSeconds.map(s).joined(separator: ", ")),
            (
                "its phases",
                figures.phases.sorted { $0.key < $1.key }.map { "\($0.key) \(s($0.value))" }.joined(separator: ", ")
            ),
            (
                "peak memory",
                "\(mb(Double(figures.peakResident.max() ?? 0))) resident (VmHWM), heap "
                    + "\(mb(Double(figures.peakHeap.max() ?? 0)))"
            ),
            (
                "disk",
                "peak \(mb(Double(figures.peakDisk.max() ?? 0))), version \(mb(Double(figures.versionBytes)))"
            ),
        ]
        if let beside = figures.besideSeconds {
            lines += [
                ("import beside questions", "\(s(beside)) (\(rate(beside)))"),
                ("questions without", latencies(figures.quiet)),
                ("questions beside the import", latencies(figures.busy)),
            ]
        }
        let width = lines.map(\.0.count).max() ?? 0
        for (name, value) in lines {
            print(name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + value)
        }
    }

    // MARK: What is measured

    private struct Load: Sendable {
        var seconds: Double
        var cpu: Double
        var phases: [(String, Double)]
        var peakResident: Int
        /// The largest that was seen, a few times a second.
        var peakHeap: Int
        var peakDisk: Int
        var versionBytes: Int64
    }

    private func load(
        _ files: DatasetFiles, as name: String, _ daemon: BenchmarkDaemon, _ folder: URL
    ) async throws -> Load {
        let client = daemon.client
        try await client.createDatastore(
            CreateDatastoreRequest(
                name: name, kind: .captions,
                keys: [KeySpec(name: "text", dim: dim, metric: Metric(rawValue: metric) ?? .cosine)]))
        let data = folder.appending(path: "data")
        let diskBefore = try used(data)
        let cpuBefore = try daemon.statistics.cpuSeconds()
        var peakHeap = 0
        var peakDisk = 0
        sync()
        let start = ContinuousClock.now
        var phaseStart = start
        var phases: [(String, Double)] = []
        var job = try await client.importFromServerPath(
            ImportRequest(rowsPath: files.rowsFile.path, vectorsPath: files.vectorsFile.path), into: name)
        while !job.state.isFinal {
            try await Task.sleep(for: .milliseconds(20))
            let now = try await client.job(job.id)
            if now.phase != job.phase {
                phases.append((job.phase.rawValue, (ContinuousClock.now - phaseStart) / .seconds(1)))
                phaseStart = .now
            }
            job = now
            peakHeap = max(peakHeap, try daemon.statistics.memory().anonymous)
            peakDisk = max(peakDisk, try used(data) - diskBefore)
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        guard job.state == .succeeded, job.counts.accepted == files.rows, let version = job.version else {
            throw BenchmarkError("the import ended \(job.state), \(job.counts): \(job.error?.detail ?? "no reason")")
        }
        let info = try await client.version(version, of: name)
        return Load(
            seconds: seconds, cpu: try daemon.statistics.cpuSeconds() - cpuBefore, phases: phases,
            peakResident: try daemon.statistics.memory().peak, peakHeap: peakHeap, peakDisk: peakDisk,
            versionBytes: info.bytes)
    }

    /// Seconds that a copy of the files takes until it is on disk.
    private func copy(_ files: DatasetFiles, _ folder: URL) throws -> Double {
        let copy = folder.appending(path: "copy")
        try FileManager.default.createDirectory(at: copy, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: copy) }
        sync()
        let start = ContinuousClock.now
        try run(
            "/bin/sh", "-c",
            "cp '\(files.rowsFile.path)' '\(files.vectorsFile.path)' '\(copy.path)/' && sync '\(copy.path)'/*")
        return (ContinuousClock.now - start) / .seconds(1)
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

    // MARK: Small things

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
    private func number(_ value: Double, _ digits: Int) -> String {
        value.formatted(.number.precision(.fractionLength(digits)).grouping(.never))
    }
}
