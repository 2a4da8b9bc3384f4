import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// `capstan import`
struct ImportCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Add rows to a datastore, and make a version of it.",
        discussion: """
            ROWS is NDJSON, one entry a line, plain or gzip. Its vectors are in a NumPy file with one row for each, or \
            in the rows themselves. Both files are uploaded, and capstan waits until the import has ended.

              capstan import coco captions.ndjson --vectors captions.npy
              capstan import coco rows-with-vectors.ndjson.gz --strict
              capstan import coco /srv/sets/a.ndjson --vectors /srv/sets/a.npy --server-paths

            Rows that are refused do not stop the others, unless --strict; capstan jobs rejects ID shows them all.
            """
    )

    @Argument(help: "The datastore.")
    var name: String

    @Argument(help: ArgumentHelp("The rows, an NDJSON file.", valueName: "rows"), completion: .file())
    var rows: String

    @Option(
        help: ArgumentHelp("A NumPy file with one vector per row.", valueName: "file.npy"),
        completion: .file(extensions: ["npy"]))
    var vectors: String?

    @Flag(name: .customLong("no-build"), help: "Keep the rows as pending changes; capstan reindex makes the version.")
    var noBuild = false

    @Flag(help: "Fail, and keep nothing, when one row is refused.")
    var strict = false

    @Flag(help: "The files are the daemon's, under one of its import roots: nothing is uploaded.")
    var serverPaths = false

    @Flag(name: .customLong("no-wait"), help: "Leave as soon as the job is taken.")
    var noWait = false

    @OptionGroup var connection: Connection

    func run() async throws {
        let start = ContinuousClock.now
        let client = try connection.client()
        let progress = connection.json ? nil : JobProgress(name)
        defer { progress?.end() }
        let job = try await startJob(client, progress: progress)
        if noWait {
            progress?.end()
            return try connection.show(job) { "job \($0.id) is \($0.state.rawValue); see: capstan jobs show \($0.id)" }
        }
        let done = try await JobProgress.follow(job, client: client, progress: progress)
        try connection.show(done) { $0.summary(duration: start.duration(to: .now)) }
        if !connection.json, done.counts.rejected > 0 { try await sayFirstRejects(of: done, client: client) }
        try done.throwUnlessSucceeded()
    }

    private func startJob(_ client: CaptionerClient, progress: JobProgress?) async throws -> JobInfo {
        let options = ImportOptions(build: !noBuild, strict: strict)
        if serverPaths {
            return try await client.importFromServerPath(
                ImportRequest(rowsPath: rows, vectorsPath: vectors, options: options), into: name)
        }
        return try await client.importRows(
            file: URL(filePath: rows), vectors: vectors.map { URL(filePath: $0) }, into: name, options: options,
            progress: { progress?.update($0) })
    }

    private func sayFirstRejects(of job: JobInfo, client: CaptionerClient) async throws {
        var shown = 0
        for try await row in client.rejects(of: job.id) {
            StandardError.write("line \(row.line): \(row.code.rawValue): \(printable(row.detail))")
            shown += 1
            if shown == 5 { break }
        }
        if job.counts.rejected > shown { StandardError.write("… and \(job.counts.rejected - shown) more") }
        StandardError.write("all of them: capstan jobs rejects \(job.id)")
    }
}
