import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// The process: one per data directory, there only for loopback, gone without a trace of unfinished work.
struct DaemonTests {
    @Test func whoWatchesAJobKeepsTheDaemonFromNothing() async throws {
        try await HashingEncoder.with { encoder in
            let directory = try TemporaryDirectory()
            let daemon = try await Daemon(
                dataDirectory: directory.file("data"),
                arguments: ["--encoder", "words=\(encoder.url)", "--shutdown-grace", "1"])
            let key = KeySpec(
                name: "text", dim: HashingEncoder.dim, metric: .cosine,
                encoder: Encoder(model: HashingEncoder.model, endpoint: "words"))
            _ = try await daemon.client.createDatastore(
                CreateDatastoreRequest(name: "store", kind: .captions, keys: [key]))
            encoder.hold(after: 0)
            let rows = try directory.write("rows.txt", Data("a dog on a beach\n".utf8))
            let job = try await daemon.client.importRows(file: rows, into: "store")
            var events = daemon.client.events(of: job.id).makeAsyncIterator()
            var last = try await events.next()
            #expect(last?.state.isFinal == false)
            async let exitCode = daemon.stop()
            // The stream ends by itself; one that is cut off is an error.
            while let next = try await events.next() { last = next }
            #expect(last?.state.isFinal == false)
            #expect(try await exitCode == 0)
            encoder.resume()
            let again = try await Daemon(
                dataDirectory: directory.file("data"), arguments: ["--encoder", "words=\(encoder.url)"])
            #expect(try await again.client.waitForJob(job.id).state == .succeeded)
            #expect(try await again.stop() == 0)
        }
    }

    private let directory: TemporaryDirectory
    private var data: URL { directory.file("data") }

    init() throws {
        directory = try TemporaryDirectory()
    }

    @Test func aSecondDaemonOnTheSameDirectoryIsRefusedAndTheFirstIsNamed() async throws {
        let first = try await Daemon(dataDirectory: data)
        let second = try CommandLineTool("capstand").run("--data-dir", data.path, "--listen", "127.0.0.1:0")
        #expect(second.exitCode == 1)
        #expect(second.errors.contains("data_directory_in_use"))
        #expect(second.errors.contains("process \(first.pid)"))
        #expect(second.errors.contains(first.address))
        #expect(try await first.client.readiness().status == .ready)
        #expect(try await first.stop() == 0)
    }

    @Test(arguments: [
        (["--listen", "0.0.0.0:7411"], "listen_refused"), (["--listen", "10.0.0.1:7411"], "listen_refused"),
        (["--listen", "[::]:7411"], "listen_refused"), (["--listen", "localhost"], "invalid_value"),
        (["--listen", "127.0.0.1:70000"], "invalid_value"), (["--threads", "0"], "invalid_value"),
        (["--import-root", "/no/such/folder"], "invalid_value"), (["--log-level", "loud"], "invalid_value"),
        (["--config", "/no/such/file.json"], "invalid_value"),
    ])
    func aBadSettingEndsTheStartWithItsCode(arguments: [String], code: String) throws {
        let tool = CommandLineTool("capstand", environment: ["CAPSTAN_DATA_DIR": data.path])
        let outcome = try tool.run(arguments)
        #expect(outcome.exitCode == 1)
        #expect(outcome.errors.contains("(\(code))"), "\(outcome.errors)")
        #expect(!FileManager.default.fileExists(atPath: data.path))
    }

    @Test func settingsComeFromFlagThenEnvironmentThenFileThenDefault() async throws {
        let config = try directory.write("config.json", Data(#"{"threads": 3, "log-level": "debug"}"#.utf8))
        func threads(_ arguments: [String], _ environment: [String: String]) async throws -> Int {
            let daemon = try await Daemon(dataDirectory: data, arguments: arguments, environment: environment)
            let threads = try await daemon.client.status().searchThreads
            #expect(try await daemon.stop() == 0)
            return threads
        }
        #expect(try await threads(["--config", config.path], [:]) == 3)
        #expect(try await threads(["--config", config.path], ["CAPSTAN_THREADS": "5"]) == 5)
        #expect(try await threads(["--config", config.path, "--threads", "7"], ["CAPSTAN_THREADS": "5"]) == 7)
        #expect(try await threads([], [:]) == ProcessInfo.processInfo.activeProcessorCount)
    }

    @Test func aStopFinishesTheImportThatRunsAndLeavesNothingToRecover() async throws {
        let rows = TestData.samples.appending(path: "everyday-photos/captions.ndjson")
        let vectors = TestData.samples.appending(path: "everyday-photos/captions.f16.npy")
        let daemon = try await Daemon(dataDirectory: data)
        _ = try await daemon.client.createDatastore(
            CreateDatastoreRequest(
                name: "store", kind: .captions, keys: [KeySpec(name: "text", dim: 384, metric: .cosine)]))
        let job = try await daemon.client.importRows(file: rows, vectors: vectors, into: "store")
        #expect(try await daemon.stop() == 0)

        let again = try await Daemon(dataDirectory: data)
        let ended = try await again.client.waitForJob(job.id)
        #expect(ended.state == .succeeded)
        #expect(try await again.client.datastore("store").entries == 534)
        #expect(try await again.stop() == 0)

        let last = try await Daemon(dataDirectory: data)
        #expect(try await last.client.status().recovery == [])
        #expect(try await last.stop() == 0)
    }

    @Test func anImportThatMayNotFinishInTimeGoesOnAfterTheNextStart() async throws {
        let count = 60_000
        let rows = (1...count).map { #"{"id":"\#($0)","text":"caption number \#($0)"}"# }.joined(separator: "\n")
        let rowsFile = try directory.write("rows.ndjson", Data(rows.utf8))
        let stored = Vectors(clustered: count, dim: 8, seed: 4)
        let vectorsFile = try directory.write("rows.npy", stored.npy())
        let daemon = try await Daemon(dataDirectory: data, arguments: ["--shutdown-grace", "0"])
        _ = try await daemon.client.createDatastore(
            CreateDatastoreRequest(
                name: "store", kind: .captions, keys: [KeySpec(name: "text", dim: 8, metric: .cosine)]))
        let job = try await daemon.client.importRows(file: rowsFile, vectors: vectorsFile, into: "store")
        var info = job
        while info.counts.seen == 0 && !info.state.isFinal { info = try await daemon.client.job(job.id) }
        #expect(try await daemon.stop() == 0)
        #expect(info.state == .running)

        let again = try await Daemon(dataDirectory: data)
        let ended = try await again.client.waitForJob(job.id)
        #expect(ended.state == .succeeded)
        #expect(ended.counts.seen == count && ended.counts.accepted == count)
        #expect(try await again.client.datastore("store").entries == count)
        #expect(try await again.stop() == 0)
    }

    @Test func theReadyFileIsThereWhileTheDaemonAnswersAndNoLonger() async throws {
        let ready = directory.file("address")
        let daemon = try await Daemon(dataDirectory: data)
        // The harness waited for a ready file of its own; a second daemon shows the life of one.
        #expect(try await daemon.stop() == 0)
        let process = Process()
        process.executableURL = Daemon.products.appending(path: "capstand")
        process.arguments = ["--data-dir", data.path, "--listen", "127.0.0.1:0", "--ready-file", ready.path]
        process.standardError = FileHandle.nullDevice
        try process.run()
        while !FileManager.default.fileExists(atPath: ready.path) { try await Task.sleep(for: .milliseconds(5)) }
        let address = try String(contentsOf: ready, encoding: .utf8).trimmingCharacters(in: .newlines)
        #expect(try await CaptionerClient(url: "http://\(address)").readiness().status == .ready)
        process.terminate()
        while process.isRunning { try await Task.sleep(for: .milliseconds(5)) }
        #expect(!FileManager.default.fileExists(atPath: ready.path))
    }
}
