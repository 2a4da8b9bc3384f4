import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// The nightly entry of `Tools/cron`, as a real cron runs it.
struct CronTests {
    private static let cron = "/usr/sbin/cron"
    /// Why it cannot run here; nil where it can.
    private static let obstacle: String? = {
        guard FileManager.default.isExecutableFile(atPath: cron) else { return "there is no \(cron): apt install cron" }
        guard getuid() == 0 else { return "cron reads the crontabs of a machine as root alone" }
        let probe = Process()
        probe.executableURL = URL(filePath: "/usr/bin/unshare")
        probe.arguments = ["-m", "--propagation", "private", "true"]
        guard (try? probe.run()) != nil else { return "there is no unshare" }
        probe.waitUntilExit()
        return probe.terminationStatus == 0 ? nil : "a mount namespace of its own is not allowed here"
    }()

    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    @Test(.enabled(if: obstacle == nil, "\(obstacle ?? "")"))
    func theNightlyEntryPublishesWhatIsPending() async throws {
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        for name in ["alpha", "beta"] {
            try await daemon.client.createDatastore(
                CreateDatastoreRequest(
                    name: name, kind: .captions, keys: [KeySpec(name: "text", dim: 2, metric: .cosine)]))
            _ = try await daemon.client.addEntry(json: Data(#"{"text": "a dog", "vector": [1, 0]}"#.utf8), to: name)
            guard case .started(let job) = try await daemon.client.buildVersion(of: name) else { continue }
            #expect(try await daemon.client.waitForJob(job.id).version == 1)
        }
        try await daemon.client.bind("street", to: "beta")
        _ = try await daemon.client.addEntry(json: Data(#"{"text": "a cat", "vector": [0, 1]}"#.utf8), to: "beta")

        let log = try directory.write("reindex.log", Data())
        let cron = try run(crontab(for: daemon, log: log))
        defer { cron.terminate() }
        let deadline = ContinuousClock.now + .seconds(80)
        var lines: [[String: JSONValue]] = []
        while lines.count < 2, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(200))
            lines = try String(contentsOf: log, encoding: .utf8).split(separator: "\n").compactMap {
                try? WireJSON.decode([String: JSONValue].self, from: Data($0.utf8))
            }
        }
        let text = try String(contentsOf: log, encoding: .utf8)
        try #require(lines.count >= 2, "cron has not run the entry: \(text)")
        #expect(lines[0]["datastore"] == .string("alpha") && lines[0]["outcome"] == .string("nothing_to_do"), "\(text)")
        #expect(lines[1]["datastore"] == .string("beta") && lines[1]["outcome"] == .string("built"), "\(text)")
        #expect(lines[1]["version"] == .integer(2) && lines[1]["entries"] == .integer(2), "\(text)")
        #expect(try await daemon.client.datastore("beta").pendingChanges == 0)
        #expect(try await daemon.client.datastore("alpha").latestVersion == 1)
        // The domain that follows is there.
        let answer = try await daemon.client.query([0, 1], of: "street", options: QueryOptions(k: 1))
        #expect(answer.results.map(\.text) == ["a cat"] && answer.results.map(\.version) == [2])
    }

    /// The entry with another schedule, user and environment, and the same command.
    private func crontab(for daemon: Daemon, log: URL) throws -> String {
        let file = TestData.package.appending(path: "Tools/cron/capstan-reindex")
        var changed: Set<String> = []
        let lines = try String(contentsOf: file, encoding: .utf8).split(
            separator: "\n", omittingEmptySubsequences: false
        ).map { line -> String in
            let replacements = [
                ("PATH=", "PATH=\(Daemon.products.path):/usr/bin:/bin"), ("MAILTO=", "MAILTO=\"\""),
                ("CAPSTAN_URL=", "CAPSTAN_URL=http://\(daemon.address)"), ("CAPSTAN_LOG=", "CAPSTAN_LOG=\(log.path)"),
                ("30 2 * * * capstan ", "* * * * * root "), ("15 4 * * 0 capstan ", "15 4 * * 0 root "),
            ]
            guard let (start, new) = replacements.first(where: { line.hasPrefix($0.0) }) else { return String(line) }
            changed.insert(start)
            return start.contains("* ") ? new + line.dropFirst(start.count) : new
        }
        try #require(changed.count == 6, "the entry has not the lines that the test replaces: \(changed)")
        return lines.joined(separator: "\n")
    }

    /// A cron that sees this crontab and no other of the machine, and keeps its own state.
    private func run(_ crontab: String) throws -> Process {
        for folder in ["cron.d", "spool", "run"] {
            try FileManager.default.createDirectory(at: directory.file(folder), withIntermediateDirectories: true)
        }
        let entry = directory.file("cron.d/capstan-reindex")
        try Data(crontab.utf8).write(to: entry)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: entry.path)
        let empty = try directory.write("crontab", Data())
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: empty.path)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/unshare")
        process.arguments = [
            "-m", "--propagation", "private", "/bin/sh", "-ec",
            """
            mount --bind "$1/cron.d" /etc/cron.d
            mount --bind "$1/spool" /var/spool/cron/crontabs
            mount --bind "$1/crontab" /etc/crontab
            mount --bind "$1/run" "$(readlink -f /var/run)"
            exec \(Self.cron) -f
            """, "sh", directory.url.path,
        ]
        try process.run()
        return process
    }
}
