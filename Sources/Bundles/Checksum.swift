package import Crypto
package import Foundation

/// SHA-256 as manifests and headers have it.
package enum Checksum {
    static func bytes(of data: Data) -> [UInt8] { Array(SHA256.hash(data: data)) }

    package static func hex(of data: Data) -> String { SHA256.hash(data: data).hexadecimal }

    /// Whether a text can be a checksum.
    package static func isChecksum(_ text: String) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}

extension SHA256.Digest {
    /// 64 digits, lower case.
    package var hexadecimal: String {
        map { byte in
            let text = String(byte, radix: 16)
            return byte < 16 ? "0" + text : text
        }.joined()
    }
}
