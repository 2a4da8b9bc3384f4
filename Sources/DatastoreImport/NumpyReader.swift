package import DatastoreCore

/// The rows of a matrix in a NumPy `.npy` file, in order, as 32-bit floats. A file of three axes has several vectors in
/// each row, of which the mean is given.
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
    /// Whether each row is the mean of several vectors.
    package var isPooled: Bool { header.vectorsPerRow != nil }
    /// The file's base name.
    package var name: String { file.name }

    private let header: NumpyHeader
    private var file: InputFile
    private let buffer: UnsafeMutableRawBufferPointer
    /// Bytes of the buffer that hold vectors not used yet: `buffer[start..<end]`, whole vectors.
    private var start = 0
    private var end = 0
    private var rowsLeft: Int
    /// Vectors of the file that are not in the buffer yet.
    private var vectorsLeft: Int
    private var vectorBytes: Int { header.dim * header.elementType.bytes }

    /// Opens a file.
    ///
    /// - Parameters:
    ///   - pool: what becomes of the vectors of a row in a file of three axes; such a file is refused without.
    ///   - chunkSize: about how many bytes are read at a time; a whole vector at least.
    /// - Throws: `npy_not_numpy`, `npy_unsupported_version`, `npy_invalid_header`, `npy_fortran_order`,
    ///   `npy_big_endian`, `npy_unsupported_type`, `npy_invalid_shape`, `npy_truncated`, `npy_trailing_data` or
    ///   `source_unreadable`.
    package init(
        path: String, pool: VectorPooling = .none, chunkSize: Int = ByteSource.defaultChunkSize
    ) throws {
        var file = try InputFile(path: path)
        let header = try NumpyHeader(readingFrom: &file, pool: pool)
        let dataBytes = file.size - header.dataOffset
        let vectors = header.vectorsPerRow.map { "\($0) vectors of " } ?? ""
        let expectation =
            "got \(dataBytes) bytes of data, expected \(header.dataBytes) "
            + "(\(header.rows) rows of \(vectors)\(header.dim) numbers of \(header.elementType.bytes) bytes)"
        guard dataBytes >= header.dataBytes else {
            throw DatastoreError(.npyTruncated, "\(file.name): \(expectation)")
        }
        guard dataBytes == header.dataBytes else {
            throw DatastoreError(.npyTrailingData, "\(file.name): \(expectation)")
        }
        let vectorBytes = header.dim * header.elementType.bytes
        self.header = header
        rowsLeft = header.rows
        vectorsLeft = header.vectors
        buffer = .allocate(byteCount: max(1, chunkSize / vectorBytes) * vectorBytes, alignment: 16)
        self.file = file
    }

    deinit {
        buffer.deallocate()
    }

    /// The next row, `dim` numbers; nil after the last.
    ///
    /// An `f8` that a `Float` cannot hold becomes infinite; a mean is rounded once, at its end. The numbers are not
    /// checked.
    ///
    /// - Throws: `npy_truncated` when the file shrank since it was opened, or `source_unreadable`.
    package func next() throws -> [Float]? {
        guard rowsLeft > 0 else { return nil }
        rowsLeft -= 1
        guard let vectorsPerRow = header.vectorsPerRow else { return floats(of: try nextVector()) }
        var mean = VectorMean(dim: dim)
        for _ in 0..<vectorsPerRow { add(try nextVector(), to: &mean) }
        return mean.vector
    }

    /// The bytes of the next vector, which there is; valid until the next call.
    private func nextVector() throws -> UnsafeRawBufferPointer {
        if start == end { try fill() }
        defer { start += vectorBytes }
        return UnsafeRawBufferPointer(rebasing: buffer[start..<start + vectorBytes])
    }

    private func floats(of vector: UnsafeRawBufferPointer) -> [Float] {
        [Float](unsafeUninitializedCapacity: dim) { floats, count in
            switch elementType {
            case .f16: Self.convert(halves: vector, to: floats, count: dim)
            case .f32: for index in 0..<dim { floats[index] = Self.single(vector, index) }
            case .f64: for index in 0..<dim { floats[index] = Float(Self.double(vector, index)) }
            }
            count = dim
        }
    }

    private func add(_ vector: UnsafeRawBufferPointer, to mean: inout VectorMean) {
        switch elementType {
        case .f16: mean.add { Double(Self.half(vector, $0)) }
        case .f32: mean.add { Double(Self.single(vector, $0)) }
        case .f64: mean.add { Self.double(vector, $0) }
        }
    }

    private static func halfBits(_ vector: UnsafeRawBufferPointer, _ index: Int) -> UInt16 {
        UInt16(littleEndian: vector.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
    }

    private static func half(_ vector: UnsafeRawBufferPointer, _ index: Int) -> Float {
        float(half: halfBits(vector, index))
    }

    private static func convert(
        halves vector: UnsafeRawBufferPointer, to floats: UnsafeMutableBufferPointer<Float>, count: Int
    ) {
        // Vectors begin at even places of a buffer that is aligned.
        guard let halves = vector.baseAddress?.assumingMemoryBound(to: UInt16.self), let to = floats.baseAddress else {
            return
        }
        for index in 0..<count { to[index] = float(half: UInt16(littleEndian: halves[index])) }
    }

    /// The number of a 16-bit float, by whole numbers and one product, of which the processor does many at a time:
    /// `Float(Float16)` is a call for each on processors of which nothing is assumed.
    private static func float(half bits: UInt16) -> Float {
        let magnitude = UInt32(bits & 0x7FFF) &<< 13
        // The exponents are 112 apart; the product is exact, also of a denormal.
        let scaled = (Float(bitPattern: magnitude) * 0x1p112).bitPattern
        // Infinities and what is no number keep all bits.
        let value = magnitude >= 0x0F80_0000 ? magnitude | 0x7F80_0000 : scaled
        return Float(bitPattern: value | UInt32(bits & 0x8000) &<< 16)
    }

    private static func single(_ vector: UnsafeRawBufferPointer, _ index: Int) -> Float {
        Float(bitPattern: UInt32(littleEndian: vector.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)))
    }

    private static func double(_ vector: UnsafeRawBufferPointer, _ index: Int) -> Double {
        Double(bitPattern: UInt64(littleEndian: vector.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)))
    }

    /// Reads as many whole vectors as the buffer holds and the file has left.
    private func fill() throws {
        let vectors = min(buffer.count / vectorBytes, vectorsLeft)
        let wanted = vectors * vectorBytes
        let got = try file.readFully(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]))
        guard got == wanted else {
            throw DatastoreError(
                .npyTruncated,
                "\(file.name): ends at byte \(file.offset), expected \(header.dataOffset + header.dataBytes) bytes; "
                    + "it was cut while it was read")
        }
        vectorsLeft -= vectors
        start = 0
        end = got
    }
}
