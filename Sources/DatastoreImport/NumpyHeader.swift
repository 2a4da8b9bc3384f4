import DatastoreCore

/// How a NumPy file stores one number.
package enum NumpyElementType: String, Sendable, CaseIterable {
    case f16 = "f2"
    case f32 = "f4"
    case f64 = "f8"

    package var bytes: Int {
        switch self {
        case .f16: 2
        case .f32: 4
        case .f64: 8
        }
    }
}

/// What the start of a `.npy` file says: a matrix of `rows` × `dim` floats, or `rows` matrices of them.
///
/// | bytes | content |
/// | --- | --- |
/// | 6 | `\x93NUMPY` |
/// | 2 | major and minor version: 1.0, 2.0 or 3.0 |
/// | 2 (version 1) or 4 | length of the header, little-endian |
/// | length | a Python dict with `descr`, `fortran_order` and `shape`, padded with spaces; Latin-1, UTF-8 in version 3 |
/// | rows × vectors per row × dim × element bytes | the numbers, row by row, little-endian |
struct NumpyHeader: Equatable {
    static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
    /// A matrix of floats needs about 120 bytes; more than this is no header of one.
    static let maximumLength = 64 * 1024

    let elementType: NumpyElementType
    let rows: Int
    /// Vectors of each row, 1 or more; nil in a file of two axes, where each row is one.
    let vectorsPerRow: Int?
    let dim: Int
    /// Vectors of all rows.
    let vectors: Int
    /// Where the numbers start.
    let dataOffset: Int
    let dataBytes: Int

    /// Reads the header of a file that is at its first byte.
    ///
    /// - Parameter pool: whether rows may have several vectors.
    /// - Throws: one of the `npy_…` errors, or `source_unreadable`.
    init(readingFrom file: inout InputFile, pool: VectorPooling) throws {
        let name = file.name
        let start = try file.readBytes(Self.magic.count)
        guard start == Self.magic else {
            let first = try start + file.readBytes(ForeignFile.prefixBytes)
            throw first.withUnsafeBytes { ForeignFile.vectorsError(name: name, first: $0) }
        }
        let version = try file.readBytes(2)
        guard version.count == 2 else { throw Self.invalid(name, "the file ends at byte \(file.offset)") }
        guard (1...3).contains(version[0]), version[1] == 0 else {
            throw DatastoreError(
                .npyUnsupportedVersion,
                "\(name): got .npy version \(version[0]).\(version[1]), expected 1.0, 2.0 or 3.0")
        }
        let lengthBytes = try file.readBytes(version[0] == 1 ? 2 : 4)
        let length = lengthBytes.reversed().reduce(0) { $0 << 8 | Int($1) }
        guard lengthBytes.count == (version[0] == 1 ? 2 : 4), length <= file.size - file.offset else {
            throw Self.invalid(name, "it goes beyond the end of the file, which has \(file.size) bytes")
        }
        guard length <= Self.maximumLength else {
            throw Self.invalid(name, "got \(length) bytes, expected at most \(Self.maximumLength)")
        }
        let bytes = try file.readBytes(length)
        let text: String
        if version[0] < 3 {
            text = String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
        } else if let utf8 = String(validating: bytes, as: UTF8.self) {
            text = utf8
        } else {
            throw Self.invalid(name, "it is not valid UTF-8")
        }
        try self.init(dictionary: text, dataOffset: file.offset, name: name, pool: pool)
    }

    /// - Parameters:
    ///   - text: the Python dict.
    ///   - name: the file's, for messages.
    init(dictionary text: String, dataOffset: Int, name: String, pool: VectorPooling) throws {
        let fields = try Self.fields(of: text, name: name)
        elementType = try Self.elementType(fields.descr, name: name)
        guard case .bool(let isFortranOrder) = fields.fortranOrder else {
            throw Self.invalid(name, "fortran_order is neither True nor False")
        }
        guard !isFortranOrder else {
            throw DatastoreError(
                .npyFortranOrder,
                "\(name): got numbers in Fortran order (column by column), expected C order; "
                    + "save it again with numpy.ascontiguousarray")
        }
        (rows, vectorsPerRow, dim) = try Self.shape(fields.shape, name: name, pool: pool)
        let (vectors, tooManyVectors) = rows.multipliedReportingOverflow(by: vectorsPerRow ?? 1)
        let (numbers, tooMany) = vectors.multipliedReportingOverflow(by: dim)
        let (bytes, tooLarge) = numbers.multipliedReportingOverflow(by: elementType.bytes)
        guard !tooManyVectors, !tooMany, !tooLarge, !dataOffset.addingReportingOverflow(bytes).overflow else {
            let sizes = [rows, vectorsPerRow, dim].compactMap { $0.map(String.init) }.joined(separator: ", ")
            throw DatastoreError(.npyInvalidShape, "\(name): got shape (\(sizes)), which no file can hold")
        }
        self.vectors = vectors
        dataBytes = bytes
        self.dataOffset = dataOffset
    }

    private static func fields(
        of text: String, name: String
    ) throws -> (descr: PythonLiteral, fortranOrder: PythonLiteral, shape: PythonLiteral) {
        let literal: PythonLiteral
        do {
            literal = try PythonLiteral(parsing: text)
        } catch {
            throw invalid(name, error.message)
        }
        guard case .dictionary(let items) = literal else { throw invalid(name, "it is not a dict") }
        var fields: [String: PythonLiteral] = [:]
        for item in items {
            guard case .string(let key) = item.key, ["descr", "fortran_order", "shape"].contains(key) else {
                throw invalid(name, "it has a key other than descr, fortran_order and shape")
            }
            guard fields.updateValue(item.value, forKey: key) == nil else {
                throw invalid(name, "it has the key \(key) twice")
            }
        }
        guard let descr = fields["descr"], let order = fields["fortran_order"], let shape = fields["shape"] else {
            throw invalid(name, "it has no \(["descr", "fortran_order", "shape"].first { fields[$0] == nil } ?? "")")
        }
        return (descr, order, shape)
    }

    private static func elementType(_ descr: PythonLiteral, name: String) throws -> NumpyElementType {
        guard case .string(let type) = descr else {
            throw DatastoreError(
                .npyUnsupportedType, "\(name): got a structured type, expected one of <f2, <f4, <f8")
        }
        let hasOrder = type.first.map { "<>|=".contains($0) } ?? false
        guard let element = NumpyElementType(rawValue: String(type.dropFirst(hasOrder ? 1 : 0))) else {
            throw DatastoreError(
                .npyUnsupportedType,
                "\(name): got numbers of type \"\(type.prefix(32))\", expected one of <f2, <f4, <f8")
        }
        guard type.first != ">" else {
            throw DatastoreError(
                .npyBigEndian,
                "\(name): got big-endian numbers (\(type)), expected <\(element.rawValue); "
                    + "convert them with .astype('<\(element.rawValue)')")
        }
        return element
    }

    private static func shape(
        _ shape: PythonLiteral, name: String, pool: VectorPooling
    ) throws -> (rows: Int, vectorsPerRow: Int?, dim: Int) {
        func refused(_ got: String, remedy: String = "") -> DatastoreError {
            let pooled = pool == .mean ? " or (rows, n, dim)" : ""
            return DatastoreError(
                .npyInvalidShape,
                "\(name): got \(got), expected shape (rows, dim)\(pooled) with dim 1 to \(KeySpec.maximumDim)\(remedy)")
        }
        guard case .tuple(let sizes) = shape else { throw refused("a shape that is not a tuple") }
        var texts: [String] = []
        for case .integer(let number) in sizes { texts.append(number) }
        guard texts.count == sizes.count else { throw refused("a shape that is not made of integers") }
        let got = "shape (\(texts.prefix(8).joined(separator: ", ").prefix(80))), \(sizes.count)-D"
        if sizes.count == 3, pool == .none { throw refused(got, remedy: "; \(VectorPooling.remedy)") }
        let numbers = texts.prefix(3).compactMap { Int($0) }
        guard numbers.count == sizes.count, numbers.count == 2 || numbers.count == 3, let rows = numbers.first,
            let dim = numbers.last, rows >= 0, (1...KeySpec.maximumDim).contains(dim)
        else { throw refused(got) }
        guard numbers.count == 3 else { return (rows, nil, dim) }
        guard numbers[1] >= 1 else { throw refused("\(got), without vectors in a row") }
        return (rows, numbers[1], dim)
    }

    private static func invalid(_ name: String, _ reason: String) -> DatastoreError {
        DatastoreError(.npyInvalidHeader, "\(name): invalid .npy header: \(reason)")
    }
}
