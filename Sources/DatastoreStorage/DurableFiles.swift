import DatastoreCore
package import Foundation

/// Writes that survive a power cut: what is renamed into place is on disk, and so is the rename.
package enum DurableFiles {
    /// Forces a file's, or a directory's own list's, bytes to disk.
    package static func sync(_ url: URL) throws {
        let descriptor = open(url.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", url) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("sync", url) }
    }

    /// Renames, then syncs both parents. The target must not exist.
    package static func move(_ source: URL, to target: URL) throws {
        guard !FileManager.default.fileExists(atPath: target.path) else {
            throw DatastoreError(.storageFailed, "\(target.lastPathComponent) exists already, expected a free name")
        }
        guard rename(source.path, target.path) == 0 else { throw failure("rename", source) }
        try sync(target.deletingLastPathComponent())
        try sync(source.deletingLastPathComponent())
    }

    /// Renames a file, which is on disk, over one that may be there.
    package static func replace(_ target: URL, with source: URL) throws {
        guard rename(source.path, target.path) == 0 else { throw failure("rename", source) }
        try sync(target.deletingLastPathComponent())
    }

    /// Writes a whole file aside, syncs it and renames it into place.
    package static func write(_ data: Data, to url: URL) throws {
        let aside = url.appendingPathExtension("new")
        try data.write(to: aside)
        try sync(aside)
        guard rename(aside.path, url.path) == 0 else { throw failure("rename", aside) }
        try sync(url.deletingLastPathComponent())
    }

    /// Removes what is there, if anything is.
    package static func remove(_ url: URL) throws {
        guard FileManager.default.fileExists(atPath: url.path) else { return }
        try FileManager.default.removeItem(at: url)
    }

    /// Names that a file has.
    static func names(of url: URL) throws -> Int {
        var info = stat()
        guard stat(url.path, &info) == 0 else { throw failure("look at", url) }
        return Int(info.st_nlink)
    }

    static func failure(_ action: String, _ url: URL) -> DatastoreError {
        DatastoreError(
            .storageFailed, "could not \(action) \(url.lastPathComponent): \(String(cString: strerror(errno)))")
    }
}
