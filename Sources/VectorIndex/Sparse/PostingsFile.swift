import DatastoreCore
import Foundation

/// The rows of each term and what the term weighs in them, mapped: made from a file of sparse vectors, to search it.
///
/// | offset | size | field |
/// | --- | --- | --- |
/// | 0 | 8 | magic `CAPSTANP` |
/// | 8 | 4 | format, 1 |
/// | 12 | 4 | zero |
/// | 16 | 8 | terms of the vocabulary |
/// | 24 | 8 | rows of the vectors |
/// | 32 | 8 | postings of all terms together |
/// | 40 | 8 | blocks |
/// | 48 | 8 | bytes of all blocks together |
/// | 56 | 8 | zero |
/// | 64 | bytes | the blocks, term by term, then zeros up to a multiple of 8 |
/// | behind | blocks × 24 | of each block `PostingsFile.Block` |
/// | behind | (terms + 1) × 16 | of each term `PostingsFile.Term`; the last only says where the blocks end |
///
/// A block has up to 128 postings of one term, in the order of rows: how far each row is from the one before, as 1, 2 or 4
/// bytes each, the first one 0; then the weights, f32. Where few weights are different, as those of captions of one length
/// are, there is a byte for each instead, its place in a table of f32 that follows. All of it is compressed with LZ4 where
/// that shrinks it enough.
///
/// All little-endian. Thread-safe: the file is mapped read-only and never changes.
package final class PostingsFile: Sendable {
    static let header = FileHeader(magic: "CAPSTANP", format: 1)
    static let blockSize = 128
    /// Bytes that a block takes at most.
    static let largestBlock = blockSize * 8

    struct Block: BitwiseCopyable {
        /// Of its bytes among those of all blocks.
        var offset: UInt64
        var firstRow: UInt32
        var lastRow: UInt32
        var largestWeight: Float
        /// Bytes that it takes in the file.
        var length: UInt16
        /// Postings.
        var count: UInt8
        /// Bytes of each distance of rows, 16 more where the block is compressed, 32 more where there is a table.
        var form: UInt8

        static let compressed: UInt8 = 16
        static let tabled: UInt8 = 32
        var isCompressed: Bool { form & Self.compressed != 0 }
        var hasTable: Bool { form & Self.tabled != 0 }
        /// Bytes of each distance.
        var width: Int { Int(form & ~(Self.compressed | Self.tabled)) }
    }

    struct Term: BitwiseCopyable {
        /// The blocks from here to the first of the next term.
        var firstBlock: UInt32
        /// Postings.
        var count: UInt32
        var largestWeight: Float
        var smallestWeight: Float
    }

    private let file: MappedFile
    /// Of the vocabulary.
    package let terms: Int
    /// Rows of the vectors that it was made from.
    package let count: Int
    /// Postings of all terms together.
    package let postingCount: Int
    let blockCount: Int
    private let dataCount: Int

    /// Maps the file and checks all but what the blocks hold, which is checked where it is read.
    ///
    /// - Throws: `newer_format` for a file of a newer release, `version_damaged` when anything else does not fit.
    package init(path: String) throws {
        let name = (path as NSString).lastPathComponent
        func damaged(_ what: String) -> DatastoreError { DatastoreError(.versionDamaged, "\(name): \(what)") }
        file = try MappedFile(path: path)
        let numbers = try Self.header.numbers(of: file.bytes, name: name, what: "a file of postings")
        (terms, count, postingCount) = (numbers[0], numbers[1], numbers[2])
        (blockCount, dataCount) = (numbers[3], numbers[4])
        let size = file.bytes.count
        guard (1...SparseVectorFile.maximumTerms).contains(terms), count <= Int(UInt32.max), blockCount <= size / 24,
            blockCount < Int(UInt32.max), dataCount <= size, postingCount <= blockCount * Self.blockSize,
            size == Self.blocksOffset(after: dataCount) + blockCount * 24 + (terms + 1) * 16
        else {
            throw damaged("\(size) bytes do not hold \(blockCount) blocks of \(terms) terms")
        }
        let (termTable, blockTable) = (self.termTable, self.blockTable)
        guard termTable[0].firstBlock == 0, termTable[terms].firstBlock == blockCount else {
            throw damaged("the terms do not have all blocks")
        }
        var postings = 0
        for index in 0..<terms {
            let (term, end) = (termTable[index], termTable[index + 1].firstBlock)
            guard term.firstBlock <= end, end <= blockCount, term.largestWeight.isFinite, term.smallestWeight.isFinite
            else {
                throw damaged("term \(index) does not fit")
            }
            var before = -1
            var ofTerm = 0
            for number in Int(term.firstBlock)..<Int(end) {
                let block = blockTable[number]
                guard Self.isSound(block, of: term, behind: before, rows: count, bytes: dataCount) else {
                    throw damaged("block \(number) of term \(index) does not fit")
                }
                before = Int(block.lastRow)
                ofTerm += Int(block.count)
            }
            guard ofTerm == term.count else { throw damaged("term \(index) does not have \(term.count) postings") }
            postings += ofTerm
        }
        guard postings == postingCount else { throw damaged("it has \(postings) postings, not \(postingCount)") }
    }

    private static func isSound(_ block: Block, of term: Term, behind row: Int, rows: Int, bytes: Int) -> Bool {
        let distance = Int(block.lastRow) - Int(block.firstRow)
        return [1, 2, 4].contains(block.width) && (1...blockSize).contains(Int(block.count))
            && Int(block.firstRow) > row && distance >= Int(block.count) - 1 && block.lastRow < rows
            && (1...largestBlock).contains(Int(block.length))
            && block.offset <= bytes && Int(block.length) <= bytes - Int(block.offset)
            && block.largestWeight >= term.smallestWeight && block.largestWeight <= term.largestWeight
    }

    /// Where the table of blocks is when the blocks take `count` bytes.
    static func blocksOffset(after count: Int) -> Int { (FileHeader.size + count + 7) / 8 * 8 }

    /// The bytes of all blocks.
    var data: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: file.bytes[FileHeader.size..<FileHeader.size + dataCount])
    }

    /// Of each block. Valid while this file is held, as are the terms and the data.
    var blockTable: UnsafeBufferPointer<Block> {
        file.elements(at: Self.blocksOffset(after: dataCount), count: blockCount, as: Block.self)
    }

    /// Of each term, and one more.
    var termTable: UnsafeBufferPointer<Term> {
        file.elements(at: Self.blocksOffset(after: dataCount) + blockCount * 24, count: terms + 1, as: Term.self)
    }
}
