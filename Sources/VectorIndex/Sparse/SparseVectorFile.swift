package import DatastoreCore
import Foundation

/// The original sparse vectors of one key, mapped: what postings are rebuilt from and scores are computed with.
///
/// | offset | size | field |
/// | --- | --- | --- |
/// | 0 | 8 | magic `CAPSTANS` |
/// | 8 | 4 | format, 1 |
/// | 12 | 4 | zero |
/// | 16 | 8 | terms of the vocabulary, up to 2²⁴ |
/// | 24 | 8 | count |
/// | 32 | 8 | weights of all rows together |
/// | 40 | 24 | zero |
/// | 64 | weights × 8 | row by row: its n indices, u32, strictly ascending, and then its n weights, f32 |
/// | behind | (count + 1) × 8 | weights before each row, u64, and all at the end |
/// | behind | count × 8 | ids of the entries, ascending; row r of the vectors belongs to id r |
///
/// All little-endian. Thread-safe: the file is mapped read-only and never changes.
package final class SparseVectorFile: Sendable {
    package static let maximumTerms = 1 << 24
    static let header = FileHeader(magic: "CAPSTANS", format: 1)

    private let file: MappedFile
    /// Of the vocabulary.
    package let terms: Int
    package let count: Int
    /// Weights of all rows together.
    package let weightCount: Int

    /// Maps and checks the file: magic, format, sizes, where rows begin, and that ids ascend. What the rows hold is
    /// checked where it is read.
    ///
    /// - Throws: `newer_format` for a file of a newer release, `version_damaged` when anything else does not fit.
    package init(path: String) throws {
        let name = (path as NSString).lastPathComponent
        func damaged(_ what: String) -> DatastoreError { DatastoreError(.versionDamaged, "\(name): \(what)") }
        file = try MappedFile(path: path)
        let numbers = try Self.header.numbers(of: file.bytes, name: name, what: "a file of sparse vectors")
        (terms, count, weightCount) = (numbers[0], numbers[1], numbers[2])
        guard (1...Self.maximumTerms).contains(terms) else { throw damaged("\(terms) terms") }
        let size = file.bytes.count
        guard count <= size / 16, count <= Int(UInt32.max), weightCount <= size / 8,
            size == FileHeader.size + weightCount * 8 + (count + 1) * 8 + count * 8
        else {
            throw damaged("\(size) bytes do not hold \(count) sparse vectors of \(weightCount) weights and their ids")
        }
        let (offsets, ids) = (self.offsets, self.ids)
        guard offsets[0] == 0, offsets[count] == weightCount else { throw damaged("the rows do not fill it") }
        for row in 0..<count {
            guard offsets[row] <= offsets[row + 1] else { throw damaged("row \(row) ends before it begins") }
            guard row == 0 || ids[row - 1] < ids[row] else { throw damaged("the ids do not ascend at row \(row)") }
        }
    }

    /// Ids of the entries, ascending: row r has id `ids[r]`. Valid while this file is held.
    package var ids: UnsafeBufferPointer<Int64> {
        file.elements(at: FileHeader.size + weightCount * 8 + (count + 1) * 8, count: count, as: Int64.self)
    }

    private var offsets: UnsafeBufferPointer<UInt64> {
        file.elements(at: FileHeader.size + weightCount * 8, count: count + 1, as: UInt64.self)
    }

    /// The row of an entry, nil when it is not here.
    package func row(ofID id: Int64) -> Int? {
        let ids = self.ids
        var low = 0
        var high = ids.count
        while low < high {
            let middle = (low + high) / 2
            if ids[middle] < id { low = middle + 1 } else { high = middle }
        }
        return low < ids.count && ids[low] == id ? low : nil
    }

    /// One original vector. Of a damaged row the weights that can be right.
    package func vector(row: Int) -> SparseVector {
        precondition((0..<count).contains(row))
        let row = rows[row]
        var kept: (indices: [UInt32], values: [Float]) = ([], [])
        kept.indices.reserveCapacity(row.count)
        kept.values.reserveCapacity(row.count)
        for position in 0..<row.count {
            let (index, value) = (row.index(position), row.weight(position))
            guard index < terms, kept.indices.last.map({ $0 < index }) ?? true, value.isFinite, value != 0 else {
                continue
            }
            kept.indices.append(index)
            kept.values.append(value)
        }
        return SparseVector(ascending: kept.indices, values: kept.values)
    }

    /// The rows as they are in the file. Valid while this file is held.
    var rows: Rows {
        Rows(words: file.elements(at: FileHeader.size, count: weightCount * 2, as: UInt32.self), offsets: offsets)
    }

    /// Rows by numbers below the count, as the file has them: of a damaged one, an index may be over the vocabulary and a
    /// weight not finite.
    struct Rows {
        fileprivate let words: UnsafeBufferPointer<UInt32>
        fileprivate let offsets: UnsafeBufferPointer<UInt64>

        @inline(__always)
        subscript(row: Int) -> Row {
            let start = Int(truncatingIfNeeded: offsets[row])
            return Row(words: words, start: start &* 2, count: Int(truncatingIfNeeded: offsets[row &+ 1]) &- start)
        }
    }

    /// Indices and weights of one row, by positions below the count.
    struct Row {
        fileprivate let words: UnsafeBufferPointer<UInt32>
        fileprivate let start: Int
        let count: Int

        @inline(__always)
        func index(_ position: Int) -> UInt32 { words[start &+ position] }

        @inline(__always)
        func weight(_ position: Int) -> Float { Float(bitPattern: words[start &+ count &+ position]) }
    }
}
