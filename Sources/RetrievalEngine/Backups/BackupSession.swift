import DatastoreCore
import DatastoreStorage
import Foundation

/// The files of one backup in a folder of their own, laid out as a data directory.
///
/// Versions are hard links: they never change, and one that is deleted meanwhile stays here. Calls block.
struct BackupSession: Sendable {
    let id: String
    private let directory: DataDirectory

    init(id: String, directory: DataDirectory) {
        self.id = id
        self.directory = directory
    }

    /// One that is kept.
    struct Open: Sendable {
        let session: BackupSession
        private(set) var info: BackupInfo
        private(set) var expires: ContinuousClock.Instant

        init(session: BackupSession, info: BackupInfo) {
            self.session = session
            self.info = info
            expires = .now
            touch(life: .seconds(Int64(info.expiresAt.timeIntervalSinceNow.rounded())))
        }

        mutating func touch(life: Duration) {
            expires = .now + life
            info.expiresAt = Date().addingTimeInterval(life / .seconds(1))
        }
    }

    /// Staging is emptied at start, so a backup does not outlive the daemon.
    var folder: URL { directory.staging(job: Self.folderPrefix + id) }

    static let folderPrefix = "backup-"

    private var copy: DataDirectory { DataDirectory(root: folder) }

    func remove() throws {
        try DurableFiles.remove(folder)
    }

    /// Copies and links everything. Called while nothing is published: what the catalog names must be there, and what is
    /// pending must not be in a version that it does not name.
    func copy(_ catalog: Catalog, at now: Date, _ pending: (String) throws -> PendingChanges) throws {
        try FileManager.default.createDirectory(at: copy.datastores, withIntermediateDirectories: true)
        try catalog.backUp(to: copy.catalog, at: now)
        let working = Set(try catalog.unfinishedJobs().map(\.id))
        for datastore in try catalog.datastores(PageRequest(limit: -1)) {
            let name = datastore.name
            try FileManager.default.createDirectory(at: copy.versions(name), withIntermediateDirectories: true)
            try pending(name).backUp(to: copy.datastore(name))
            for version in try catalog.versionNumbers(of: name).sorted() {
                let version = VersionID(datastore: name, number: version)
                try link(directory.version(version), to: copy.version(version))
            }
            try link(
                directory.vocabulary(ofKey: "", datastore: name).deletingLastPathComponent(),
                to: copy.vocabulary(ofKey: "", datastore: name).deletingLastPathComponent())
            try link(
                directory.questions(ofKey: "", datastore: name, .given).deletingLastPathComponent(),
                to: copy.questions(ofKey: "", datastore: name, .given).deletingLastPathComponent())
            // What jobs wrote that have ended.
            try link(
                directory.rejects(job: "", datastore: name).deletingLastPathComponent(),
                to: copy.rejects(job: "", datastore: name).deletingLastPathComponent()
            ) { !working.contains($0.replacing(".jsonl", with: "")) }
            try link(
                directory.output(job: "", datastore: name), to: copy.output(job: "", datastore: name)
            ) { !working.contains($0) }
        }
    }

    /// Links the regular files of a folder; a folder that is not there has none.
    private func link(_ source: URL, to target: URL, where isWanted: (String) -> Bool = { _ in true }) throws {
        guard FileManager.default.fileExists(atPath: source.path) else { return }
        try FileManager.default.createDirectory(at: target, withIntermediateDirectories: true)
        for name in try FileManager.default.contentsOfDirectory(atPath: source.path) where isWanted(name) {
            try FileManager.default.linkItem(at: source.appending(path: name), to: target.appending(path: name))
        }
    }

    /// The files with their checksums: of a version those that its manifest says, of others those that they have.
    func list(createdAt: Date, life: Duration) throws -> BackupInfo {
        var files: [BackupFile] = []
        for path in try FileManager.default.subpathsOfDirectory(atPath: folder.path).sorted() {
            let url = folder.appending(path: path)
            let isFolder = try url.resourceValues(forKeys: [.isDirectoryKey]).isDirectory ?? false
            if isFolder { continue }
            let known = listed(url)
            let found = try known ?? FileDigest.of(url)
            files.append(BackupFile(path: path, bytes: found.bytes, sha256: found.sha256))
        }
        return BackupInfo(
            id: id, release: Release.version, createdAt: createdAt,
            expiresAt: createdAt.addingTimeInterval(life / .seconds(1)), bytes: files.reduce(0) { $0 + $1.bytes },
            files: files)
    }

    /// What the manifest beside a file says of it, when the file has the size.
    private func listed(_ url: URL) -> VersionFile? {
        guard url.deletingLastPathComponent().deletingLastPathComponent().lastPathComponent == "versions",
            let data = try? Data(
                contentsOf: url.deletingLastPathComponent().appending(path: Manifest.fileName)),
            let file = (try? Manifest.read(data))?.files.first(where: { $0.name == url.lastPathComponent }),
            (try? url.resourceValues(forKeys: [.fileSizeKey]).fileSize) == Int(file.bytes)
        else { return nil }
        return file
    }
}
