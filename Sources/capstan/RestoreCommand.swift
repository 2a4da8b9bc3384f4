import ArgumentParser
import DatastoreCore
import Foundation

/// `capstan restore`
struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Make a data directory of a backup.",
        discussion: """
            Copies a backup that capstan backup made into an empty folder, and compares each file with its checksum. It asks no \
            daemon: start one on the folder afterwards.

              capstan restore /srv/backups/20261122T043000.123Z /srv/capstan
              capstan restore /srv/backups /srv/capstan                  the newest of them
              capstand --data-dir /srv/capstan
            """
    )

    @Argument(help: ArgumentHelp("A backup, or the folder of backups.", valueName: "backup"), completion: .directory)
    var backup: String

    @Argument(
        help: ArgumentHelp("The data directory to make: empty, or not there.", valueName: "data-dir"),
        completion: .directory)
    var dataDirectory: String

    @Flag(help: "Answer with one JSON value; errors too.")
    var json = false

    private struct Outcome: Encodable {
        var backup: String
        var dataDirectory: String
        var files: Int
        var bytes: Int64
        var createdAt: Date

        enum CodingKeys: String, CodingKey {
            case backup, files, bytes
            case dataDirectory = "data_directory"
            case createdAt = "created_at"
        }
    }

    func run() throws {
        let source = try BackupFolder.found(at: URL(filePath: backup))
        let target = URL(filePath: dataDirectory)
        let partial = target.deletingLastPathComponent()
            .appending(path: target.lastPathComponent + BackupFolder.partialSuffix)
        if FileManager.default.fileExists(atPath: target.path) {
            guard let names = try? FileManager.default.contentsOfDirectory(atPath: target.path), names.isEmpty else {
                throw DatastoreError(
                    .directoryNotEmpty,
                    "\(target.path) is not an empty folder; a backup is restored into an empty one only")
            }
        }
        // What a restore that broke off has left.
        if FileManager.default.fileExists(atPath: partial.path) { try FileManager.default.removeItem(at: partial) }
        try FileManager.default.createDirectory(at: partial, withIntermediateDirectories: true)
        do {
            for file in source.list.files { try copy(file, from: source.url, to: partial) }
            try FileTree.syncFolders(partial)
            try FileTree.move(partial, to: target)
        } catch {
            try? FileManager.default.removeItem(at: partial)
            throw error
        }
        let outcome = Outcome(
            backup: source.url.path, dataDirectory: target.path, files: source.list.files.count,
            bytes: source.list.files.reduce(0) { $0 + $1.bytes }, createdAt: source.list.createdAt)
        if json {
            try StandardOutput.write(String(decoding: WireJSON.encode(outcome), as: UTF8.self))
        } else {
            try StandardOutput.write(
                "\(outcome.files) files of \(outcome.bytes.shownAsBytes), as of \(outcome.createdAt.shown), are in "
                    + "\(dataDirectory); now: capstand --data-dir \(dataDirectory)")
        }
    }

    private func copy(_ file: BackupFile, from source: URL, to target: URL) throws {
        let from = source.appending(path: file.path)
        let to = target.appending(path: file.path)
        try FileManager.default.createDirectory(at: to.deletingLastPathComponent(), withIntermediateDirectories: true)
        let sum: String
        do {
            sum = try FileTree.copy(from, to: to)
        } catch let error as DatastoreError where error.code == .sourceUnreadable {
            throw DatastoreError(.backupDamaged, "\(file.path) is not in the backup as it should be: \(error.detail)")
        }
        guard sum == file.sha256 else {
            throw DatastoreError(
                .backupDamaged,
                "\(file.path) has SHA-256 \(sum) in the backup, expected \(file.sha256); take another backup")
        }
        try FileTree.protect(to, path: file.path)
    }
}
