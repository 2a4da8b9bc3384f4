internal import CFaiss
package import DatastoreCore
import Foundation

/// Lists of near vectors, mapped: an inverted file (Jégou, Douze and Schmid, 2011) of compact codes.
///
/// Each list has the codes of what its vectors are away from its centroid, in blocks of sixteen as `CompactCodes` has them.
/// A search finds the nearest centroids, also by codes, and in their lists the rows that by their codes are likely to be
/// among the nearest; these are scored on the original vectors.
///
/// | offset | size | field |
/// | --- | --- | --- |
/// | 0 | 8 | magic `CAPSTANL` |
/// | 8 | 4 | format, 1 |
/// | 12 | 4 | zero |
/// | 16 | 8 | metric: 0 inner product, 1 cosine |
/// | 24 | 8 | dim |
/// | 32 | 8 | count of vectors |
/// | 40 | 8 | count of lists |
/// | 48 | 8 | blocks of all lists together |
/// | 56 | 8 | zero |
///
/// Behind, each on a multiple of 64: centroids (lists × dim, f32, of length 1), their mean and their spread (dim, f32 each),
/// their blocks (⌈lists / 16⌉), the spread of all lists' codes (dim, f32), the first block of each list and one behind the
/// last (lists + 1, u64), the row at each place of each block (blocks × 16, i32, −1 for none), and the blocks.
///
/// All little-endian. Thread-safe: the file is mapped read-only and never changes.
package final class CodeLists: Sendable {
    static let header = FileHeader(magic: "CAPSTANL", format: 1)

    private let file: MappedFile
    package let metric: Metric
    package let dim: Int
    package let count: Int
    /// How many lists.
    package let lists: Int
    private let layout: Layout

    /// Maps and checks the file: magic, format, sizes, and that its lists have each row once.
    ///
    /// - Throws: `newer_format` for a file of a newer release, `version_damaged` when anything else does not fit.
    package init(path: String) throws {
        let name = (path as NSString).lastPathComponent
        func damaged(_ what: String) -> DatastoreError { DatastoreError(.versionDamaged, "\(name): \(what)") }
        file = try MappedFile(path: path)
        let numbers = try Self.header.numbers(of: file.bytes, name: name, what: "a file of lists")
        guard numbers[0] <= 1 else { throw damaged("unknown metric \(numbers[0])") }
        metric = numbers[0] == 1 ? .cosine : .innerProduct
        (dim, count, lists) = (numbers[1], numbers[2], numbers[3])
        let size = file.bytes.count
        guard dim > 0, dim <= size / 12, count <= size, lists > 0, lists <= size / 4, numbers[4] <= size,
            let layout = Layout(dim: dim, lists: lists, blocks: numbers[4]), layout.size == size
        else {
            throw damaged("\(size) bytes do not hold \(count) vectors of \(dim) in \(numbers[3]) lists")
        }
        self.layout = layout
        let firsts = file.elements(at: layout.firstBlocks, count: lists + 1, as: UInt64.self)
        guard firsts[0] == 0, firsts[lists] == layout.blocks,
            (0..<lists).allSatisfy({ firsts[$0] <= firsts[$0 + 1] })
        else { throw damaged("the lists do not fill its blocks") }
        var seen = RowMarks(count: count)
        let rows = file.elements(at: layout.rows, count: layout.blocks * CompactCodes.rowsOfBlock, as: Int32.self)
        for row in rows where row >= 0 {
            guard seen.mark(Int(row)) else { throw damaged("row \(row) is not one of \(count), or is there twice") }
        }
        guard seen.marked == count else { throw damaged("\(count - seen.marked) rows are in no list") }
    }

    /// Where the parts of a file are.
    struct Layout {
        let centroids, mean, centroidSpread, centroidBlocks, spread, firstBlocks, rows, codes, size: Int
        let blocks: Int

        /// nil where no `Int` holds the sizes.
        init?(dim: Int, lists: Int, blocks: Int) {
            var end = FileHeader.size
            var fits = true
            func part(_ count: Int, _ size: Int) -> Int {
                let start = (end + 63) / 64 * 64
                let (bytes, tooMany) = count.multipliedReportingOverflow(by: size)
                let (sum, tooFar) = start.addingReportingOverflow(bytes)
                if tooMany || tooFar || sum > Int.max / 2 { fits = false } else { end = sum }
                return start
            }
            let blockSize = CompactCodes.blockSize(dim: dim)
            let (numbers, tooMany) = lists.multipliedReportingOverflow(by: dim)
            guard !tooMany else { return nil }
            self.blocks = blocks
            centroids = part(numbers, 4)
            mean = part(dim, 4)
            centroidSpread = part(dim, 4)
            centroidBlocks = part(CompactCodes.blockCount(lists), blockSize)
            spread = part(dim, 4)
            firstBlocks = part(lists + 1, 8)
            rows = part(blocks * CompactCodes.rowsOfBlock, 4)
            codes = part(blocks, blockSize)
            size = end
            guard fits else { return nil }
        }
    }

    private struct RowMarks {
        private var words: [UInt64]
        private let count: Int
        private(set) var marked = 0

        init(count: Int) {
            self.count = count
            words = [UInt64](repeating: 0, count: (count + 63) / 64)
        }

        /// - Returns: whether the row is one, and was not marked before.
        mutating func mark(_ row: Int) -> Bool {
            guard row < count, words[row >> 6] >> UInt64(row & 63) & 1 == 0 else { return false }
            words[row >> 6] |= 1 << UInt64(row & 63)
            marked += 1
            return true
        }
    }

    private func floats(_ offset: Int, _ count: Int) -> UnsafePointer<Float>? {
        file.elements(at: offset, count: count, as: Float.self).baseAddress
    }

    /// What the kernels take; valid while this is held.
    var kernel: cfaiss_lists {
        cfaiss_lists(
            count: Int64(lists), centroids: floats(layout.centroids, lists * dim),
            centroid_codes: cfaiss_codes(
                mean: floats(layout.mean, dim), spread: floats(layout.centroidSpread, dim),
                blocks: file.bytes.baseAddress.map { $0 + layout.centroidBlocks }),
            spread: floats(layout.spread, dim),
            first_blocks: file.elements(at: layout.firstBlocks, count: lists + 1, as: Int64.self).baseAddress,
            rows: file.elements(at: layout.rows, count: layout.blocks * CompactCodes.rowsOfBlock, as: Int32.self)
                .baseAddress,
            blocks: file.bytes.baseAddress.map { $0 + layout.codes })
    }
}
