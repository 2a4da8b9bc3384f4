internal import CFaiss
package import DatastoreCore
import Foundation

/// Compact codes of one key's vectors, mapped: 4 bits for each number, with a bound of what they leave out.
///
/// An exact search reads these first, an eighth of what 32-bit vectors take, and scores on the original vectors only the
/// rows that by their codes can belong to the answer. `Sources/CFaiss/row_codes.h` says what a code means and why nothing is
/// missed. The codes are those of RaBitQ's kind (Gao and Long, SIGMOD 2024; extended to more bits in 2025) in so far as a
/// few bits for each number are corrected by factors of each row; the bound is not a likely one but a certain one.
///
/// | offset | size | field |
/// | --- | --- | --- |
/// | 0 | 8 | magic `CAPSTANC` |
/// | 8 | 4 | format, 1 |
/// | 12 | 4 | zero |
/// | 16 | 8 | metric: 0 inner product, 1 cosine |
/// | 24 | 8 | dim |
/// | 32 | 8 | count |
/// | 40 | 24 | zero |
/// | 64 | dim × 4 | mean of the vectors (of length 1 for cosine), f32 |
/// | behind | dim × 4 | spread of each number, f32 |
/// | next multiple of 64 | ⌈count / 16⌉ × (192 + 64 × ⌈dim / 8⌉) | blocks of sixteen rows: see `row_codes.h` |
/// | behind | count × 4 | cosine only: 1/norm of each row, f32, NaN where 32 bits cannot hold what comes of it |
///
/// All little-endian. Thread-safe: the file is mapped read-only and never changes.
package final class CompactCodes: Sendable {
    static let header = FileHeader(magic: "CAPSTANC", format: 1)

    private let file: MappedFile
    package let metric: Metric
    package let dim: Int
    package let count: Int
    private let blocksOffset: Int

    /// Maps and checks the file: magic, format and sizes. Reads no codes.
    ///
    /// - Throws: `newer_format` for a file of a newer release, `version_damaged` when anything else does not fit.
    package init(path: String) throws {
        let name = (path as NSString).lastPathComponent
        func damaged(_ what: String) -> DatastoreError { DatastoreError(.versionDamaged, "\(name): \(what)") }
        file = try MappedFile(path: path)
        let numbers = try Self.header.numbers(of: file.bytes, name: name, what: "a file of compact codes")
        guard numbers[0] <= 1 else { throw damaged("unknown metric \(numbers[0])") }
        metric = numbers[0] == 1 ? .cosine : .innerProduct
        (dim, count) = (numbers[1], numbers[2])
        let size = file.bytes.count
        guard dim > 0, dim <= size / 8, count <= size else {
            throw damaged("\(size) bytes do not hold codes of \(count) vectors of \(dim)")
        }
        blocksOffset = Self.blocksOffset(dim: dim)
        let (blocks, tooMany) = Self.blockCount(count).multipliedReportingOverflow(by: Self.blockSize(dim: dim))
        guard !tooMany, blocks <= size,
            size == blocksOffset + blocks + (metric == .cosine ? count * MemoryLayout<Float>.size : 0)
        else {
            throw damaged("\(size) bytes do not hold codes of \(count) vectors of \(dim)")
        }
    }

    /// Has the codes mapped that are in the file cache: the first search finds them so.
    package func warm() { file.populate(0..<file.bytes.count) }

    /// Rows of a block.
    package static let rowsOfBlock = 16
    /// Bytes of a block.
    package static func blockSize(dim: Int) -> Int { cfaiss_codes_block_bytes(Int32(clamping: dim)) }
    /// Bytes of a row in a file, about.
    package static func rowSize(dim: Int) -> Int { blockSize(dim: dim) / rowsOfBlock + MemoryLayout<Float>.size }
    static func blockCount(_ count: Int) -> Int { (count + rowsOfBlock - 1) / rowsOfBlock }
    static func blocksOffset(dim: Int) -> Int { (FileHeader.size + dim * 8 + 63) / 64 * 64 }

    /// For cosine 1/norm of each row; empty otherwise. Valid while this is held.
    var scales: UnsafeBufferPointer<Float> {
        file.elements(
            at: blocksOffset + Self.blockCount(count) * Self.blockSize(dim: dim),
            count: metric == .cosine ? count : 0, as: Float.self)
    }

    /// What the kernels take; valid while this is held.
    var kernel: cfaiss_codes {
        cfaiss_codes(
            mean: file.elements(at: FileHeader.size, count: dim, as: Float.self).baseAddress,
            spread: file.elements(at: FileHeader.size + dim * 4, count: dim, as: Float.self).baseAddress,
            blocks: file.bytes.baseAddress.map { $0 + blocksOffset })
    }
}
