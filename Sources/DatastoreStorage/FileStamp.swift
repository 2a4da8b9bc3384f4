import Foundation

/// What a file is known by without reading it: a file that was changed, or is another one, has another stamp.
package struct FileStamp: Sendable, Hashable, Codable {
    private let device: UInt64
    private let inode: UInt64
    private let bytes: Int64
    private let modifiedAt: [Int]
    private let changedAt: [Int]

    /// Whether nothing but the names or the rights of the file can be other, unless its times were set.
    func hasSameContent(as other: FileStamp) -> Bool {
        device == other.device && inode == other.inode && bytes == other.bytes && modifiedAt == other.modifiedAt
    }

    /// - Throws: `storage_failed`.
    init(_ url: URL) throws {
        var info = stat()
        guard stat(url.path, &info) == 0 else { throw DurableFiles.failure("look at", url) }
        device = UInt64(info.st_dev)
        inode = UInt64(info.st_ino)
        bytes = Int64(info.st_size)
        modifiedAt = [info.st_mtim.tv_sec, info.st_mtim.tv_nsec]
        changedAt = [info.st_ctim.tv_sec, info.st_ctim.tv_nsec]
    }
}
