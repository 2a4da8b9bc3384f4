internal import CLZ4

extension PostingsFile {
    /// Where the postings of a block are put: `blockSize` rows and weights.
    struct Room {
        let rows: UnsafeMutablePointer<UInt32>
        let weights: UnsafeMutablePointer<Float>
        /// For the bytes of a block, `largestBlock` of them. It may be shared.
        let bytes: UnsafeMutableRawPointer
    }

    /// Unpacks the postings of a block, which is among those of the table.
    ///
    /// - Parameter data: of the same file.
    /// - Returns: whether they are sound: as many as the block says, in ascending rows from its first to its last.
    static func unpack(_ block: Block, of data: UnsafeRawBufferPointer, into room: Room) -> Bool {
        guard let start = data.baseAddress.map({ $0 + Int(block.offset) }) else { return false }
        var bytes = start
        var size = Int(block.length)
        if block.isCompressed {
            size = Int(
                LZ4_decompress_safe(
                    start.assumingMemoryBound(to: CChar.self), room.bytes.assumingMemoryBound(to: CChar.self),
                    Int32(size), Int32(largestBlock)))
            bytes = UnsafeRawPointer(room.bytes)
        }
        let count = Int(block.count)
        let weightSize = size - count * block.width
        guard block.hasTable ? weightSize > count && (weightSize - count) % 4 == 0 : weightSize == count * 4 else {
            return false
        }
        let weights = bytes + count * block.width
        guard
            block.hasTable
                ? unpack(places: weights, count, tableSize: (weightSize - count) / 4, to: room.weights)
                : unpack(weights: weights, count, to: room.weights)
        else { return false }
        let lastRow =
            switch block.width {
            case 1: unpack(distances: bytes, count, of: UInt8.self, from: block.firstRow, to: room.rows)
            case 2: unpack(distances: bytes, count, of: UInt16.self, from: block.firstRow, to: room.rows)
            default: unpack(distances: bytes, count, of: UInt32.self, from: block.firstRow, to: room.rows)
            }
        return lastRow == block.lastRow
    }

    /// - Returns: the last row. No row is larger, whatever the distances are, unless it does not fit into 32 bits.
    @inline(__always)
    private static func unpack<Distance: FixedWidthInteger & BitwiseCopyable>(
        distances: UnsafeRawPointer, _ count: Int, of type: Distance.Type, from first: UInt32,
        to rows: UnsafeMutablePointer<UInt32>
    ) -> Int {
        var row = Int(first)
        for number in 0..<count {
            let distance = distances.loadUnaligned(
                fromByteOffset: number &* MemoryLayout<Distance>.size, as: Distance.self)
            row &+= Int(truncatingIfNeeded: Distance(littleEndian: distance))
            rows[number] = UInt32(truncatingIfNeeded: row)
        }
        return row
    }

    @inline(__always)
    private static func unpack(
        weights: UnsafeRawPointer, _ count: Int, to floats: UnsafeMutablePointer<Float>
    ) -> Bool {
        UnsafeMutableRawPointer(floats).copyMemory(from: weights, byteCount: count &* 4)
        return true
    }

    /// - Returns: whether all places are in the table.
    @inline(__always)
    private static func unpack(
        places: UnsafeRawPointer, _ count: Int, tableSize: Int, to floats: UnsafeMutablePointer<Float>
    ) -> Bool {
        let table = places + count
        let places = places.assumingMemoryBound(to: UInt8.self)
        var largest: UInt8 = 0
        for number in 0..<count { largest = max(largest, places[number]) }
        guard largest < tableSize else { return false }
        for number in 0..<count {
            floats[number] = table.loadUnaligned(fromByteOffset: Int(places[number]) &* 4, as: Float.self)
        }
        return true
    }
}
