import CaptionerClient
import DatastoreCore
import Foundation
import Synchronization
import TestSupport
import Testing

/// Backups of a daemon that goes on working, and what they are restored to.
struct BackupTests {
    private let directory: TemporaryDirectory
    private var data: URL { directory.file("data") }
    private var backups: URL { directory.file("backups") }

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func tool(_ daemon: Daemon) -> CommandLineTool {
        CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(daemon.address)"])
    }

    private func list() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: backups.path).filter { $0 != ".lock" }.sorted()
    }

    private struct Made: Decodable {
        var backup: String
        var files: Int
        var linkedFiles: Int

        enum CodingKeys: String, CodingKey {
            case backup, files
            case linkedFiles = "linked_files"
        }
    }

    private func makeBackup(_ daemon: Daemon) throws -> Made {
        let outcome = try tool(daemon).run("backup", backups.path, "--json")
        try #require(outcome.exitCode == 0, "\(outcome)")
        return try WireJSON.decode(Made.self, from: Data(outcome.output.utf8))
    }

    private func restored(_ name: String, from backup: String? = nil) throws -> URL {
        let target = directory.file(name)
        let outcome = try CommandLineTool("capstan").run("restore", backup ?? backups.path, target.path)
        try #require(outcome.exitCode == 0, "\(outcome)")
        return target
    }

    @Test func aBackupUnderWritesIsOfOneMoment() async throws {
        let daemon = try await Daemon(dataDirectory: data)
        let client = daemon.client
        try await client.load(sample: "shop-products")
        try await client.bind("shop", to: "shop-products")
        _ = try await client.createDatastore(
            CreateDatastoreRequest(
                name: "busy", kind: .captions, keys: [KeySpec(name: "text", dim: 4, metric: .cosine)]))
        let questions = try Vectors(npy: TestData.samples.appending(path: "shop-products/questions.f16.npy"))
        let before = try await client.results(questions, of: "shop", options: QueryOptions(k: 5))
        // Entries one by one, and versions of them, all the time. Each is written down once it is acknowledged.
        let written = Acknowledged()
        let writing = Task {
            var number = 0
            while !Task.isCancelled {
                let row = #"{"id": "e\#(number)", "text": "entry \#(number)", "vector": [1, \#(number), 2, 3]}"#
                _ = try await client.addEntries(ndjson: Data(row.utf8), to: "busy")
                written.add(number)
                number += 1
            }
        }
        let building = Task {
            while !Task.isCancelled {
                if let job = try? await client.buildVersion(of: "busy").job { _ = try await client.waitForJob(job.id) }
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
        while written.count < 50 { try await Task.sleep(for: .milliseconds(5)) }
        var made: [(Made, Int)] = []
        for _ in 0..<3 {
            let known = written.count
            made.append((try makeBackup(daemon), known))
        }
        writing.cancel()
        building.cancel()
        _ = await writing.result
        _ = await building.result
        #expect(try await daemon.stop() == 0)

        for (number, (backup, known)) in made.enumerated() {
            let target = try restored("restored-\(number)", from: backup.backup)
            let copy = try await Daemon(dataDirectory: target)
            // All that was acknowledged before is there, from the first on without a gap, each once.
            let store = try await copy.client.datastore("busy")
            if store.pendingChanges > 0 {
                let job = try #require(try await copy.client.buildVersion(of: "busy").job)
                #expect(try await copy.client.waitForJob(job.id).state == .succeeded)
            }
            let entries = try await copy.client.datastore("busy").entries
            #expect(entries >= known)
            try await copy.client.bind("busy", to: "busy")
            let all = try await copy.client.query(
                [1, 1, 1, 1], of: "busy", options: QueryOptions(k: min(1000, entries)))
            if entries <= 1000 {
                #expect(Set(all.results.compactMap(\.externalID)) == Set((0..<entries).map { "e\($0)" }))
            }
            #expect(Set(all.results.map(\.id)).count == all.results.count)
            #expect(try await copy.client.results(questions, of: "shop", options: QueryOptions(k: 5)) == before)
            // A new entry gets an id of its own.
            _ = try await copy.client.addEntries(
                ndjson: Data(#"{"id": "new", "text": "new", "vector": [1, 1, 1, 1]}"#.utf8), to: "busy")
            let job = try #require(try await copy.client.buildVersion(of: "busy").job)
            #expect(try await copy.client.waitForJob(job.id).state == .succeeded)
            #expect(try await copy.client.datastore("busy").entries == entries + 1)
            #expect(try await copy.stop() == 0)
        }
    }

    @Test func aSecondBackupLinksWhatHasNotChanged() async throws {
        let daemon = try await Daemon(dataDirectory: data)
        try await daemon.client.load(sample: "shop-products")
        let first = try makeBackup(daemon)
        #expect(first.linkedFiles == 0)
        try await daemon.client.load(sample: "everyday-photos")
        let second = try makeBackup(daemon)
        let path = "datastores/shop-products/versions/000001/text.vectors"
        func inode(_ backup: String) -> UInt64 {
            var info = stat()
            return stat(URL(filePath: backup).appending(path: path).path, &info) == 0 ? UInt64(info.st_ino) : 0
        }
        #expect(inode(first.backup) == inode(second.backup) && inode(first.backup) != 0)
        #expect(second.linkedFiles >= 3)
        // Each is whole by itself: without the first the second is restored all the same.
        try FileManager.default.removeItem(atPath: first.backup)
        let copy = try await Daemon(dataDirectory: try restored("restored"))
        #expect(try await copy.client.datastores().map(\.name) == ["everyday-photos", "shop-products"])
        #expect(try await copy.client.status().recovery == [])
        // A copy, not a link: the backup cannot be changed from here.
        #expect(inode(directory.file("restored").path) != inode(second.backup))
        #expect(try await copy.stop() == 0)
        #expect(try await daemon.stop() == 0)
    }

    @Test func aJobThatRanAtTheTimeOfTheBackupHasFailedInTheCopyAndItsRowsAreGone() async throws {
        try await HashingEncoder.with { encoder in
            let daemon = try await Daemon(
                dataDirectory: data, arguments: ["--encoder", "words=\(encoder.url)", "--shutdown-grace", "1"])
            let key = KeySpec(
                name: "text", dim: HashingEncoder.dim, metric: .cosine,
                encoder: Encoder(model: HashingEncoder.model, endpoint: "words"))
            _ = try await daemon.client.createDatastore(
                CreateDatastoreRequest(name: "store", kind: .captions, keys: [key]))
            encoder.hold(after: 0)
            let rows = try directory.write("rows.txt", Data("a dog on a beach\n".utf8))
            let job = try await daemon.client.importRows(file: rows, into: "store")
            while try await daemon.client.job(job.id).state != .running { try await Task.sleep(for: .milliseconds(5)) }
            _ = try makeBackup(daemon)
            encoder.resume()
            #expect(try await daemon.client.waitForJob(job.id).state == .succeeded)
            #expect(try await daemon.stop() == 0)
            let copy = try await Daemon(
                dataDirectory: try restored("restored"), arguments: ["--encoder", "words=\(encoder.url)"])
            let failed = try await copy.client.job(job.id)
            #expect(failed.state == .failed && failed.error?.code == ErrorCode.interrupted.rawValue, "\(failed)")
            let store = try await copy.client.datastore("store")
            #expect(store.pendingChanges == 0 && store.latestVersion == nil)
            let again = try await copy.client.importRows(file: rows, into: "store")
            #expect(try await copy.client.waitForJob(again.id).state == .succeeded)
            #expect(try await copy.stop() == 0)
        }
    }

    @Test func aBackupThatIsKilledLeavesNoneThatCouldBeRestored() async throws {
        let daemon = try await Daemon(dataDirectory: data)
        try await daemon.client.load(sample: "shop-products")
        let proxy = try CuttingProxy(to: daemon.address, cuts: [(60_000, .stall)])
        let process = Process()
        process.executableURL = Daemon.products.appending(path: "capstan")
        process.arguments = ["backup", backups.path, "--url", proxy.url]
        process.standardError = FileHandle.nullDevice
        try process.run()
        while (try? list())?.isEmpty != false { try await Task.sleep(for: .milliseconds(5)) }
        try await Task.sleep(for: .milliseconds(200))
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        proxy.close()
        let left = try list()
        #expect(left.count == 1 && left[0].hasSuffix(".partial"), "\(left)")
        let target = directory.file("restored")
        let refused = try CommandLineTool("capstan").run("restore", backups.path, target.path, "--json")
        #expect(refused.exitCode == 1)
        #expect(try WireJSON.decode(Problem.self, from: Data(refused.errors.utf8)).code == "source_unreadable")
        #expect(!FileManager.default.fileExists(atPath: target.path))
        // The next one is whole, and has cleaned up.
        _ = try makeBackup(daemon)
        #expect(try list().count == 1)
        _ = try restored("restored")
        #expect(try await daemon.stop() == 0)
    }

    @Test func aBackupOverABadConnectionIsWhole() async throws {
        let daemon = try await Daemon(dataDirectory: data)
        try await daemon.client.load(sample: "shop-products")
        let proxy = try CuttingProxy(
            to: daemon.address, cuts: [(200_000, .close), (100_000, .close), (150_000, .close)])
        let outcome = try CommandLineTool("capstan").run("backup", backups.path, "--url", proxy.url)
        #expect(outcome.exitCode == 0, "\(outcome)")
        #expect(proxy.connections > 3)
        proxy.close()
        _ = try restored("restored")
        #expect(try await daemon.stop() == 0)
    }

    @Test func aDamagedBackupIsNotRestoredAndAFolderInUseIsNotTouched() async throws {
        let daemon = try await Daemon(dataDirectory: data)
        try await daemon.client.load(sample: "shop-products")
        let made = try makeBackup(daemon)
        #expect(try await daemon.stop() == 0)
        let capstan = CommandLineTool("capstan")
        let inUse = try capstan.run("restore", backups.path, data.path)
        #expect(inUse.exitCode == 1 && inUse.errors.contains("directory_not_empty"), "\(inUse)")
        // An empty folder is taken.
        let empty = directory.file("empty")
        try FileManager.default.createDirectory(at: empty, withIntermediateDirectories: true)
        #expect(try capstan.run("restore", made.backup, empty.path).exitCode == 0)

        let file = URL(filePath: made.backup).appending(path: "datastores/shop-products/versions/000001/text.vectors")
        #expect(chmod(file.path, 0o644) == 0)
        let handle = try FileHandle(forUpdating: file)
        try handle.seek(toOffset: 1000)
        try handle.write(contentsOf: Data([1, 2, 3, 4, 5]))
        try handle.close()
        let target = directory.file("restored")
        let damaged = try capstan.run("restore", backups.path, target.path)
        #expect(damaged.exitCode == 1 && damaged.errors.contains("backup_damaged"), "\(damaged)")
        #expect(damaged.errors.contains("text.vectors"))
        try FileManager.default.removeItem(at: file)
        let missing = try capstan.run("restore", backups.path, target.path)
        #expect(missing.exitCode == 1 && missing.errors.contains("backup_damaged"), "\(missing)")
        // A list that names files elsewhere.
        let list = URL(filePath: made.backup).appending(path: "backup.json")
        let text = try String(contentsOf: list, encoding: .utf8)
        for wrong in ["../catalog.sqlite", "/catalog.sqlite", "a//b", "./catalog.sqlite"] {
            try Data(text.replacing("\"catalog.sqlite\"", with: "\"\(wrong)\"").utf8).write(to: list)
            let outside = try capstan.run("restore", backups.path, target.path)
            #expect(outside.exitCode == 1 && outside.errors.contains("backup_damaged"), "\(wrong): \(outside)")
        }
        try Data(text.replacing("\"format\" : 1", with: "\"format\" : 9").utf8).write(to: list)
        let newer = try capstan.run("restore", made.backup, target.path)
        #expect(newer.exitCode == 1 && newer.errors.contains("newer_format"), "\(newer)")
        #expect(!FileManager.default.fileExists(atPath: target.path))
        #expect(!FileManager.default.fileExists(atPath: target.path + ".partial"))
    }
}

/// How many writes were acknowledged.
private final class Acknowledged: Sendable {
    private let numbers = Mutex(0)

    var count: Int { numbers.withLock { $0 } }

    func add(_ number: Int) { numbers.withLock { $0 = number + 1 } }
}
