internal import CFaiss
import DatastoreCore
import Foundation

/// A graph of neighbours over the vectors of one key (Malkov and Yashunin, 2016): the links alone, as FAISS found them.
///
/// A search walks from a few far links at the upper levels to many near ones at the lowest, which has all rows, and scores
/// the original vectors on the way.
///
/// | offset | size | field |
/// | --- | --- | --- |
/// | 0 | 8 | magic `CAPSTANG` |
/// | 8 | 4 | format, 1 |
/// | 12 | 4 | zero |
/// | 16 | 8 | dim of the vectors |
/// | 24 | 8 | count |
/// | 32 | 8 | links of each row at the lowest level |
/// | 40 | 8 | links of each row above |
/// | 48 | 8 | levels above the lowest |
/// | 56 | 8 | row where a search starts |
/// | 64 | count × links × 4 | neighbours of each row, u32; behind the last one 2³² − 1 |
/// | next multiple of 64 | 64 | rows of the next level, u64; zeros |
/// | behind | rows × 4 | the rows, ascending, u32 |
/// | next multiple of 64 | rows × links above × 4 | their neighbours, as above |
/// | … | | the other levels alike |
///
/// All little-endian.
///
/// `@unchecked Sendable`: the bytes, a read-only mapping or memory that nothing writes to any more, never change.
package final class GraphIndex: @unchecked Sendable {
    static let header = FileHeader(magic: "CAPSTANG", format: 1)

    package let count: Int
    package let dim: Int
    private let bytes: UnsafeRawBufferPointer
    /// What the bytes belong to.
    private let owner: AnyObject
    private let levels: UnsafeMutableBufferPointer<cfaiss_graph_level>
    /// What searches take; valid while this is held.
    let kernel: cfaiss_graph

    deinit {
        levels.deallocate()
    }

    /// Whether a file says that it is a graph. One from elsewhere does no harm, whatever its links are.
    package static func isFile(_ path: String) -> Bool {
        guard let file = try? MappedFile(path: path) else { return false }
        return header.begins(file.bytes)
    }

    /// Maps a file and checks its sizes. Reads no links.
    ///
    /// - Throws: `newer_format` for a file of a newer release, `version_damaged` when anything else does not fit.
    package convenience init(path: String) throws {
        let file = try MappedFile(path: path)
        try self.init(file.bytes, owner: file, name: (path as NSString).lastPathComponent)
    }

    /// The links of a graph that FAISS built; nil for another index. Its vectors are not needed any more.
    package convenience init?(_ index: VectorIndex) throws {
        guard let memory = Self.image(of: index) else { return nil }
        try self.init(UnsafeRawBufferPointer(memory.bytes), owner: memory, name: "graph")
    }

    private init(_ bytes: UnsafeRawBufferPointer, owner: AnyObject, name: String) throws {
        self.bytes = bytes
        self.owner = owner
        func damaged(_ what: String) -> DatastoreError { DatastoreError(.versionDamaged, "\(name): \(what)") }
        let numbers = try Self.header.numbers(of: bytes, name: name, what: "a graph")
        let (links, upperLinks, levelCount, entry) = (numbers[2], numbers[3], numbers[4], numbers[5])
        (dim, count) = (numbers[0], numbers[1])
        let most = Int(Int32.max)
        guard (1...most).contains(dim), (1...most).contains(count), entry < count, (1...65_536).contains(links),
            (1...65_536).contains(upperLinks), levelCount <= 64
        else { throw damaged("its header counts what cannot be") }
        var place = FileHeader.size
        func take(_ count: Int) throws -> UnsafePointer<UInt32> {
            let start = place
            guard start <= bytes.count, count <= (bytes.count - start) / 4, let base = bytes.baseAddress else {
                throw damaged("\(bytes.count) bytes do not hold the links that it counts")
            }
            place = Self.aligned(start + count * 4)
            return (base + start).assumingMemoryBound(to: UInt32.self)
        }
        let neighbours = try take(count * links)
        var upper: [cfaiss_graph_level] = []
        for _ in 0..<levelCount {
            let size = try Int(take(FileHeader.size / 4).pointee)
            upper.append(
                cfaiss_graph_level(
                    count: Int64(size), rows: try take(size), neighbours: try take(size * upperLinks),
                    links: Int32(upperLinks)))
        }
        guard place == bytes.count else { throw damaged("got \(bytes.count) bytes, expected \(place)") }
        levels = .allocate(capacity: upper.count)
        _ = levels.initialize(from: upper)
        kernel = cfaiss_graph(
            entry: Int64(entry), neighbours: neighbours, links: Int32(links), level_count: Int32(levelCount),
            levels: UnsafePointer(levels.baseAddress))
    }

    private static func aligned(_ place: Int) -> Int { (place + 63) / 64 * 64 }

    /// The file of the links of a graph, in memory.
    private static func image(of index: VectorIndex) -> AlignedBytes? {
        let shape = index.graphShape
        guard shape.links > 0, index.count > 0, index.count <= Int(Int32.max) else { return nil }
        let (links, upperLinks) = (Int(shape.links), Int(shape.upper_links))
        var rowsOfLevel = [[UInt32]](repeating: [], count: Int(shape.level_count))
        for row in 0..<index.count {
            for level in 0..<index.graphLevel(of: row) { rowsOfLevel[level].append(UInt32(row)) }
        }
        let size = rowsOfLevel.reduce(aligned(FileHeader.size + index.count * links * 4)) { size, rows in
            aligned(aligned(size + FileHeader.size + rows.count * 4) + rows.count * upperLinks * 4)
        }
        let memory = AlignedBytes(count: size)
        memory.bytes.copyBytes(
            from: header.bytes([
                index.dim, index.count, links, upperLinks, Int(shape.level_count), Int(shape.entry),
            ]))
        guard let base = memory.bytes.baseAddress else { return nil }
        var place = FileHeader.size
        func put(_ value: UInt32) {
            (base + place).storeBytes(of: value.littleEndian, as: UInt32.self)
            place += 4
        }
        func put(_ row: Int, _ level: Int, _ links: Int) {
            index.graphNeighbours(
                of: row, level: level, (base + place).bindMemory(to: UInt32.self, capacity: links))
            place += links * 4
        }
        for row in 0..<index.count { put(row, 0, links) }
        for (level, rows) in rowsOfLevel.enumerated() {
            place = aligned(place)
            put(UInt32(rows.count))
            place += FileHeader.size - 4
            for row in rows { put(row) }
            place = aligned(place)
            for row in rows { put(Int(row), level + 1, upperLinks) }
        }
        return memory
    }

    /// Writes the file, and syncs.
    package func write(to path: String) throws {
        let file = try BufferedFile(path: path, headerSize: FileHeader.size)
        try file.append(UnsafeRawBufferPointer(rebasing: bytes[FileHeader.size...]))
        try file.finish(header: Array(bytes[..<FileHeader.size]))
    }
}
