import ArgumentParser
import DatastoreCore
import Foundation

/// `--rows START:END`; either may be left out.
struct RowsArgument {
    let start: Int
    /// Nil is the end of the file.
    let end: Int?

    init(_ argument: String) throws {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let start = parts[0].isEmpty ? 0 : Int(parts[0]), start >= 0,
            parts[1].isEmpty || (Int(parts[1]) ?? 0) > start
        else {
            throw ValidationError("got \"\(argument)\", expected START:END with START before END, for example 0:100")
        }
        self.start = start
        self.end = Int(parts[1])
    }
}

/// The vectors that `capstan query` asks with: all of a JSON file, or rows of a NumPy file, read part by part.
struct VectorsArgument {
    let count: Int
    /// The number of the first vector in its file.
    let firstRow: Int

    private let read: (Range<Int>) throws -> [Float]

    /// The vectors in `range`, end to end.
    func values(_ range: Range<Int>) throws -> [Float] { try read(range) }

    init(npy: String?, rows: RowsArgument?, json: String?) throws {
        if let npy {
            try self.init(npy: npy, rows: rows)
        } else {
            try self.init(json: json ?? "-")
        }
    }

    /// Reads one vector, or an array of vectors.
    private init(json path: String) throws {
        let name = path == "-" ? "standard input" : path
        let file = path == "-" ? FileHandle.standardInput : try Self.open(path)
        let data = try file.readToEnd() ?? Data()
        let vectors: [[Float]]
        if let one = try? WireJSON.decode([Float].self, from: data) {
            vectors = [one]
        } else {
            do {
                vectors = try WireJSON.decode([[Float]].self, from: data)
            } catch let error as DatastoreError {
                throw DatastoreError(error.code, "\(name): not an array of numbers, nor an array of such arrays")
            }
        }
        let dim = vectors.first?.count ?? 0
        guard dim > 0 else { throw DatastoreError(.missingField, "\(name): no numbers, expected a vector") }
        if let ragged = vectors.firstIndex(where: { $0.count != dim }) {
            throw DatastoreError(
                .vectorsRagged, "\(name): vector \(ragged) has \(vectors[ragged].count) numbers, the first has \(dim)")
        }
        count = vectors.count
        firstRow = 0
        read = { vectors[$0].flatMap(\.self) }
    }

    private init(npy path: String, rows: RowsArgument?) throws {
        let file = try NumPyFile(path)
        let start = rows?.start ?? 0
        let end = rows?.end ?? file.rows
        guard start < end, end <= file.rows else {
            throw DatastoreError(.invalidValue, "\(path): rows \(start):\(end) were asked for, and it has \(file.rows)")
        }
        count = end - start
        firstRow = start
        read = { try file.values(start + $0.lowerBound..<start + $0.upperBound) }
    }

    fileprivate static func open(_ path: String) throws -> FileHandle {
        let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw DatastoreError(.sourceUnreadable, "\(path): \(String(cString: strerror(errno)))")
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
            throw DatastoreError(.sourceUnreadable, "\(path): not a regular file")
        }
        return file
    }
}

/// A NumPy file of 2-D floats in C order, format 1 to 3, read where it is asked.
///
/// The daemon has a reader of its own, which the thin client does not link.
private struct NumPyFile {
    private enum Number: String {
        case f2 = "<f2"
        case f4 = "<f4"
        case f8 = "<f8"

        var bytes: Int {
            switch self {
            case .f2: 2
            case .f4: 4
            case .f8: 8
            }
        }
    }

    let rows: Int
    private let dim: Int
    private let type: Number
    private let firstByte: UInt64
    private let path: String
    private let file: FileHandle

    init(_ path: String) throws {
        self.path = path
        file = try VectorsArgument.open(path)
        // "\x93NUMPY", major, minor, then the length of the header: 2 bytes in format 1, 4 from 2 on.
        let start = try file.read(upToCount: 8) ?? Data()
        guard start.count == 8, start.prefix(6) == Data([0x93]) + Data("NUMPY".utf8) else {
            throw DatastoreError(.npyNotNumpy, "\(path): not a NumPy file")
        }
        guard (1...3).contains(start[6]) else {
            throw DatastoreError(.npyUnsupportedVersion, "\(path): NumPy format \(start[6]), expected 1 to 3")
        }
        let lengthBytes = start[6] == 1 ? 2 : 4
        let length = (try file.read(upToCount: lengthBytes) ?? Data()).reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = String(decoding: try file.read(upToCount: min(length, 1 << 20)) ?? Data(), as: UTF8.self)
        guard header.utf8.count == length,
            let descr = header.firstMatch(of: /'descr':\s*'([^']*)'/)?.1,
            let order = header.firstMatch(of: /'fortran_order':\s*(True|False)/)?.1,
            let shape = header.firstMatch(of: /'shape':\s*\(([^)]*)\)/)?.1
        else {
            throw DatastoreError(.npyInvalidHeader, "\(path): a NumPy header without type, order or shape")
        }
        guard order == "False" else {
            throw DatastoreError(.npyFortranOrder, "\(path): Fortran order, expected C order (np.ascontiguousarray)")
        }
        guard let type = Number(rawValue: String(descr)) else {
            throw DatastoreError(
                descr.hasPrefix(">") ? .npyBigEndian : .npyUnsupportedType,
                "\(path): numbers of type \(descr), expected <f2, <f4 or <f8")
        }
        let sides = shape.split(separator: ",").map { Int($0.trimmingCharacters(in: .whitespaces)) }
        guard sides.count == 2, let rows = sides[0], let dim = sides[1], rows > 0, dim > 0,
            rows <= 1 << 40, dim <= KeySpec.maximumDim
        else {
            throw DatastoreError(
                .npyInvalidShape,
                "\(path): shape (\(shape)), expected (rows, dim), with rows of 1 to \(KeySpec.maximumDim) numbers")
        }
        firstByte = UInt64(8 + lengthBytes + length)
        let expected = firstByte + UInt64(rows * dim * type.bytes)
        let actual = try file.seekToEnd()
        guard actual >= expected else {
            throw DatastoreError(.npyTruncated, "\(path): \(actual) bytes, expected \(expected)")
        }
        (self.rows, self.dim, self.type) = (rows, dim, type)
    }

    func values(_ range: Range<Int>) throws -> [Float] {
        let rowBytes = dim * type.bytes
        try file.seek(toOffset: firstByte + UInt64(range.lowerBound * rowBytes))
        let wanted = range.count * rowBytes
        let data = try file.read(upToCount: wanted) ?? Data()
        guard data.count == wanted else {
            throw DatastoreError(.npyTruncated, "\(path): became shorter while it was read")
        }
        return data.withUnsafeBytes { bytes in
            (0..<range.count * dim).map { index in
                switch type {
                case .f2: Float(Float16(bitPattern: number(index, in: bytes)))
                case .f4: Float(bitPattern: number(index, in: bytes))
                case .f8: Float(Double(bitPattern: number(index, in: bytes)))
                }
            }
        }
    }
    private func number<Bits: FixedWidthInteger>(_ index: Int, in bytes: UnsafeRawBufferPointer) -> Bits {
        Bits(littleEndian: bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<Bits>.size, as: Bits.self))
    }
}
