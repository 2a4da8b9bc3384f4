import DatastoreCore

/// The block in front of a file in a bundle's tar: ustar, a regular file, mode 0444, owner and time 0.
///
/// Every field but name and size is always the same, so a block is right when it is the one that would be written.
struct TarHeader: Sendable, Hashable {
    static let blockBytes = 512

    var name: String
    var size: Int64

    /// Zeros behind a file of `size` bytes, up to the next block.
    static func padding(_ size: Int64) -> Int64 {
        (Int64(blockBytes) - size % Int64(blockBytes)) % Int64(blockBytes)
    }

    private enum Field {
        static let name = 0..<100
        static let mode = 100..<108
        static let owner = 108..<116
        static let group = 116..<124
        static let size = 124..<136
        static let time = 136..<148
        static let checksum = 148..<156
        static let type = 156
        static let magic = 257..<265
    }

    /// - Throws: `internal_error` for a name that ustar cannot hold.
    func block() throws -> [UInt8] {
        guard name.utf8.count <= Field.name.count, size >= 0 else {
            throw DatastoreError(.internalError, "\"\(name)\" of \(size) bytes cannot be put into a bundle")
        }
        var block = [UInt8](repeating: 0, count: Self.blockBytes)
        block.replaceSubrange(0..<name.utf8.count, with: name.utf8)
        Self.writeOctal(0o444, to: &block, Field.mode)
        Self.writeOctal(0, to: &block, Field.owner)
        Self.writeOctal(0, to: &block, Field.group)
        if size < 1 << 33 {
            Self.writeOctal(size, to: &block, Field.size)
        } else {
            // Base 256, as GNU's and BSD's tar have it for what 11 octal digits cannot hold.
            for position in 0..<8 { block[Field.size.upperBound - 1 - position] = UInt8(size >> (8 * position) & 0xFF) }
            block[Field.size.lowerBound] = 0x80
        }
        Self.writeOctal(0, to: &block, Field.time)
        block[Field.type] = UInt8(ascii: "0")
        block.replaceSubrange(Field.magic, with: Array("ustar\0".utf8) + Array("00".utf8))
        let digits = String(Self.checksum(block), radix: 8)
        let text = String(repeating: "0", count: max(0, 6 - digits.count)) + digits
        block.replaceSubrange(Field.checksum, with: Array(text.utf8) + [0, UInt8(ascii: " ")])
        return block
    }

    private static func writeOctal(_ number: Int64, to block: inout [UInt8], _ field: Range<Int>) {
        let digits = String(number, radix: 8)
        let text = String(repeating: "0", count: max(0, field.count - 1 - digits.count)) + digits
        block.replaceSubrange(field, with: Array(text.utf8) + [0])
    }

    /// The sum of all bytes, with spaces in place of the sum itself.
    private static func checksum(_ block: [UInt8]) -> Int {
        block.indices.reduce(0) { $0 + (Field.checksum.contains($1) ? 0x20 : Int(block[$1])) }
    }

    /// What a block says, as far as it can be read.
    struct Found {
        /// Whether the sum of its bytes is the one that it has.
        var isIntact: Bool
        var isEmpty: Bool
        var name: String
        var type: UInt8
        var size: Int64?
    }

    static func found(in block: [UInt8]) -> Found {
        let isEmpty = block.allSatisfy { $0 == 0 }
        let prefix = text(block[345..<500])
        let name = (prefix.isEmpty ? "" : prefix + "/") + text(block[Field.name])
        let sum = Int(text(block[Field.checksum]).filter(\.isNumber), radix: 8)
        var size: Int64?
        if block[Field.size.lowerBound] == 0x80 {
            size = block[Field.size].suffix(8).reduce(Int64(0)) { $0 << 8 | Int64($1) }
        } else {
            size = Int64(text(block[Field.size]).filter { $0 != " " }, radix: 8)
        }
        return Found(
            isIntact: sum == checksum(block), isEmpty: isEmpty, name: name, type: block[Field.type],
            size: size.flatMap { $0 >= 0 ? $0 : nil })
    }

    private static func text(_ field: ArraySlice<UInt8>) -> String {
        String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
    }
}
