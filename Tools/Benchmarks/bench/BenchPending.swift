import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// What pending changes cost: questions that count more and more of them, and the posts themselves.
struct BenchPending: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pending",
        abstract: "Times questions that count pending changes, and single posts, against their number.",
        discussion: """
            It imports clustered vectors into a capstand that it starts beside itself on a free port, then posts entries \
            in steps. At each step it asks the same questions without and with include_pending, one after the other, and \
            posts single entries, each followed by a question that has to see it.
            """)

    @Option(help: "Rows of the version.")
    var rows = 100_000

    @Option(help: "Components of each vector.")
    var dim = 512

    @Option(name: [.customLong("k"), .customShort("k")], help: "Results per question.")
    var k = 10

    @Option(help: "Where the random numbers start.")
    var seed: UInt64 = 1

    @Option(help: "Pending changes at each step, for example 0,1000.")
    var steps = StepCounts([0, 1000, 10_000, 50_000])

    @Option(help: "Questions of each kind at each step.")
    var questions = 300

    private static let posts = 20
    private static let batch = 500

    func validate() throws {
        guard rows > 0, dim > 0, k > 0, questions > 0 else {
            throw ValidationError("--rows, --dim, --k and --questions must be above 0.")
        }
    }

    func run() async throws {
        let work = try WorkFolder("bench-pending")
        defer { work.remove() }
        let folder = work.url
        progress("making \(rows) vectors of \(dim)")
        let files = try DatasetFiles(name: "bench", rows: rows, dim: dim, seed: seed, folder: folder) { _, _ in }
        let daemon = try await BenchmarkDaemon(folder: folder, threads: 1, arguments: ["--max-pending", "1000000"])
        defer { daemon.stop() }
        progress("importing them")
        try await load(files, into: daemon.client)
        let asked = Questions(dim: dim, seed: seed)
        var source = ClusteredVectors(dim: dim, seed: seed).questions(seed: seed &+ 7)
        func row() throws -> Data {
            var vector = [Float](repeating: 0, count: dim)
            vector.withUnsafeMutableBufferPointer { _ = source.next(into: $0) }
            let row: [String: JSONValue] = [
                "text": .string("a pending caption"), "vector_base64": .string(QueryVectors.base64(vector)),
            ]
            return try WireJSON.encode(JSONValue.object(row)) + Data("\n".utf8)
        }
        print("pending   without   p50 ms     with   p50 ms    p99 ms   post   p50 ms   first question   p50 ms")
        var pending = 0
        for step in steps.values {
            progress("posting up to \(step)")
            while pending < step {
                let count = min(Self.batch, step - pending)
                var lines = Data()
                for _ in 0..<count { lines += try row() }
                let changes = try await daemon.client.addEntries(ndjson: lines, to: "bench")
                guard changes.counts.accepted == count else { throw BenchmarkError("\(changes.counts)") }
                pending += count
            }
            let without = try await times(asked, daemon, pending: false)
            let with = try await times(asked, daemon, pending: true)
            var posts: [Double] = []
            var first: [Double] = []
            for _ in 0..<(step > 0 ? Self.posts : 0) {
                let line = try row()
                let start = ContinuousClock.now
                _ = try await daemon.client.addEntries(ndjson: line, to: "bench")
                posts.append(Self.milliseconds(since: start))
                first += try await times(asked, daemon, pending: true, count: 1)
                pending += 1
            }
            print(
                String(
                    format: "%7d %18.2f %18.2f %9.2f %15.2f %25.2f", step, Self.percentile(without, 50),
                    Self.percentile(with, 50), Self.percentile(with, 99), Self.percentile(posts, 50),
                    Self.percentile(first, 50)))
        }
    }

    private func load(_ files: DatasetFiles, into client: CaptionerClient) async throws {
        try await client.createDatastore(
            CreateDatastoreRequest(
                name: "bench", kind: .captions, keys: [KeySpec(name: "text", dim: dim, metric: Dataset.metric)]))
        let job = try await client.importFromServerPath(
            ImportRequest(rowsPath: files.rowsFile.path, vectorsPath: files.vectorsFile.path), into: "bench")
        let done = try await client.waitForJob(job.id)
        guard done.state == .succeeded else { throw BenchmarkError("the import ended \(done.state)") }
        try await client.setDomain("bench", to: SetDomainRequest(datastores: [DatastoreBinding(name: "bench")]))
    }

    /// Milliseconds of questions one after the other; the first one is only counted when it is the only one.
    private func times(
        _ asked: Questions, _ daemon: BenchmarkDaemon, pending: Bool, count: Int? = nil
    ) async throws -> [Double] {
        let requests = try asked.requests(
            .raw, domain: "bench", options: QueryOptions(k: k, includePending: pending), address: daemon.address)
        let (host, port, questions) = (daemon.host, daemon.port, count ?? self.questions)
        let times = try await onThreads(1) { _ in
            let connection = try LeanConnection(host: host, port: port)
            if questions > 1 { try connection.ask(requests[0]) }
            return try (0..<questions).map { question in
                let start = ContinuousClock.now
                try connection.ask(requests[question % requests.count])
                return Self.milliseconds(since: start)
            }
        }
        return times[0]
    }

    private static func milliseconds(since start: ContinuousClock.Instant) -> Double {
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        return Double(seconds) * 1e3 + Double(attoseconds) * 1e-15
    }

    private static func percentile(_ values: [Double], _ percent: Int) -> Double {
        let sorted = values.sorted()
        return sorted.isEmpty ? .nan : sorted[min(sorted.count - 1, sorted.count * percent / 100)]
    }
}

/// Numbers of changes, separated by commas, each larger than the one before.
struct StepCounts: ExpressibleByArgument {
    let values: [Int]

    init(_ values: [Int]) {
        self.values = values
    }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        let values = parts.compactMap { Int($0) }.filter { $0 >= 0 }
        guard !values.isEmpty, values.count == parts.count, zip(values, values.dropFirst()).allSatisfy({ $0 < $1 })
        else { return nil }
        self.values = values
    }

    var defaultValueDescription: String { values.map(String.init).joined(separator: ",") }
}
