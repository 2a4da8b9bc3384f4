import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// `capstan backup`
struct BackupCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy everything that a running daemon has.",
        discussion: """
            Makes a folder in DIR that is named after the time: catalog, versions and pending changes, as they were at one \
            moment. Files that the backup before has already are linked to, not fetched again, so each backup is whole and a \
            new one takes little. The daemon goes on meanwhile and may be on another machine.

              capstan backup /srv/backups
              capstan restore /srv/backups /srv/capstan     the newest of them, into an empty folder
            """
    )

    @Argument(
        help: ArgumentHelp("The folder of backups; made when there is none.", valueName: "dir"), completion: .directory)
    var directory: String

    @OptionGroup var connection: Connection

    private struct Outcome: Encodable {
        var backup: String
        var files = 0
        var bytes: Int64 = 0
        var linkedFiles = 0
        var fetchedBytes: Int64 = 0
        var seconds = 0.0

        enum CodingKeys: String, CodingKey {
            case backup, files, bytes, seconds
            case linkedFiles = "linked_files"
            case fetchedBytes = "fetched_bytes"
        }
    }

    func run() async throws {
        let start = ContinuousClock.now
        let parent = URL(filePath: directory)
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        let lock = try lock(parent)
        defer { close(lock) }
        try removePartials(in: parent)
        let previous = try BackupFolder.newest(in: parent)
        let client = try connection.client(isPatient: true)
        let progress = connection.json ? nil : ProgressLine("backup")
        defer { progress?.end() }
        let backup = try await client.startBackup()
        var outcome: Outcome
        do {
            outcome = try await fetch(backup, client, into: parent, previous, progress)
        } catch {
            try? await client.endBackup(backup.id)
            throw error
        }
        // It is whole; the daemon would remove its copy by itself, too.
        try? await client.endBackup(backup.id)
        progress?.end()
        outcome.seconds = start.duration(to: .now) / .seconds(1)
        try connection.show(outcome) { outcome in
            "\(outcome.backup): \(outcome.files) files of \(outcome.bytes.shownAsBytes), \(outcome.linkedFiles) of them as in the "
                + "backup before, \(outcome.fetchedBytes.shownAsBytes) fetched, in \(start.duration(to: .now).shown)"
        }
    }

    /// Keeps another backup out of the folder while this one is made.
    ///
    /// - Returns: the descriptor that holds the lock.
    private func lock(_ parent: URL) throws -> Int32 {
        let file = parent.appending(path: ".lock")
        let descriptor = open(file.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileTree.failure("open", file) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw DatastoreError(.datastoreBusy, "another backup into \(parent.path) goes on; wait until it has ended")
        }
        return descriptor
    }

    /// What backups that broke off have left.
    private func removePartials(in parent: URL) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: parent.path)
        where name.hasSuffix(BackupFolder.partialSuffix) {
            try FileManager.default.removeItem(at: parent.appending(path: name))
        }
    }

    private func fetch(
        _ backup: BackupInfo, _ client: CaptionerClient, into parent: URL, _ previous: BackupFolder?,
        _ progress: ProgressLine?
    ) async throws -> Outcome {
        let name = BackupFolder.name(of: Date())
        let target = parent.appending(path: name)
        let partial = parent.appending(path: name + BackupFolder.partialSuffix)
        var outcome = Outcome(backup: target.path)
        let known = Dictionary((previous?.list.files ?? []).map { ($0.path, $0) }) { first, _ in first }
        try FileManager.default.createDirectory(at: partial, withIntermediateDirectories: false)
        for file in backup.files {
            try BackupFolder.check(file)
            let place = partial.appending(path: file.path)
            try FileManager.default.createDirectory(
                at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
            if known[file.path] == file, let previous, link(file, from: previous.url, to: place) {
                outcome.linkedFiles += 1
            } else {
                let before = outcome.bytes
                let fetched = try await FileDownload(file: place) { offset, etag in
                    try await client.backupFile(file.path, of: backup.id, from: offset, etag: etag)
                }.run { bytes, _ in progress?.update(before + bytes, of: backup.bytes, "copied") }
                guard fetched.bytes == file.bytes, fetched.sha256 == file.sha256 else {
                    throw DatastoreError(
                        .backupDamaged,
                        "\(file.path) came with \(fetched.bytes) bytes and SHA-256 \(fetched.sha256), expected \(file.bytes) and "
                            + "\(file.sha256): the daemon's own file is damaged, or changed on the way")
                }
                try FileTree.protect(place, path: file.path)
                outcome.fetchedBytes += file.bytes
            }
            outcome.files += 1
            outcome.bytes += file.bytes
            progress?.update(outcome.bytes, of: backup.bytes, "copied")
        }
        let list = BackupFolder.List(release: backup.release, createdAt: backup.createdAt, files: backup.files)
        let listFile = partial.appending(path: BackupFolder.listName)
        try WireJSON.encode(list, pretty: true).write(to: listFile)
        try FileTree.sync(listFile)
        try FileTree.syncFolders(partial)
        try FileTree.move(partial, to: target)
        return outcome
    }

    /// Links a file that another backup has.
    ///
    /// - Returns: false when that is not possible, and it has to be fetched.
    private func link(_ file: BackupFile, from previous: URL, to place: URL) -> Bool {
        let source = previous.appending(path: file.path)
        let size = (try? source.resourceValues(forKeys: [.fileSizeKey]))?.fileSize
        return size.map(Int64.init) == file.bytes && Foundation.link(source.path, place.path) == 0
    }
}
