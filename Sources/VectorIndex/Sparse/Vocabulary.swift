import DatastoreCore
import Foundation

/// The terms of a sparse key, mapped: term to index by binary search, index to term by its place.
///
/// | offset | size | field |
/// | --- | --- | --- |
/// | 0 | 8 | magic `CAPSTANW` |
/// | 8 | 4 | format, 1 |
/// | 12 | 4 | zero |
/// | 16 | 8 | count, 1 to 2²⁴ |
/// | 24 | 8 | bytes of all terms together, below 2³² |
/// | 32 | 32 | zero |
/// | 64 | (count + 1) × 4 | where each term begins among the bytes, u32, and where the last ends |
/// | behind | count × 4 | the indices in the order of the terms' bytes, u32 |
/// | behind | bytes | the terms, UTF-8, one behind the other in the order of their indices |
///
/// All little-endian. Terms are told apart by their bytes: nothing is normalised. Thread-safe: the file is mapped
/// read-only and never changes.
package final class Vocabulary: Sendable {
    package static let maximumCount = 1 << 24
    static let header = FileHeader(magic: "CAPSTANW", format: 1)

    private let file: MappedFile
    package let count: Int
    private let byteCount: Int

    /// Maps the file and checks all of it.
    ///
    /// - Throws: `newer_format` for a file of a newer release, `version_damaged` when anything else does not fit.
    package init(path: String) throws {
        let name = (path as NSString).lastPathComponent
        func damaged(_ what: String) -> DatastoreError { DatastoreError(.versionDamaged, "\(name): \(what)") }
        file = try MappedFile(path: path)
        let numbers = try Self.header.numbers(of: file.bytes, name: name, what: "a vocabulary")
        (count, byteCount) = (numbers[0], numbers[1])
        let size = file.bytes.count
        guard (1...Self.maximumCount).contains(count), byteCount <= Int(UInt32.max),
            size == FileHeader.size + (count + 1) * 4 + count * 4 + byteCount
        else {
            throw damaged("\(size) bytes do not hold \(count) terms of \(byteCount) bytes")
        }
        let (offsets, order, bytes) = (self.offsets, self.order, self.bytes)
        guard offsets[0] == 0, offsets[count] == byteCount else { throw damaged("the terms do not fill it") }
        for index in 0..<count {
            guard offsets[index] < offsets[index + 1] else { throw damaged("term \(index) ends where it begins") }
            // No term begins within a character, so each is UTF-8 when all together are.
            guard offsets[index] < byteCount, bytes[Int(offsets[index])] & 0xC0 != 0x80 else {
                throw damaged("term \(index) begins within a character")
            }
        }
        guard String(validating: bytes, as: UTF8.self) != nil else { throw damaged("the terms are not UTF-8") }
        // All in ascending order are all different, so each index is there once.
        for place in 0..<count {
            guard order[place] < count, place == 0 || Self.compare(utf8(order[place - 1]), utf8(order[place])) < 0
            else {
                throw damaged("the terms are not in order at place \(place)")
            }
        }
    }

    /// The term of an index, nil when there is none.
    package func term(_ index: UInt32) -> String? {
        index < count ? String(decoding: utf8(index), as: UTF8.self) : nil
    }

    /// The index of a term, nil when it is not here.
    package func index(of term: String) -> UInt32? {
        var term = term
        return term.withUTF8 { term in
            let term = UnsafeRawBufferPointer(term)
            let order = self.order
            var low = 0
            var high = count
            while low < high {
                let middle = (low + high) / 2
                let comparison = Self.compare(utf8(order[middle]), term)
                if comparison == 0 { return order[middle] }
                if comparison < 0 { low = middle + 1 } else { high = middle }
            }
            return nil
        }
    }

    /// Less than, equal to or more than zero, as the bytes of the one come before, are, or come behind the other's.
    static func compare(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Int {
        let shared = min(one.count, other.count)
        if shared > 0, let first = one.baseAddress, let second = other.baseAddress {
            let order = memcmp(first, second, shared)
            if order != 0 { return Int(order) }
        }
        return one.count - other.count
    }

    private var offsets: UnsafeBufferPointer<UInt32> {
        file.elements(at: FileHeader.size, count: count + 1, as: UInt32.self)
    }

    private var order: UnsafeBufferPointer<UInt32> {
        file.elements(at: FileHeader.size + (count + 1) * 4, count: count, as: UInt32.self)
    }

    private var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: file.bytes[(file.bytes.count - byteCount)...])
    }

    private func utf8(_ index: UInt32) -> UnsafeRawBufferPointer {
        let offsets = self.offsets
        return UnsafeRawBufferPointer(rebasing: bytes[Int(offsets[Int(index)])..<Int(offsets[Int(index) + 1])])
    }
}
