package import Crypto
package import DatastoreCore
package import Foundation

/// SHA-256 of files, read in chunks.
package enum FileDigest {
    private static let chunkSize = 1 << 20

    /// Size and checksum of a file. Blocks the caller.
    package static func of(_ url: URL) throws -> VersionFile {
        let descriptor = open(url.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw DurableFiles.failure("open", url) }
        defer { close(descriptor) }
        var hash = SHA256()
        var bytes: Int64 = 0
        var chunk = [UInt8](repeating: 0, count: chunkSize)
        while true {
            let count = try chunk.withUnsafeMutableBytes { buffer in
                let count = read(descriptor, buffer.baseAddress, buffer.count)
                guard count >= 0 else { throw DurableFiles.failure("read", url) }
                hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                return count
            }
            if count == 0 { break }
            bytes += Int64(count)
        }
        return VersionFile(name: url.lastPathComponent, bytes: bytes, sha256: hex(hash.finalize()))
    }

    package static func sha256(_ data: Data) -> String {
        hex(SHA256.hash(data: data))
    }

    /// A checksum as manifests write it.
    package static func hex(_ digest: SHA256.Digest) -> String {
        digest.map { byte in
            let text = String(byte, radix: 16)
            return byte < 16 ? "0" + text : text
        }.joined()
    }
}
