import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation
import RetrievalEngine
import VectorIndex

/// What the service adds to a search: the bare loop in this process and the whole way over HTTP, in one run.
struct BenchQuery: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "query",
        abstract: "Times questions to a capstand of its own, over HTTP, against the bare search in this process.",
        discussion: """
            It imports each set into a capstand that it starts beside itself on a free port, opens a copy of the versions \
            in this process, checks that both answer alike, and takes the times of all cases in turns, in short blocks, so \
            that noise hits all alike. It removes what it made. Nothing else should run on the machine meanwhile.
            """)

    @Argument(help: "Sets: names below --sets, or shapes that are made, such as 50000x768.")
    var datasets: [DatasetSource] = [.named("coco50k"), .named("lvis1203"), .made(rows: 20_000, dim: 768)]

    @Option(help: "The folder of named sets. (default: shared/data/sets beside the repository)")
    var sets: String?

    @Option(name: [.customLong("k"), .customShort("k")], help: "Results per question.")
    var k = 10

    @Option(help: "Where the random numbers start: the same seed makes the same vectors.")
    var seed: UInt64 = 1

    @Option(help: "Seconds of each case, over all its blocks.")
    var seconds = 3.0

    @Option(help: "Blocks of each case.")
    var rounds = 10

    @Option(help: "Clients at once, for example 1,8.")
    var clients = ClientCounts([1, 8])

    @Option(help: "Threads that search, of the daemon and of the bare loop. (default: one per core)")
    var threads: Int?

    @Option(help: "A file to write the numbers to, as JSON.")
    var json: String?

    private var searchThreads: Int { threads ?? ProcessInfo.processInfo.activeProcessorCount }

    private static let checkedQuestions = 50
    private static let sets = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "shared/data/sets")

    func validate() throws {
        guard k > 0, rounds > 0, seconds > 0, seconds <= 3600, searchThreads > 0 else {
            throw ValidationError("--k, --rounds, --seconds (at most 3600) and --threads must be above 0.")
        }
    }

    func run() async throws {
        let work = try WorkFolder("bench-query")
        defer { work.remove() }
        let folder = work.url

        progress("reading or making \(datasets.map(\.description).joined(separator: ", "))")
        let from = sets.map { URL(filePath: $0) } ?? Self.sets
        let datasets = try datasets.map { try Dataset($0, sets: from, seed: seed, folder: folder) }
        let copy = folder.appending(path: "copy")
        do {
            progress("starting capstand")
            let loader = try await BenchmarkDaemon(folder: folder, threads: searchThreads)
            defer { loader.stop() }
            for dataset in datasets { try await load(dataset, into: loader) }
        }
        try FileManager.default.copyItem(at: folder.appending(path: "data"), to: copy)
        let daemon = try await BenchmarkDaemon(folder: folder, threads: searchThreads)
        defer { daemon.stop() }
        let bare = try await BareEngine(directory: copy, threads: searchThreads)
        let report: QueryReport
        do {
            report = try await measure(daemon, bare, datasets)
        } catch {
            await bare.stop()
            progress("capstand \(daemon.isRunning ? "runs" : "has ended"); its log ends with:\n\(daemon.logEnd)")
            throw error
        }
        await bare.stop()
        print(report.table)
        if let json { try report.json.write(to: URL(filePath: json)) }
        guard report.errors == 0 else { throw ExitCode.failure }
    }

    private func measure(
        _ daemon: BenchmarkDaemon, _ bare: BareEngine, _ datasets: [Dataset]
    ) async throws -> QueryReport {
        var measurements: [Measurement] = []
        for dataset in datasets {
            try await check(dataset, daemon, bare)
            measurements += try cases(dataset, daemon, bare).map(Measurement.init)
        }
        let livez = [Questions.get("/livez", address: daemon.address)]
        measurements += clients.values.map { count in
            Measurement(
                BenchmarkCase(
                    set: nil, way: .livez, concurrency: count,
                    worker: Workers.http(livez, host: daemon.host, port: daemon.port)))
        }
        let block = Duration.seconds(seconds / Double(rounds))
        for round in 0..<rounds {
            progress("round \(round + 1) of \(rounds): \(measurements.count) cases of \(block) each")
            let order = round.isMultiple(of: 2) ? Array(measurements.indices) : measurements.indices.reversed()
            for index in order {
                try await measurements[index].run(for: block, round: round, daemon: daemon.statistics)
            }
        }
        return QueryReport(
            settings: .init(
                k: k, seed: seed, seconds: seconds, rounds: rounds, threads: searchThreads,
                sets: datasets.map { .init(name: $0.name, rows: $0.rows, dim: $0.dim) }),
            memory: try daemon.statistics.memory(), measurements: measurements)
    }

    /// Imports by path, and binds a domain of the same name.
    private func load(_ dataset: Dataset, into daemon: BenchmarkDaemon) async throws {
        let client = daemon.client
        progress("importing \(dataset.rows) rows into \"\(dataset.name)\"")
        try await client.createDatastore(
            CreateDatastoreRequest(
                name: dataset.name, kind: .captions,
                keys: [KeySpec(name: "text", dim: dataset.dim, metric: Dataset.metric)]))
        let job = try await client.importFromServerPath(
            ImportRequest(rowsPath: dataset.rowsFile.path, vectorsPath: dataset.vectorsFile.path), into: dataset.name)
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
        guard let done else { throw BenchmarkError("the import did not end within \(limit)") }
        guard done.state == .succeeded, let version = done.version else {
            throw BenchmarkError("the import ended \(done.state), \(done.counts): \(done.error?.detail ?? "no reason")")
        }
        try await client.setDomain(
            dataset.name, to: SetDomainRequest(datastores: [DatastoreBinding(name: dataset.name, version: version)]))
    }

    /// Compares answers, in each encoding, with the bare search in this process: no wrong thing is timed.
    private func check(_ dataset: Dataset, _ daemon: BenchmarkDaemon, _ bare: BareEngine) async throws {
        progress("checking \(Self.checkedQuestions) answers of \"\(dataset.name)\" in each encoding")
        let (address, host, port, k) = (daemon.address, daemon.host, daemon.port, k)
        let (version, key) = try bare.open(dataset.name)
        _ = try await onThreads(1) { _ in
            let connection = try LeanConnection(host: host, port: port)
            let requests = try Encoding.allCases.map {
                ($0, try dataset.questions.requests($0, domain: dataset.name, k: k, address: address))
            }
            for question in 0..<Self.checkedQuestions {
                let number = question * (Questions.count / Self.checkedQuestions)
                let query = KeyQuery(dataset.questions.vectors[number][...], metric: Dataset.metric)
                let expected = try key.search(query, limit: k)
                for (encoding, requests) in requests {
                    let answer = try WireJSON.decode(QueryAnswer.self, from: Data(try connection.ask(requests[number])))
                    guard answer.results.map(\.id) == expected.map({ version.ids[$0.row] }),
                        answer.results.map(\.score) == expected.map(\.score)
                    else {
                        throw BenchmarkError(
                            "question \(number) as \(encoding.rawValue) of \"\(dataset.name)\": got "
                                + "\(answer.results.map { "\($0.id) \($0.score)" }), expected "
                                + "\(expected.map { "\(version.ids[$0.row]) \($0.score)" })")
                    }
                }
            }
        }
    }

    private func cases(
        _ dataset: Dataset, _ daemon: BenchmarkDaemon, _ bare: BareEngine
    ) throws -> [BenchmarkCase] {
        let (_, key) = try bare.open(dataset.name)
        // As many at once as can run: more only wait for one another.
        var cases = Set(clients.values.map { min($0, searchThreads) }).sorted().map { count in
            BenchmarkCase(
                set: dataset.name, way: .bare, concurrency: count,
                worker: Workers.bare(key, dataset.questions, k: k))
        }
        for encoding in Encoding.allCases {
            let requests = try dataset.questions.requests(
                encoding, domain: dataset.name, k: k, address: daemon.address)
            for count in clients.values {
                cases.append(
                    BenchmarkCase(
                        set: dataset.name, way: .http(encoding), concurrency: count,
                        worker: Workers.http(requests, host: daemon.host, port: daemon.port)))
            }
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
