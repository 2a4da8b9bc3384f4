internal import CLZ4
internal import DatastoreCore

/// Writes the postings of a file of sparse vectors; `PostingsFile` has the format.
///
/// The vectors are read once to count, and then once for every so many postings, which are sorted by term in memory. It
/// takes 8 bytes for each of those, or of the rows where they are more, 28 for each term and 24 for each block.
package enum PostingsWriter {
    /// Postings that are sorted at once.
    static let postingsAtOnce = 8 << 20
    /// LZ4 is used where it saves more than one part of so many: less is not worth the time to undo it.
    static let leastSaving = 8

    /// - Parameter postingsAtOnce: fewer take less memory and more time; the file is the same.
    package static func write(
        _ vectors: SparseVectorFile, to path: String, postingsAtOnce: Int = PostingsWriter.postingsAtOnce
    ) throws {
        var counts = [UInt32](repeating: 0, count: vectors.terms)
        forEachWeight(of: vectors, in: 0..<vectors.terms) { _, term, _ in counts[term] += 1 }
        var writing = Writing(file: try BufferedFile(path: path, headerSize: FileHeader.size))
        var first = 0
        while first < vectors.terms {
            var end = first
            var room = 0
            while end < vectors.terms, end == first || room + Int(counts[end]) <= postingsAtOnce {
                room += Int(counts[end])
                end += 1
            }
            try writing.append(first..<end, of: vectors, counts: counts[first..<end], room: room)
            first = end
        }
        try writing.finish(rows: vectors.count)
    }

    /// Weights that the vectors of a sound file have, row by row.
    private static func forEachWeight(
        of vectors: SparseVectorFile, in terms: Range<Int>, _ body: (_ row: Int, _ term: Int, _ weight: Float) -> Void
    ) {
        let rows = vectors.rows
        for number in 0..<vectors.count {
            let row = rows[number]
            var before = -1
            for position in 0..<row.count {
                let (term, weight) = (Int(row.index(position)), row.weight(position))
                // As `SparseVectorFile.vector(row:)` has it.
                guard term > before, term < vectors.terms, weight.isFinite, weight != 0 else { continue }
                before = term
                if terms.contains(term) { body(number, term, weight) }
            }
        }
    }

    private struct Posting {
        var row: UInt32
        var weight: Float
    }

    private struct Writing: ~Copyable {
        let file: BufferedFile
        var blocks: [PostingsFile.Block] = []
        var terms: [PostingsFile.Term] = []
        var postingCount = 0
        var plain: [UInt8] = []
        var packed = [UInt8](repeating: 0, count: PostingsFile.largestBlock)

        init(file: BufferedFile) {
            self.file = file
        }

        /// Sorts the postings of some terms by counting, and writes their blocks.
        mutating func append(
            _ range: Range<Int>, of vectors: SparseVectorFile, counts: ArraySlice<UInt32>, room: Int
        ) throws {
            var next: [Int] = []
            next.reserveCapacity(range.count)
            var sum = 0
            for count in counts {
                next.append(sum)
                sum += Int(count)
            }
            let postings = [Posting](unsafeUninitializedCapacity: room) { postings, filled in
                PostingsWriter.forEachWeight(of: vectors, in: range) { row, term, weight in
                    let place = next[term - range.lowerBound]
                    next[term - range.lowerBound] = place + 1
                    postings[place] = Posting(row: UInt32(truncatingIfNeeded: row), weight: weight)
                }
                filled = room
            }
            var start = 0
            for count in counts {
                try append(postings[start..<start + Int(count)])
                start += Int(count)
            }
            postingCount += room
        }

        private mutating func append(_ postings: ArraySlice<Posting>) throws {
            guard blocks.count + postings.count < Int(UInt32.max) else {
                throw DatastoreError(.indexFailed, "got more than \(UInt32.max) blocks of postings")
            }
            terms.append(
                PostingsFile.Term(
                    firstBlock: UInt32(blocks.count), count: UInt32(postings.count),
                    largestWeight: postings.lazy.map(\.weight).max() ?? 0,
                    smallestWeight: postings.lazy.map(\.weight).min() ?? 0))
            var start = postings.startIndex
            while start < postings.endIndex {
                let end = min(start + PostingsFile.blockSize, postings.endIndex)
                try appendBlock(postings[start..<end])
                start = end
            }
        }

        private mutating func appendBlock(_ postings: ArraySlice<Posting>) throws {
            guard let first = postings.first, let last = postings.last else { return }
            let largestDistance = zip(postings, postings.dropFirst()).reduce(0) { max($0, $1.1.row - $1.0.row) }
            let width = largestDistance <= 0xFF ? 1 : largestDistance <= 0xFFFF ? 2 : 4
            plain.removeAll(keepingCapacity: true)
            var before = first.row
            for posting in postings {
                withUnsafeBytes(of: (posting.row - before).littleEndian) { plain.append(contentsOf: $0[..<width]) }
                before = posting.row
            }
            let hasTable = appendTable(postings)
            if !hasTable { for posting in postings { append(posting.weight) } }
            let size = plain.count
            // Zero when it does not fit into so little.
            let shrunk = plain.withUnsafeBytes { plain in
                packed.withUnsafeMutableBytes { packed in
                    Int(
                        LZ4_compress_default(
                            plain.baseAddress, packed.baseAddress, Int32(size),
                            Int32(size - 1 - size / PostingsWriter.leastSaving)))
                }
            }
            blocks.append(
                PostingsFile.Block(
                    offset: UInt64(file.count - FileHeader.size), firstRow: first.row, lastRow: last.row,
                    largestWeight: postings.lazy.map(\.weight).max() ?? 0,
                    length: UInt16(shrunk > 0 ? shrunk : size), count: UInt8(postings.count),
                    form: UInt8(width) | (shrunk > 0 ? PostingsFile.Block.compressed : 0)
                        | (hasTable ? PostingsFile.Block.tabled : 0)))
            try (shrunk > 0 ? packed : plain).withUnsafeBytes {
                try file.append(UnsafeRawBufferPointer(rebasing: $0[..<(shrunk > 0 ? shrunk : size)]))
            }
        }

        private mutating func append(_ weight: Float) {
            withUnsafeBytes(of: weight.bitPattern.littleEndian) { plain.append(contentsOf: $0) }
        }

        /// Appends the weights as places in a table, and the table, when that takes less room.
        private mutating func appendTable(_ postings: ArraySlice<Posting>) -> Bool {
            var table: [Float] = []
            let start = plain.count
            for posting in postings {
                let place = table.firstIndex(of: posting.weight) ?? table.endIndex
                if place == table.endIndex { table.append(posting.weight) }
                guard postings.count + table.count * 4 < postings.count * 4 else {
                    plain.removeSubrange(start...)
                    return false
                }
                plain.append(UInt8(place))
            }
            for weight in table { append(weight) }
            return true
        }

        /// Writes the tables and the header.
        mutating func finish(rows: Int) throws {
            let dataCount = file.count - FileHeader.size
            let (termCount, blockCount) = (terms.count, blocks.count)
            terms.append(
                PostingsFile.Term(firstBlock: UInt32(blockCount), count: 0, largestWeight: 0, smallestWeight: 0))
            try file.align(to: 8)
            try file.append(blocks)
            try file.append(terms)
            try file.finish(
                header: PostingsFile.header.bytes([termCount, rows, postingCount, blockCount, dataCount]))
        }
    }
}
