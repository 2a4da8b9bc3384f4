import DatastoreCore
import DatastoreStorage
import Foundation

/// Takes the files of a new version through the steps after which it cannot be lost: promise 4.
struct VersionPublisher {
    let directory: DataDirectory
    /// Told after each step; a fault test ends the process here.
    let onStep: @Sendable (PublishStep) -> Void

    /// Checksums, seals, syncs and renames. Blocks.
    ///
    /// - Parameter checkpoint: called for the last time before the rename; throws to stop.
    /// - Returns: the catalog row that makes the version exist.
    func place(_ staged: URL, manifest: Manifest, checkpoint: () throws -> Void) throws -> VersionRecord {
        var manifest = manifest
        let names = [VersionFolder.entriesFile] + manifest.keys.flatMap(\.files)
        manifest.files = try names.map { [known = manifest.files] name in
            try checkpoint()
            return try known.first { $0.name == name } ?? FileDigest.of(staged.appending(path: name))
        }
        onStep(.staged)
        for name in names { try DurableFiles.sync(staged.appending(path: name)) }
        let sealed = try VersionFolder.seal(staged, manifest: manifest)
        onStep(.synced)
        try checkpoint()
        try DurableFiles.move(staged, to: directory.version(manifest.id))
        onStep(.renamed)
        return VersionRecord(manifest: manifest, manifestSHA256: sealed.sha256, bytes: sealed.bytes)
    }

    /// Renames a folder that has its manifest, and whose files are on disk. Blocks.
    ///
    /// - Parameter checkpoint: as above.
    /// - Returns: the catalog row that makes the version exist.
    func place(
        sealing staged: URL, manifest: Manifest, manifestSHA256: String, checkpoint: () throws -> Void
    ) throws -> VersionRecord {
        onStep(.staged)
        try VersionFolder.protect(staged)
        let itself = try FileDigest.of(staged.appending(path: Manifest.fileName))
        guard itself.sha256 == manifestSHA256 else {
            throw DatastoreError(
                .storageFailed, "\(manifest.id): \(Manifest.fileName) is not on disk as it was written")
        }
        onStep(.synced)
        try checkpoint()
        let place = directory.version(manifest.id)
        // What an attempt has left that a crash ended before the catalog named it.
        try DurableFiles.remove(place)
        try DurableFiles.move(staged, to: place)
        onStep(.renamed)
        return VersionRecord(
            manifest: manifest, manifestSHA256: manifestSHA256,
            bytes: manifest.files.reduce(itself.bytes) { $0 + $1.bytes })
    }
}
