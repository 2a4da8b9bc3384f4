internal import CFaiss
internal import DatastoreCore
import Foundation

/// The original vectors of one key, mapped: what indexes are rebuilt from and scores are computed with.
///
/// | offset | size | field |
/// | --- | --- | --- |
/// | 0 | 8 | magic `CAPSTANV` |
/// | 8 | 4 | format, 1 |
/// | 12 | 4 | element: 1 = f32, 2 = f16 |
/// | 16 | 4 | dim |
/// | 20 | 4 | zero |
/// | 24 | 8 | count |
/// | 32 | 8 | offset of the ids: the first multiple of 64 behind the vectors |
/// | 40 | 8 | largest Euclidean norm of a vector, f64 |
/// | 48 | 16 | zero |
/// | 64 | count × dim × element | vectors, row-major, as they came (not normalised) |
/// | offset of the ids | count × 8 | ids of the entries, ascending; row r of the vectors belongs to id r |
///
/// All little-endian. Thread-safe: the file is mapped read-only and never changes.
package final class VectorFile: Sendable {
    package enum Element: UInt32, Sendable {
        case f32 = 1
        case f16 = 2

        package var size: Int { self == .f32 ? 4 : 2 }
    }

    static let magic: [UInt8] = Array("CAPSTANV".utf8)
    static let format: UInt32 = 1
    package static let headerSize = 64

    private let file: MappedFile
    package let element: Element
    package let dim: Int
    package let count: Int
    package let largestNorm: Double
    private let idsOffset: Int

    /// Maps and checks the file: magic, format, sizes, and that ids ascend.
    ///
    /// - Parameter isChecked: whether the ids of this very file were looked at before.
    /// - Throws: `newer_format` for a file of a newer release, `version_damaged` when anything else does not fit.
    package init(path: String, isChecked: Bool = false) throws {
        let name = (path as NSString).lastPathComponent
        func damaged(_ what: String) -> DatastoreError { DatastoreError(.versionDamaged, "\(name): \(what)") }
        file = try MappedFile(path: path)
        let bytes = file.bytes
        guard bytes.count >= Self.headerSize, bytes.prefix(8).elementsEqual(Self.magic) else {
            throw damaged("not a vector file")
        }
        func number<T: FixedWidthInteger>(_ offset: Int, _ type: T.Type) -> T {
            T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
        }
        let format = number(8, UInt32.self)
        guard format <= Self.format else {
            throw DatastoreError(
                .newerFormat, "\(name): format \(format), this release reads up to \(Self.format); upgrade capstand")
        }
        guard format > 0 else { throw damaged("format 0") }
        guard let element = Element(rawValue: number(12, UInt32.self)) else { throw damaged("unknown element type") }
        let dim = Int(number(16, UInt32.self))
        let count = Int(clamping: number(24, UInt64.self))
        let idsOffset = Int(clamping: number(32, UInt64.self))
        let (components, tooMany) = count.multipliedReportingOverflow(by: dim * element.size)
        guard dim > 0, !tooMany, components <= bytes.count - Self.headerSize,
            idsOffset == Self.idsOffset(after: components), count <= bytes.count / 8,
            bytes.count == idsOffset + count * 8
        else {
            throw damaged("\(bytes.count) bytes do not hold \(count) vectors of \(dim) and their ids")
        }
        self.element = element
        self.dim = dim
        self.count = count
        self.idsOffset = idsOffset
        largestNorm = Double(bitPattern: number(40, UInt64.self))
        guard largestNorm.isFinite, largestNorm >= 0 else { throw damaged("the largest norm is \(largestNorm)") }
        if isChecked { return }
        let ids = self.ids
        for row in ids.indices.dropFirst() where ids[row] <= ids[row - 1] {
            throw damaged("the ids do not ascend at row \(row)")
        }
    }

    /// Lets go of the memory that rows which were read take in this process, for who reads all of them once.
    package func release(rows: Range<Int>) {
        let size = dim * element.size
        file.release(Self.headerSize + rows.lowerBound * size..<Self.headerSize + rows.upperBound * size)
    }

    /// Where the ids are when the vectors take `components` bytes.
    static func idsOffset(after components: Int) -> Int { (headerSize + components + 63) / 64 * 64 }

    /// Ids of the entries, ascending: row r has id `ids[r]`. Valid while this file is held.
    package var ids: UnsafeBufferPointer<Int64> {
        UnsafeRawBufferPointer(rebasing: file.bytes[idsOffset...]).assumingMemoryBound(to: Int64.self)
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

    /// One original vector as 32-bit floats; `dim` of them.
    package func vector(row: Int) -> [Float] {
        precondition((0..<count).contains(row))
        return [Float](unsafeUninitializedCapacity: dim) { floats, filled in
            guard let start = address(ofRow: row), let to = floats.baseAddress else { return }
            switch element {
            case .f32: memcpy(to, start, dim * 4)
            case .f16: cfaiss_f16_to_f32(start, to, Int64(dim))
            }
            filled = dim
        }
    }

    /// Whether a row is, bit by bit where both files have one precision, a row of another file.
    package func holds(_ row: Int, sameAs other: Int, of file: VectorFile) -> Bool {
        precondition((0..<count).contains(row) && (0..<file.count).contains(other))
        guard dim == file.dim else { return false }
        guard element == file.element, let one = address(ofRow: row), let two = file.address(ofRow: other) else {
            return vector(row: row) == file.vector(row: other)
        }
        return memcmp(one, two, dim * element.size) == 0
    }

    /// The dot product of `query` and a row, and the row's sum of squares, in double.
    func dot(_ query: UnsafePointer<Float>, row: Int) -> (dot: Double, squares: Double) {
        var dot = 0.0
        var squares = 0.0
        guard let vector = address(ofRow: row) else { return (0, 0) }
        switch element {
        case .f32:
            cfaiss_dot_f32(query, vector.assumingMemoryBound(to: Float.self), Int32(dim), &dot, &squares)
        case .f16: cfaiss_dot_f16(query, vector, Int32(dim), &dot, &squares)
        }
        return (dot, squares)
    }

    // MARK: All rows

    /// The bytes of all vectors.
    package func withBytes<Value>(_ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
        try body(UnsafeRawBufferPointer(start: address(ofRow: 0), count: count * dim * element.size))
    }

    /// 1/norm of each row, NaN where products of 32-bit floats would not say enough. Reads all vectors.
    func scales() -> [Float] {
        [Float](unsafeUninitializedCapacity: count) { scales, filled in
            if let base = scales.baseAddress { withMatrix { cfaiss_matrix_scales($0, base) } }
            filled = count
        }
    }

    /// Gives the vectors as kernels take them.
    ///
    /// - Parameter scales: for cosine 1/norm of each row.
    func withMatrix<Value, Failure: Error>(
        scales: UnsafePointer<Float>? = nil, _ body: (UnsafePointer<cfaiss_matrix>) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        var matrix = cfaiss_matrix(
            vectors: address(ofRow: 0), is_half: element == .f16 ? 1 : 0, dim: Int32(dim), count: Int64(count),
            scales: scales)
        return try body(&matrix)
    }

    /// Gives at most `wanted` rows, spread evenly over the file, as a matrix of their own: so little of the file is mapped at
    /// a time.
    func withSample<Value, Failure: Error>(
        _ wanted: Int, _ body: (UnsafePointer<cfaiss_matrix>) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let size = dim * element.size
        let rows = min(count, max(1, wanted))
        let sample = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, rows * size), alignment: 64)
        defer { sample.deallocate() }
        var kept = 0
        for index in 0..<rows {
            let row = index * count / rows
            if let from = address(ofRow: row), let to = sample.baseAddress {
                memcpy(to + index * size, from, size)
            }
            guard index % 256 == 255 || index == rows - 1 else { continue }
            release(rows: kept..<row + 1)
            kept = row + 1
        }
        var matrix = cfaiss_matrix(
            vectors: UnsafeRawPointer(sample.baseAddress), is_half: element == .f16 ? 1 : 0, dim: Int32(dim),
            count: Int64(rows), scales: nil)
        return try body(&matrix)
    }

    private func address(ofRow row: Int) -> UnsafeRawPointer? {
        file.bytes.baseAddress.map { $0 + Self.headerSize + row * dim * element.size }
    }
}
