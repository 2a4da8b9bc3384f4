import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation
import Synchronization

/// What captioners notice of a reindex, of a switch between datastores, and of a start.
struct BenchLiving: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "living",
        abstract: "Times questions beside a reindex and beside switches, and the first answer after a cold start.",
        discussion: """
            It imports two datastores into a capstand of its own. Clients ask without pause: with nothing else going on, while \
            one datastore is built anew, and while their domain is switched between the two. Then capstand is stopped, the \
            system's file cache is emptied where that is allowed, and the first answer after a start is timed. It removes what \
            it made. Nothing else should run on the machine meanwhile.
            """)

    @Option(help: "Rows of each datastore.")
    var rows = 500_000

    @Option(help: "Components of each vector.")
    var dim = 512

    @Option(help: "Clients that ask without pause.")
    var clients = 8

    @Option(help: "Seconds to ask with nothing else going on.")
    var seconds = 20

    @Option(help: "Switches of the domain.")
    var switches = 20

    @Option(help: "Where the random numbers start.")
    var seed: UInt64 = 1

    @Option(help: "Threads of capstand that search.")
    var threads = 2

    func run() async throws {
        let work = try WorkFolder("bench-living")
        defer { work.remove() }
        let folder = work.url
        let daemon = try await BenchmarkDaemon(folder: folder, threads: threads)
        do {
            try await measureLife(daemon, folder)
        } catch {
            progress("capstand \(daemon.isRunning ? "runs" : "has ended"); its log ends with:\n\(daemon.logEnd)")
            daemon.stop()
            throw error
        }
        daemon.stop()
        try await measureStart(folder)
    }

    // MARK: While it runs

    private func measureLife(_ daemon: BenchmarkDaemon, _ folder: URL) async throws {
        let client = daemon.client
        for (name, seed) in [("coco", seed), ("web", seed + 1)] {
            progress("importing \(rows) rows of \(dim) into \(name)")
            let files = try DatasetFiles(name: name, rows: rows, dim: dim, seed: seed, folder: folder)
            try await client.createDatastore(
                CreateDatastoreRequest(
                    name: name, kind: .captions, keys: [KeySpec(name: "text", dim: dim, metric: .cosine)]))
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
        _ = try await client.setDomain("asked", to: SetDomainRequest(datastores: [DatastoreBinding(name: "coco")]))
        let load = Load(clients: clients, questions: Questions(dim: dim, seed: seed), daemon: daemon)

        progress("asking for \(seconds) s with nothing else going on")
        let quiet = try await load.run { try await Task.sleep(for: .seconds(seconds)) }
        show("\(clients) clients, nothing else", quiet)

        progress("asking while coco is built anew")
        _ = try await client.addEntries(ndjson: newRows(), to: "coco")
        let start = ContinuousClock.now
        var state = JobState.failed
        let beside = try await load.run {
            guard let job = try await client.buildVersion(of: "coco").job else { return }
            state = try await client.waitForJob(job.id).state
        }
        guard state == .succeeded else { throw BenchmarkError("the build ended \(state)") }
        show("\(clients) clients, beside a reindex of \((ContinuousClock.now - start) / .seconds(1)) s", beside)

        progress("asking while the domain is switched")
        var calls: [Double] = []
        let switched = try await load.run {
            for number in 0..<switches {
                try await Task.sleep(for: .milliseconds(500))
                let start = ContinuousClock.now
                _ = try await client.setDomain(
                    "asked",
                    to: SetDomainRequest(datastores: [DatastoreBinding(name: number % 2 == 0 ? "web" : "coco")]))
                calls.append((ContinuousClock.now - start) / .milliseconds(1))
            }
        }
        calls.sort()
        show("\(clients) clients, beside \(switches) switches", switched)
        print("  a switch took \(Load.shown(calls[calls.count / 2])) ms, the longest \(Load.shown(calls.last ?? 0)) ms")
    }

    /// A thousand rows more, as a day brings them.
    private func newRows() throws -> Data {
        var source = ClusteredVectors(dim: dim, seed: seed).questions(seed: seed + 9)
        var vector = [Float](repeating: 0, count: dim)
        var data = Data()
        for row in 0..<1000 {
            vector.withUnsafeMutableBufferPointer { _ = source.next(into: $0) }
            let object: JSONValue = .object([
                "id": .string("new-\(row)"), "text": .string("a new caption"),
                "vector_base64": .string(QueryVectors.base64(vector)),
            ])
            data += try WireJSON.encode(object) + Data("\n".utf8)
        }
        return data
    }

    private func show(_ what: String, _ times: [Double]) {
        func at(_ share: Double) -> String { Load.shown(times[min(times.count - 1, Int(Double(times.count) * share))]) }
        print(
            "\(what): \(times.count) answers, p50 \(at(0.5)) ms, p99 \(at(0.99)) ms, the longest \(at(1)) ms")
    }

    // MARK: A start

    private func measureStart(_ folder: URL) async throws {
        sync()
        let isCold = (try? "3".write(toFile: "/proc/sys/vm/drop_caches", atomically: false, encoding: .utf8)) != nil
        progress("starting \(isCold ? "with an empty file cache" : "with what the file cache holds")")
        let start = ContinuousClock.now
        let daemon = try await BenchmarkDaemon(folder: folder, threads: threads)
        defer { daemon.stop() }
        let ready = (ContinuousClock.now - start) / .seconds(1)
        let request = try Questions(dim: dim, seed: seed).requests(
            .raw, domain: "asked", k: 10, address: daemon.address)
        let connection = try LeanConnection(host: daemon.host, port: daemon.port)
        let asked = ContinuousClock.now
        try connection.ask(request[0])
        let first = (ContinuousClock.now - asked) / .milliseconds(1)
        print(
            "a start \(isCold ? "from an empty file cache" : ""): ready after \(Load.shown(ready)) s, the first answer "
                + "\(Load.shown(first)) ms after it was asked")
    }
}

/// Clients that ask without pause, each over a connection of its own.
private struct Load {
    let clients: Int
    let questions: Questions
    let daemon: BenchmarkDaemon

    /// - Returns: milliseconds of all answers while `body` ran, sorted.
    func run(_ body: () async throws -> Void) async throws -> [Double] {
        let requests = try questions.requests(.raw, domain: "asked", k: 10, address: daemon.address)
        let isOver = StopFlag()
        let (host, port) = (daemon.host, daemon.port)
        let asking = (0..<clients).map { client in
            Task.detached {
                try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<[Double], any Error>) in
                    // A thread of its own: it blocks.
                    Thread.detachNewThread {
                        do {
                            let connection = try LeanConnection(host: host, port: port)
                            var times: [Double] = []
                            var number = client * 97
                            while !isOver.isSet {
                                let start = ContinuousClock.now
                                try connection.ask(requests[number % requests.count])
                                times.append((ContinuousClock.now - start) / .milliseconds(1))
                                number += 1
                            }
                            continuation.resume(returning: times)
                        } catch {
                            continuation.resume(throwing: error)
                        }
                    }
                }
            }
        }
        do {
            try await body()
        } catch {
            isOver.set()
            throw error
        }
        isOver.set()
        var times: [Double] = []
        for task in asking { times += try await task.value }
        return times.sorted()
    }

    static func shown(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
}

/// Says once that something is over.
final class StopFlag: Sendable {
    private let value = Atomic<Bool>(false)

    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
}
