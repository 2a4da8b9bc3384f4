import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// What captioners notice of a switch to a version that is on disk but not open, and of a start.
struct BenchSwitch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "switch",
        abstract: "Times switches to versions that are not open, beside switches to what is open, and starts.",
        discussion: """
            It imports two large datastores and some small ones into a capstand of its own. Clients ask a domain without \
            pause while it is switched between the two large ones: each time the other one was closed before, by switching \
            another domain over the small ones. As often, at the same distance, the domain is switched to what it is bound \
            to already, which opens nothing: that is what a switch costs by itself, and what the clients' longest pause is \
            without one. Then capstand is started again and again, with the files in the file cache. It removes what it \
            made. Nothing else should run on the machine meanwhile.
            """)

    @Option(help: "Rows of each large datastore.")
    var rows = 500_000

    @Option(help: "Components of each vector.")
    var dim = 768

    @Option(help: "The metric of the key: cosine or ip.")
    var metric = "cosine"

    @Option(help: "Clients that ask without pause.")
    var clients = 8

    @Option(help: "Switches to a version that is not open.")
    var switches = 20

    @Option(help: "Starts that are timed.")
    var starts = 5

    @Option(help: "Where the random numbers start.")
    var seed: UInt64 = 1

    @Option(help: "Threads of capstand that search.")
    var threads = 2

    @Option(help: "The folder to work in, removed afterwards; else a temporary one.")
    var folder: String?

    @Option(help: "Writes the figures to this file, as JSON.")
    var json: String?

    /// More than capstand keeps open without need.
    private static let small = 6
    private static let smallRows = 1000

    func validate() throws {
        guard rows > 0, dim > 0, clients > 0, switches > 0, starts > 0, Metric(rawValue: metric) != nil else {
            throw ValidationError("All numbers must be above 0, --metric cosine or ip.")
        }
    }

    func run() async throws {
        let work = try WorkFolder("bench-switch", in: folder)
        defer { work.remove() }
        let folder = work.url
        var figures = Figures(rows: rows, dim: dim, clients: clients)
        let daemon = try await BenchmarkDaemon(folder: folder, threads: threads)
        do {
            try await fill(daemon, folder)
            try await measureSwitches(daemon, &figures)
        } catch {
            progress("capstand \(daemon.isRunning ? "runs" : "has ended"); its log ends with:\n\(daemon.logEnd)")
            daemon.stop()
            throw error
        }
        daemon.stop()
        for number in 1...starts {
            progress("start \(number) of \(starts)")
            try await measureStart(folder, &figures)
        }
        show(figures)
        if let json { try figures.json.write(to: URL(filePath: json)) }
    }

    private func fill(_ daemon: BenchmarkDaemon, _ folder: URL) async throws {
        let client = daemon.client
        let small = (0..<Self.small).map { ("small-\($0)", Self.smallRows, seed + 10 + UInt64($0)) }
        for (name, rows, seed) in [("coco", rows, seed), ("web", rows, seed + 1)] + small {
            progress("importing \(rows) rows of \(dim) into \(name)")
            let files = try DatasetFiles(name: name, rows: rows, dim: dim, seed: seed, folder: folder, isHalf: true)
            try await client.createDatastore(
                CreateDatastoreRequest(
                    name: name, kind: .captions,
                    keys: [KeySpec(name: "text", dim: dim, metric: Metric(rawValue: metric) ?? .cosine)]))
            let job = try await client.waitForJob(
                client.importFromServerPath(
                    ImportRequest(rowsPath: files.rowsFile.path, vectorsPath: files.vectorsFile.path), into: name
                ).id)
            guard job.state == .succeeded else {
                throw BenchmarkError("the import failed: \(String(describing: job.error))")
            }
            try FileManager.default.removeItem(at: files.rowsFile)
            try FileManager.default.removeItem(at: files.vectorsFile)
        }
        try await bind("asked", to: "coco", client)
        try await bind("other", to: "small-0", client)
    }

    private func bind(_ domain: String, to datastore: String, _ client: CaptionerClient) async throws {
        _ = try await client.setDomain(
            domain, to: SetDomainRequest(datastores: [DatastoreBinding(name: datastore)]))
    }

    // MARK: Switches

    private func measureSwitches(_ daemon: BenchmarkDaemon, _ figures: inout Figures) async throws {
        let client = daemon.client
        let requests = try Questions(dim: dim, seed: seed).requests(
            .raw, domain: "asked", k: 10, address: daemon.address)
        let isOver = StopFlag()
        let (host, port) = (daemon.host, daemon.port)
        let asking = Task { [clients] in
            try await onThreads(clients) { client in
                try Self.ask(requests, host, port, first: client * 97) { isOver.isSet }
            }
        }
        var moments: [Moment] = []
        do {
            try await Task.sleep(for: .seconds(2))
            for number in 0..<switches {
                progress("switch \(number + 1) of \(switches)")
                // Lets go of the version that is not asked.
                for small in 0..<Self.small { try await bind("other", to: "small-\(small)", client) }
                let (now, next) = number % 2 == 0 ? ("coco", "web") : ("web", "coco")
                for (target, opens) in [(now, false), (next, true)] {
                    try await Task.sleep(for: .milliseconds(700))
                    let start = ContinuousClock.now
                    try await bind("asked", to: target, client)
                    moments.append(Moment(start: start, end: .now, opens: opens))
                }
                try await Task.sleep(for: .milliseconds(700))
            }
        } catch {
            isOver.set()
            throw error
        }
        isOver.set()
        let answers = try await asking.value
        figures.add(moments, answers)
    }

    private struct Answer: Sendable {
        var asked: ContinuousClock.Instant
        var answered: ContinuousClock.Instant
    }

    private struct Moment {
        var start: ContinuousClock.Instant
        var end: ContinuousClock.Instant
        var opens: Bool
    }

    private static func ask(
        _ requests: [[UInt8]], _ host: String, _ port: UInt16, first: Int, until isOver: () -> Bool
    ) throws -> [Answer] {
        let connection = try LeanConnection(host: host, port: port)
        var answers: [Answer] = []
        var number = first
        while !isOver() {
            let asked = ContinuousClock.now
            try connection.ask(requests[number % requests.count])
            answers.append(Answer(asked: asked, answered: .now))
            number += 1
        }
        return answers
    }

    // MARK: Starts

    private func measureStart(_ folder: URL, _ figures: inout Figures) async throws {
        // That of the daemon before would be taken for that of this one.
        try? FileManager.default.removeItem(at: folder.appending(path: "ready"))
        let start = ContinuousClock.now
        func milliseconds() -> Double { (ContinuousClock.now - start) / .milliseconds(1) }
        let daemon = try await BenchmarkDaemon(folder: folder, threads: threads)
        defer { daemon.stop() }
        figures.ready.append(milliseconds())
        let questions = Questions(dim: dim, seed: seed)
        let connection = try LeanConnection(host: daemon.host, port: daemon.port)
        let asked = milliseconds()
        try connection.ask(try questions.requests(.raw, domain: "asked", k: 10, address: daemon.address)[0])
        figures.firstAnswer.append(figures.ready[figures.ready.count - 1] + milliseconds() - asked)
        let again = milliseconds()
        try connection.ask(try questions.requests(.raw, domain: "asked", k: 10, address: daemon.address)[1])
        figures.laterAnswer.append(milliseconds() - again)
    }

    // MARK: Figures

    /// Milliseconds.
    private struct Figures: Encodable {
        var rows: Int
        var dim: Int
        var clients: Int
        /// Calls that open a version, and calls that open none.
        var openingCalls: [Double] = []
        var plainCalls: [Double] = []
        /// The longest answer of all clients around each call.
        var openingPauses: [Double] = []
        var plainPauses: [Double] = []
        var answers = 0
        var p50 = 0.0
        var p99 = 0.0
        /// From the start of the process.
        var ready: [Double] = []
        var firstAnswer: [Double] = []
        var laterAnswer: [Double] = []

        init(rows: Int, dim: Int, clients: Int) {
            self.rows = rows
            self.dim = dim
            self.clients = clients
        }

        mutating func add(_ moments: [Moment], _ clients: [[Answer]]) {
            for moment in moments {
                let call = (moment.end - moment.start) / .milliseconds(1)
                let end = moment.end + .milliseconds(300)
                var longest = 0.0
                for answers in clients {
                    for answer in answers where answer.answered >= moment.start && answer.asked <= end {
                        longest = max(longest, (answer.answered - answer.asked) / .milliseconds(1))
                    }
                }
                if moment.opens {
                    openingCalls.append(call)
                    openingPauses.append(longest)
                } else {
                    plainCalls.append(call)
                    plainPauses.append(longest)
                }
            }
            let all = clients.joined().map { ($0.answered - $0.asked) / .milliseconds(1) }.sorted()
            answers = all.count
            guard !all.isEmpty else { return }
            p50 = all[all.count / 2]
            p99 = all[all.count * 99 / 100]
        }

        static func median(_ values: [Double]) -> Double {
            values.isEmpty ? .nan : values.sorted()[values.count / 2]
        }

        var callAboveNormal: Double { Self.median(openingCalls) - Self.median(plainCalls) }
        var pauseAboveNormal: Double { Self.median(openingPauses) - Self.median(plainPauses) }

        private struct Document: Encodable {
            var figures: Figures
            var callAboveNormal: Double
            var pauseAboveNormal: Double
        }

        var json: Data {
            get throws {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
                encoder.keyEncodingStrategy = .convertToSnakeCase
                return try encoder.encode(
                    Document(
                        figures: self, callAboveNormal: callAboveNormal, pauseAboveNormal: pauseAboveNormal))
            }
        }
    }

    private func show(_ figures: Figures) {
        func of(_ values: [Double]) -> String {
            let sorted = values.sorted()
            return "median \(Self.shown(Figures.median(values))) ms, \(Self.shown(sorted.first ?? 0)) to "
                + "\(Self.shown(sorted.last ?? 0)) ms"
        }
        let lines = [
            ("versions", "two of \(rows) x \(dim), f16; \(clients) clients"),
            ("answers", "\(figures.answers), p50 \(Self.shown(figures.p50)) ms, p99 \(Self.shown(figures.p99)) ms"),
            ("call that opens a version", of(figures.openingCalls)),
            ("call that opens none", of(figures.plainCalls)),
            ("  above normal", "\(Self.shown(figures.callAboveNormal)) ms (medians)"),
            ("longest answer around the first", of(figures.openingPauses)),
            ("longest answer around the second", of(figures.plainPauses)),
            ("  above normal", "\(Self.shown(figures.pauseAboveNormal)) ms (medians)"),
            ("ready after the start", of(figures.ready)),
            ("first answer after the start", of(figures.firstAnswer)),
            ("an answer later", of(figures.laterAnswer)),
        ]
        let width = lines.map(\.0.count).max() ?? 0
        for (name, value) in lines {
            print(name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + value)
        }
    }

    private static func shown(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
}
