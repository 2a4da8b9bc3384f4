import DatastoreCore

/// The rows of a matrix in a NumPy `.npy` file, in order, as 32-bit floats.
///
/// Reads versions 1.0 to 3.0 with little-endian `f2`, `f4` or `f8` in C order. The size of the file is held against
/// the header when it is opened, before any row is read.
///
/// Not thread-safe: one thread reads at a time.
package final class NumpyReader {
    /// Components of each row.
    package var dim: Int { header.dim }
    package var rows: Int { header.rows }
    package var elementType: NumpyElementType { header.elementType }
    /// The file's base name.
    package var name: String { file.name }

    private let header: NumpyHeader
    private var file: InputFile
    private let buffer: UnsafeMutableRawBufferPointer
    /// Bytes of the buffer that hold rows not given yet: `buffer[start..<end]`, whole rows.
    private var start = 0
    private var end = 0
    private var rowsLeft: Int
    private var rowBytes: Int { header.dim * header.elementType.bytes }

    /// Opens a file.
    ///
    /// - Parameter chunkSize: about how many bytes are read at a time; a whole row at least.
    /// - Throws: `npy_not_numpy`, `npy_unsupported_version`, `npy_invalid_header`, `npy_fortran_order`,
    ///   `npy_big_endian`, `npy_unsupported_type`, `npy_invalid_shape`, `npy_truncated`, `npy_trailing_data` or
    ///   `source_unreadable`.
    package init(path: String, chunkSize: Int = ByteSource.defaultChunkSize) throws {
        var file = try InputFile(path: path)
        let header = try NumpyHeader(readingFrom: &file)
        let dataBytes = file.size - header.dataOffset
        let expectation =
            "got \(dataBytes) bytes of data, expected \(header.dataBytes) "
            + "(\(header.rows) rows of \(header.dim) numbers of \(header.elementType.bytes) bytes)"
        guard dataBytes >= header.dataBytes else {
            throw DatastoreError(.npyTruncated, "\(file.name): \(expectation)")
        }
        guard dataBytes == header.dataBytes else {
            throw DatastoreError(.npyTrailingData, "\(file.name): \(expectation)")
        }
        let rowBytes = header.dim * header.elementType.bytes
        self.header = header
        rowsLeft = header.rows
        buffer = .allocate(byteCount: max(1, chunkSize / rowBytes) * rowBytes, alignment: 16)
        self.file = file
    }

    deinit {
        buffer.deallocate()
    }

    /// The next row, `dim` numbers; nil after the last.
    ///
    /// An `f8` that a `Float` cannot hold becomes infinite. The numbers are not checked.
    ///
    /// - Throws: `npy_truncated` when the file shrank since it was opened, or `source_unreadable`.
    package func next() throws -> [Float]? {
        guard rowsLeft > 0 else { return nil }
        if start == end { try fill() }
        let row = UnsafeRawBufferPointer(rebasing: buffer[start..<start + rowBytes])
        start += rowBytes
        rowsLeft -= 1
        return [Float](unsafeUninitializedCapacity: dim) { floats, count in
            switch elementType {
            case .f16:
                for index in 0..<dim {
                    let bits = row.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self)
                    floats[index] = Float(Float16(bitPattern: UInt16(littleEndian: bits)))
                }
            case .f32:
                for index in 0..<dim {
                    let bits = row.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)
                    floats[index] = Float(bitPattern: UInt32(littleEndian: bits))
                }
            case .f64:
                for index in 0..<dim {
                    let bits = row.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
                    floats[index] = Float(Double(bitPattern: UInt64(littleEndian: bits)))
                }
            }
            count = dim
        }
    }

    /// Reads as many whole rows as the buffer holds and the file has left.
    private func fill() throws {
        let wanted = min(buffer.count / rowBytes, rowsLeft) * rowBytes
        let got = try file.readFully(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]))
        guard got == wanted else {
            throw DatastoreError(
                .npyTruncated,
                "\(file.name): ends at byte \(file.offset), expected \(header.dataOffset + header.dataBytes) bytes; "
                    + "it was cut while it was read")
        }
        start = 0
        end = got
    }
}
