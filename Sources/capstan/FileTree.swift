import Bundles
import Crypto
import DatastoreCore
import Foundation

/// Files and folders that have to be on disk.
enum FileTree {
    /// Forces a file's, or a folder's own list's, bytes to disk.
    static func sync(_ url: URL) throws {
        let descriptor = open(url.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", url) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("sync", url) }
    }

    /// Syncs a folder and all below it; the files are on disk.
    static func syncFolders(_ root: URL) throws {
        for path in try FileManager.default.subpathsOfDirectory(atPath: root.path) {
            let url = root.appending(path: path)
            if try url.resourceValues(forKeys: [.isDirectoryKey]).isDirectory == true { try sync(url) }
        }
        try sync(root)
    }

    /// Renames, and puts that on disk. A folder may take the place of an empty one.
    static func move(_ source: URL, to target: URL) throws {
        guard rename(source.path, target.path) == 0 else { throw failure("rename", source) }
        try sync(target.deletingLastPathComponent())
    }

    /// Copies a file, and puts the copy on disk.
    ///
    /// - Returns: its SHA-256.
    static func copy(_ source: URL, to target: URL) throws -> String {
        let input = try InputDescriptor(source)
        let output = try OutputDescriptor(target)
        var hash = SHA256()
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var offset: Int64 = 0
        while true {
            let count = try buffer.withUnsafeMutableBytes { try input.read(into: $0, at: offset) }
            if count == 0 { break }
            try buffer[..<count].withUnsafeBytes { bytes in
                hash.update(bufferPointer: bytes)
                try output.write(bytes)
            }
            offset += Int64(count)
        }
        try output.sync()
        return hash.finalize().hexadecimal
    }

    /// Files of versions never change, on disk neither.
    static func protect(_ url: URL, path: String) throws {
        guard path.split(separator: "/").dropLast(2).last == "versions" else { return }
        guard chmod(url.path, 0o444) == 0 else { throw failure("protect", url) }
    }

    static func failure(_ action: String, _ url: URL) -> DatastoreError {
        DatastoreError(.storageFailed, "could not \(action) \(url.path): \(String(cString: strerror(errno)))")
    }
}
