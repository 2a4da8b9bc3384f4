import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation
import VectorIndex

/// Where the time of a question goes: FAISS alone, the engine's search, and the whole way over HTTP, in one run.
struct BenchQuery: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "query",
        abstract: "Times questions to a capstand of its own, over HTTP, against FAISS alone in this process.",
        discussion: """
            It makes clustered vectors, imports them into a capstand that it starts beside itself on a free port, checks \
            that answers are right, and takes the times of all cases in turns, so that noise hits all alike. It removes \
            what it made. Nothing else should run on the machine meanwhile.
            """)

    @Option(help: "Rows of the datastore.")
    var rows = 100_000

    @Option(help: "Components of each vector.")
    var dim = 512

    @Option(name: [.customLong("k"), .customShort("k")], help: "Results per question.")
    var k = 10

    @Option(help: "Where the random numbers start: the same seed makes the same vectors.")
    var seed: UInt64 = 1

    @Option(help: "Seconds of each case, over all its rounds.")
    var seconds = 5.0

    @Option(help: "Clients at once, for example 1,8.")
    var clients = ClientCounts([1, 8])

    @Option(help: "Threads that search, of the daemon and of FAISS alone. (default: one per core)")
    var threads: Int?

    @Option(help: "A file to write the numbers to, as JSON.")
    var json: String?

    private var searchThreads: Int { threads ?? ProcessInfo.processInfo.activeProcessorCount }

    private static let tinyRows = 100
    private static let rounds = 5
    private static let checkedQuestions = 50

    func validate() throws {
        guard dim > 0, k > 0, seconds > 0, seconds <= 3600, searchThreads > 0 else {
            throw ValidationError("--dim, --k, --seconds (at most 3600) and --threads must be above 0.")
        }
        guard k <= Self.tinyRows, rows >= k else {
            throw ValidationError("--k must be at most \(Self.tinyRows), and --rows at least --k.")
        }
    }

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        VectorIndex.useCallersThreadsOnly()
        let folder = FileManager.default.temporaryDirectory.resolvingSymlinksInPath()
            .appending(path: "bench-query-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        Cleanup.shared.setFolder(folder)
        let signals = Cleanup.shared.watchSignals()
        defer {
            try? FileManager.default.removeItem(at: folder)
            for signal in signals { signal.cancel() }
        }

        progress("making \(rows) vectors of \(dim), and \(Self.tinyRows) of the tiny datastore")
        let big = try Dataset(name: "bench", rows: rows, dim: dim, seed: seed, folder: folder)
        let tiny = try Dataset(name: "tiny", rows: Self.tinyRows, dim: dim, seed: seed, folder: folder)
        let questions = Questions(dim: dim, seed: seed)

        progress("starting capstand")
        let daemon = try await BenchmarkDaemon(folder: folder, threads: searchThreads)
        defer { daemon.stop() }
        let report: Report
        do {
            report = try await measure(daemon, big: big, tiny: tiny, questions: questions)
        } catch {
            progress("capstand \(daemon.isRunning ? "runs" : "has ended"); its log ends with:\n\(daemon.logEnd)")
            throw error
        }
        print(report.table)
        if let json { try report.json.write(to: URL(filePath: json)) }
        guard report.errors == 0 else { throw ExitCode.failure }
    }

    private func measure(
        _ daemon: BenchmarkDaemon, big: Dataset, tiny: Dataset, questions: Questions
    ) async throws -> Report {
        let load = try await load(big, into: daemon)
        _ = try await self.load(tiny, into: daemon)
        let afterLoad = try daemon.statistics.memory()
        for dataset in [big, tiny] { try await check(dataset, daemon, questions) }

        var measurements = try cases(daemon, big: big, tiny: tiny, questions: questions).map(Measurement.init)
        let slice = Duration.seconds(seconds / Double(Self.rounds))
        for round in 0..<Self.rounds {
            progress("round \(round + 1) of \(Self.rounds): \(measurements.count) cases of \(slice) each")
            let order = round.isMultiple(of: 2) ? Array(measurements.indices) : measurements.indices.reversed()
            for index in order {
                try await measurements[index].run(for: slice, round: round, daemon: daemon.statistics)
            }
        }
        return Report(
            settings: .init(
                rows: rows, dim: dim, k: k, seed: seed, seconds: seconds, rounds: Self.rounds, threads: searchThreads),
            load: load, memoryAfterLoad: afterLoad, memoryAfterRun: try daemon.statistics.memory(),
            measurements: measurements)
    }

    /// Imports by path, and binds a domain of the same name.
    private func load(_ dataset: Dataset, into daemon: BenchmarkDaemon) async throws -> Report.Load {
        let client = daemon.client
        progress("importing \(dataset.rows) rows into \"\(dataset.name)\"")
        try await client.createDatastore(
            CreateDatastoreRequest(
                name: dataset.name, kind: .captions,
                keys: [KeySpec(name: "text", dim: dim, metric: Dataset.metric)]))
        let start = ContinuousClock.now
        let job = try await client.importFromServerPath(
            ImportRequest(rowsPath: dataset.files.rowsFile.path, vectorsPath: dataset.files.vectorsFile.path),
            into: dataset.name)
        let limit = Duration.seconds(120 + dataset.rows / 200)
        let done = try await withThrowingTaskGroup(of: JobInfo?.self) { group in
            group.addTask { try await client.waitForJob(job.id) }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        let (whole, part) = (ContinuousClock.now - start).components
        guard let done else { throw BenchmarkError("the import did not end within \(limit)") }
        guard done.state == .succeeded, done.counts.accepted == dataset.rows, let version = done.version else {
            throw BenchmarkError("the import ended \(done.state), \(done.counts): \(done.error?.detail ?? "no reason")")
        }
        try await client.setDomain(
            dataset.name, to: SetDomainRequest(datastores: [DatastoreBinding(name: dataset.name, version: version)]))
        let info = try await client.version(version, of: dataset.name)
        let seconds = Double(whole) + Double(part) / 1e18
        return Report.Load(
            seconds: seconds, rowsPerSecond: Double(dataset.rows) / seconds, bytes: info.bytes,
            files: Dictionary(uniqueKeysWithValues: (info.files ?? []).map { ($0.name, $0.bytes) }))
    }

    /// Compares answers, in each encoding, with the engine's search in this process: no wrong thing is timed.
    private func check(_ dataset: Dataset, _ daemon: BenchmarkDaemon, _ questions: Questions) async throws {
        progress("checking \(Self.checkedQuestions) answers of \"\(dataset.name)\" in each encoding")
        let (address, host, port, k) = (daemon.address, daemon.host, daemon.port, k)
        _ = try await onThreads(1) { _ in
            let connection = try LeanConnection(host: host, port: port)
            let requests = try Encoding.allCases.map {
                ($0, try questions.requests($0, domain: dataset.name, k: k, address: address))
            }
            for question in 0..<Self.checkedQuestions {
                let number = question * (Questions.count / Self.checkedQuestions)
                let query = KeyQuery(questions.vectors[number][...], metric: Dataset.metric)
                let expected = try dataset.key.search(query, limit: k)
                for (encoding, requests) in requests {
                    let answer = try WireJSON.decode(QueryAnswer.self, from: Data(try connection.ask(requests[number])))
                    guard answer.results.map(\.externalID) == expected.map({ DatasetFiles.externalID($0.row) }),
                        answer.results.map(\.score) == expected.map(\.score)
                    else {
                        throw BenchmarkError(
                            "question \(number) as \(encoding.rawValue) of \"\(dataset.name)\": got "
                                + "\(answer.results.map { "\($0.externalID ?? "?") \($0.score)" }), expected "
                                + "\(expected.map { "\(DatasetFiles.externalID($0.row)) \($0.score)" })")
                    }
                }
            }
        }
    }

    private func cases(
        _ daemon: BenchmarkDaemon, big: Dataset, tiny: Dataset, questions: Questions
    ) throws -> [BenchmarkCase] {
        var cases: [BenchmarkCase] = []
        let counts = searchThreads > 1 ? [1, searchThreads] : [1]
        for count in counts {
            cases.append(
                BenchmarkCase(
                    group: .faiss, encoding: nil, concurrency: count,
                    worker: Workers.faiss(big.index, questions, k: k)))
        }
        for count in counts {
            cases.append(
                BenchmarkCase(
                    group: .keyIndex, encoding: nil, concurrency: count, worker: Workers.key(big.key, questions, k: k)))
        }
        for (group, dataset) in [(BenchmarkCase.Group.http, big), (.httpTiny, tiny)] {
            for encoding in Encoding.allCases {
                let requests = try questions.requests(encoding, domain: dataset.name, k: k, address: daemon.address)
                for count in clients.values {
                    cases.append(
                        BenchmarkCase(
                            group: group, encoding: encoding, concurrency: count,
                            worker: Workers.http(requests, host: daemon.host, port: daemon.port)))
                }
            }
        }
        let livez = [Questions.get("/livez", address: daemon.address)]
        for count in clients.values {
            cases.append(
                BenchmarkCase(
                    group: .livez, encoding: nil, concurrency: count,
                    worker: Workers.http(livez, host: daemon.host, port: daemon.port)))
        }
        return cases
    }
}

/// Numbers of clients, separated by commas.
struct ClientCounts: ExpressibleByArgument {
    let values: [Int]

    init(_ values: [Int]) {
        self.values = values
    }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        let values = parts.compactMap { Int($0) }.filter { (1...1024).contains($0) }
        guard !values.isEmpty, values.count == parts.count, Set(values).count == values.count else { return nil }
        self.values = values
    }

    var defaultValueDescription: String { values.map(String.init).joined(separator: ",") }
}
