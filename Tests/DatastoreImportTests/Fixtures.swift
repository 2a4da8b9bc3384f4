import CZlib
import DatastoreCore
import DatastoreImport
import Foundation
import TestSupport

extension TemporaryDirectory {
    /// Writes a file and returns its path.
    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        try write(name, Data(bytes)).path()
    }

    func write(_ name: String, _ text: String) throws -> String {
        try write(name, Array(text.utf8))
    }
}

/// One gzip member.
func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
    var stream = z_stream()
    let size = Int32(MemoryLayout<z_stream>.size)
    guard deflateInit2_(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) == Z_OK else {
        throw DatastoreError(.internalError, "deflateInit2")
    }
    defer { deflateEnd(&stream) }
    var input = bytes
    var output = [UInt8](repeating: 0, count: bytes.count + bytes.count / 100 + 1024)
    let status = input.withUnsafeMutableBufferPointer { source in
        output.withUnsafeMutableBufferPointer { target in
            stream.next_in = source.baseAddress
            stream.avail_in = uInt(source.count)
            stream.next_out = target.baseAddress
            stream.avail_out = uInt(target.count)
            return deflate(&stream, Z_FINISH)
        }
    }
    guard status == Z_STREAM_END else { throw DatastoreError(.internalError, "deflate") }
    return Array(output.prefix(Int(stream.total_out)))
}

/// A `.npy` file, lawful or not.
struct NumpyFixture {
    var version: [UInt8] = [1, 0]
    var descr = "'<f4'"
    var order = "False"
    var shape: String
    /// The whole dict, instead of one made of the above.
    var header: String?
    var data: [UInt8] = []

    init(shape: String, data: [UInt8] = []) {
        self.shape = shape
        self.data = data
    }

    init(header: String, data: [UInt8] = []) {
        self.init(shape: "", data: data)
        self.header = header
    }

    init(rows: [[Float]], dim: Int, type: NumpyElementType = .f32) {
        self.init(shape: "(\(rows.count), \(dim))", data: rows.flatMap { $0 }.flatMap { $0.bytes(as: type) })
        descr = "'<\(type.rawValue)'"
    }

    var bytes: [UInt8] {
        let dict = header ?? "{'descr': \(descr), 'fortran_order': \(order), 'shape': \(shape), }"
        let lengthSize = version[0] == 1 ? 2 : 4
        var text = Array(dict.utf8)
        while (8 + lengthSize + text.count + 1) % 64 != 0 { text.append(0x20) }
        text.append(0x0A)
        let length = (0..<lengthSize).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) }
        return [0x93] + Array("NUMPY".utf8) + version + length + text + data
    }
}

extension Float {
    func bytes(as type: NumpyElementType) -> [UInt8] {
        switch type {
        case .f16: withUnsafeBytes(of: Float16(self).bitPattern.littleEndian) { Array($0) }
        case .f32: withUnsafeBytes(of: bitPattern.littleEndian) { Array($0) }
        case .f64: withUnsafeBytes(of: Double(self).bitPattern.littleEndian) { Array($0) }
        }
    }
}

/// The `DatastoreError` that `body` throws; nil when it throws none.
func datastoreError(_ body: () throws -> Void) -> DatastoreError? {
    do {
        try body()
        return nil
    } catch {
        return error as? DatastoreError
    }
}

extension ByteSource {
    /// All bytes, read `step` at a time.
    func readAll(step: Int = 4096) throws -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: step)
        while true {
            let count = try buffer.withUnsafeMutableBytes { try read(into: $0) }
            if count == 0 { return all }
            all += buffer[..<count]
        }
    }
}

extension ImportReader {
    /// All records until the end or the first error.
    func readAll() -> (records: [ImportRecord], error: (any Error)?) {
        var records: [ImportRecord] = []
        do {
            while let record = try next() { records.append(record) }
            return (records, nil)
        } catch {
            return (records, error)
        }
    }
}

extension ImportRecord {
    var row: ImportRow? {
        if case .row(let row) = self { row } else { nil }
    }

    var reject: RejectedRow? {
        if case .reject(let reject) = self { reject } else { nil }
    }
}
