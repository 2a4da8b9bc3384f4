import DatastoreCore
import Foundation

/// The first 64 bytes of a file of a sparse key: magic, format, and then numbers of 8 bytes, little-endian.
struct FileHeader {
    static let size = 64

    private let magic: [UInt8]
    private let format: UInt32

    init(magic: String, format: UInt32) {
        self.magic = Array(magic.utf8)
        self.format = format
    }

    /// The bytes; up to six numbers.
    func bytes(_ numbers: [Int]) -> [UInt8] {
        var header = magic
        withUnsafeBytes(of: format.littleEndian) { header.append(contentsOf: $0) }
        header += [0, 0, 0, 0]
        for number in numbers { withUnsafeBytes(of: UInt64(number).littleEndian) { header.append(contentsOf: $0) } }
        return header + [UInt8](repeating: 0, count: Self.size - header.count)
    }

    /// Whether bytes begin as such a file.
    func begins(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.prefix(magic.count).elementsEqual(magic) }

    /// Checks magic and format, and gives the six numbers; those that no `Int` holds as the largest.
    ///
    /// - Throws: `newer_format` for a file of a newer release, `version_damaged`.
    func numbers(of bytes: UnsafeRawBufferPointer, name: String, what: String) throws -> [Int] {
        guard bytes.count >= Self.size, begins(bytes) else {
            throw DatastoreError(.versionDamaged, "\(name): not \(what)")
        }
        let found = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        guard found <= format else {
            throw DatastoreError(
                .newerFormat, "\(name): format \(found), this release reads up to \(format); upgrade capstand")
        }
        guard found > 0 else { throw DatastoreError(.versionDamaged, "\(name): format 0") }
        return (0..<6).map { number in
            Int(clamping: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 16 + number * 8, as: UInt64.self)))
        }
    }
}

extension MappedFile {
    /// Part of the file as elements of one kind. The caller has checked that it lies within the file and is aligned.
    func elements<Element: BitwiseCopyable>(
        at offset: Int, count: Int, as type: Element.Type
    ) -> UnsafeBufferPointer<Element> {
        let part = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count * MemoryLayout<Element>.stride])
        return part.assumingMemoryBound(to: type)
    }
}
