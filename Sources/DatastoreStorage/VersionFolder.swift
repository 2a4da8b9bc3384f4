import DatastoreCore
package import Foundation

/// The files of a published version, opened after their checksums were compared.
package struct VersionFolder: Sendable {
    package let url: URL
    package let manifest: Manifest
    /// Its files, the manifest too, as they were when their bytes were compared, by name.
    package let stamps: [String: FileStamp]
    /// Whether all of it was compared before, and nothing was read now.
    package let wasKnown: Bool

    /// Reads the manifest and compares every file with it. Blocks for as long as reading the files takes.
    ///
    /// - Parameters:
    ///   - manifestSHA256: as the catalog has it; nil when there is no catalog row to compare with yet.
    ///   - known: stamps of files whose bytes were compared before: one that has its stamp is not read again.
    ///   - checkpoint: called before each file is read; throws to stop.
    /// - Throws: `version_damaged`, which names the file, or `newer_format`.
    package init(
        verifying url: URL, id: VersionID, manifestSHA256: String?, known: [String: FileStamp] = [:],
        checkpoint: () throws -> Void = {}
    ) throws {
        self.url = url
        let manifestURL = url.appending(path: Manifest.fileName)
        guard FileManager.default.fileExists(atPath: manifestURL.path) else {
            throw DatastoreError(.versionDamaged, "\(id): \(Manifest.fileName) is missing")
        }
        let manifestStamp = try FileStamp(manifestURL)
        let data = try Data(contentsOf: manifestURL)
        if let expected = manifestSHA256, FileDigest.sha256(data) != expected {
            throw DatastoreError(
                .versionDamaged,
                "\(id): \(Manifest.fileName) has SHA-256 \(FileDigest.sha256(data)), expected \(expected)")
        }
        manifest = try Manifest.read(data)
        guard manifest.id == id else {
            throw DatastoreError(.versionDamaged, "\(id): \(Manifest.fileName) is of \(manifest.id)")
        }
        for name in [Self.entriesFile] + manifest.keys.flatMap(\.files)
        where !manifest.files.contains(where: { $0.name == name }) {
            throw DatastoreError(.versionDamaged, "\(id): \(Manifest.fileName) does not list \(name)")
        }
        var stamps = [Manifest.fileName: manifestStamp]
        var wasKnown = known[Manifest.fileName] == manifestStamp
        for file in manifest.files {
            try checkpoint()
            let path = url.appending(path: file.name)
            guard FileManager.default.fileExists(atPath: path.path) else {
                throw DatastoreError(.versionDamaged, "\(id): \(file.name) is missing")
            }
            // Taken before the bytes are read: what changes meanwhile has another one after.
            let stamp = try FileStamp(path)
            stamps[file.name] = stamp
            if known[file.name] == stamp { continue }
            wasKnown = false
            let found = try FileDigest.of(path)
            guard found == file else {
                throw DatastoreError(
                    .versionDamaged,
                    "\(id): \(file.name) has \(found.bytes) bytes and SHA-256 \(found.sha256), "
                        + "expected \(file.bytes) and \(file.sha256)")
            }
        }
        self.stamps = stamps
        self.wasKnown = wasKnown
    }

    /// The same folder when nothing of it was touched since; nil otherwise.
    package func unchanged() -> VersionFolder? {
        guard (try? isUntouched()) ?? false else { return nil }
        return VersionFolder(url: url, manifest: manifest, stamps: stamps, wasKnown: true)
    }

    private init(url: URL, manifest: Manifest, stamps: [String: FileStamp], wasKnown: Bool) {
        self.url = url
        self.manifest = manifest
        self.stamps = stamps
        self.wasKnown = wasKnown
    }

    /// A folder whose files were compared with its manifest as they were written.
    package init(written url: URL, manifest: Manifest) throws {
        self.url = url
        self.manifest = manifest
        wasKnown = false
        stamps = try Dictionary(
            uniqueKeysWithValues: (manifest.files.map(\.name) + [Manifest.fileName]).map {
                ($0, try FileStamp(url.appending(path: $0)))
            })
    }

    /// Whether all files have the stamps that they had.
    package func isUntouched() throws -> Bool { try Self.isUntouched(url, stamps) }

    /// Whether files of a folder have these stamps.
    package static func isUntouched(_ url: URL, _ stamps: [String: FileStamp]) throws -> Bool {
        try stamps.allSatisfy { try FileStamp(url.appending(path: $0.key)) == $0.value }
    }

    /// The folder with the stamps that its files have now; nil when more was done to one than to give or take a name of it.
    package func afterRenaming() throws -> VersionFolder? {
        var now: [String: FileStamp] = [:]
        for (name, stamp) in stamps {
            let other = try FileStamp(path(name))
            guard other.hasSameContent(as: stamp) else { return nil }
            now[name] = other
        }
        return VersionFolder(url: url, manifest: manifest, stamps: now, wasKnown: wasKnown)
    }

    package func path(_ file: String) -> URL { url.appending(path: file) }
    package var entries: URL { path(Self.entriesFile) }

    package static let entriesFile = "entries.sqlite"

    /// Writes the manifest of a folder whose files are complete, makes all read-only and syncs the folder.
    ///
    /// - Returns: the manifest's checksum and the bytes of all files.
    package static func seal(_ url: URL, manifest: Manifest) throws -> (sha256: String, bytes: Int64) {
        let data = try WireJSON.encode(manifest, pretty: true)
        try DurableFiles.write(data, to: url.appending(path: Manifest.fileName))
        for name in manifest.files.map(\.name) + [Manifest.fileName] {
            let path = url.appending(path: name).path
            try FileManager.default.setAttributes([.posixPermissions: 0o444], ofItemAtPath: path)
        }
        try DurableFiles.sync(url)
        return (FileDigest.sha256(data), manifest.files.reduce(Int64(data.count)) { $0 + $1.bytes })
    }

    /// Makes the files of a folder that has its manifest read-only, and syncs the folder.
    package static func protect(_ url: URL) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: url.path) {
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o444], ofItemAtPath: url.appending(path: name).path)
        }
        try DurableFiles.sync(url)
    }
}
