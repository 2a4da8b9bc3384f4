package import Foundation

/// What files take on disk.
package enum DiskUsage {
    /// Bytes that removing a file, or a folder with all that is in it, gives back: those of blocks that no other name
    /// shares. 0 for what is not there.
    package static func freed(byRemoving url: URL) -> Int64 {
        let inside = FileManager.default.enumerator(at: url, includingPropertiesForKeys: nil)?.compactMap { $0 as? URL }
        return ([url] + (inside ?? [])).reduce(0) { sum, file in
            var info = stat()
            guard lstat(file.path, &info) == 0 else { return sum }
            let isFolder = info.st_mode & S_IFMT == S_IFDIR
            return isFolder || info.st_nlink == 1 ? sum + Int64(info.st_blocks) * 512 : sum
        }
    }

    /// When anything in a folder was changed last; nil for what is not there.
    package static func lastChange(in url: URL) -> Date? {
        let inside = FileManager.default.enumerator(at: url, includingPropertiesForKeys: nil)?.compactMap { $0 as? URL }
        return ([url] + (inside ?? [])).compactMap { file in
            try? FileManager.default.attributesOfItem(atPath: file.path)[.modificationDate] as? Date
        }.max()
    }
}
