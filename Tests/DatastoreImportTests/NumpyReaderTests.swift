import DatastoreCore
import DatastoreImport
import Foundation
import TestSupport
import Testing

struct NumpyReaderTests {
    private static let rows: [[Float]] = [[0, 1, -2.5], [0.125, 65504, -0.0], [3, 0.5, 1e-3]]

    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
    }

    private func open(_ bytes: [UInt8], chunkSize: Int = 4096) throws -> NumpyReader {
        try NumpyReader(path: try folder.write("vectors.npy", bytes), chunkSize: chunkSize)
    }

    private func open(_ fixture: NumpyFixture, chunkSize: Int = 4096) throws -> NumpyReader {
        try open(fixture.bytes, chunkSize: chunkSize)
    }

    private func rows(of reader: NumpyReader) throws -> [[Float]] {
        var rows: [[Float]] = []
        while let row = try reader.next() { rows.append(row) }
        return rows
    }

    private func code(_ bytes: [UInt8]) -> ErrorCode? {
        datastoreError { _ = try open(bytes) }?.code
    }

    @Test(arguments: [[1, 0], [2, 0], [3, 0]] as [[UInt8]], NumpyElementType.allCases)
    func everyVersionAndTypeIsRead(version: [UInt8], type: NumpyElementType) throws {
        for chunkSize in [1, 20, 4096] {
            var fixture = NumpyFixture(rows: Self.rows, dim: 3, type: type)
            fixture.version = version
            let reader = try open(fixture, chunkSize: chunkSize)
            #expect(reader.rows == 3)
            #expect(reader.dim == 3)
            #expect(reader.elementType == type)
            #expect(reader.name == "vectors.npy")
            let expected = type == .f16 ? Self.rows.map { $0.map { Float(Float16($0)) } } : Self.rows
            #expect(try rows(of: reader) == expected)
            #expect(try reader.next() == nil)
        }
    }

    @Test func everyHalfIsReadAsTheNumberThatItIs() throws {
        let all = (0...UInt16.max).map { Float16(bitPattern: $0) }
        // What is no number cannot be compared; the reader gives its bits on.
        let rows = stride(from: 0, to: all.count, by: 37).map { first in
            (0..<37).map { Float(all[(first + $0) % all.count]) }
        }
        let read = try self.rows(of: try open(NumpyFixture(rows: rows, dim: 37, type: .f16)))
        #expect(
            read.map { $0.map { $0.isNaN ? 0x7FC0_0000 : $0.bitPattern } }
                == rows.map { $0.map { $0.isNaN ? 0x7FC0_0000 : $0.bitPattern } })
    }

    @Test(arguments: ["'<f4'", "'|f4'", "'=f4'", "'f4'", "\"<f4\""])
    func nativeFormsOfATypeAreRead(descr: String) throws {
        var fixture = NumpyFixture(rows: Self.rows, dim: 3)
        fixture.descr = descr
        #expect(try rows(of: try open(fixture)) == Self.rows)
    }

    @Test(arguments: [
        "{'shape': (1, 2), 'fortran_order': False, 'descr': '<f4'}",
        "{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(1,2,)}",
        " { 'descr' : '<f4' ,\n 'fortran_order' : False , 'shape' : ( 1L , +2 ) , } ",
        "{'descr': '<f4', 'fortran_order': (False), 'shape': ((1), 2)}",
    ])
    func headerIsReadAsPythonWould(header: String) throws {
        let fixture = NumpyFixture(header: header, data: [0, 0, 128, 63, 0, 0, 0, 192])
        #expect(try rows(of: try open(fixture)) == [[1, -2]])
    }

    @Test func matrixWithoutRowsIsRead() throws {
        let reader = try open(NumpyFixture(rows: [], dim: 4))
        #expect(reader.rows == 0)
        #expect(try reader.next() == nil)
    }

    @Test func doubleBeyondFloatBecomesInfinite() throws {
        var fixture = NumpyFixture(shape: "(1, 2)")
        fixture.descr = "'<f8'"
        fixture.data = [1e300, -1e39].flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian) { Array($0) } }
        #expect(try rows(of: try open(fixture)) == [[.infinity, -.infinity]])
    }

    @Test(arguments: [
        ("", "empty"), ("IxF2\u{0}\u{1}\u{0}\u{0}", "FAISS"), ("PK\u{3}\u{4}....", "zip"),
        ("{\"id\": 1}\n", "first bytes"),
        ("short", "first bytes"),
    ])
    func fileOfAnotherKindIsNotNumpy(content: String, likeness: String) throws {
        let error = datastoreError { _ = try open(Array(content.utf8)) }
        #expect(error?.code == .npyNotNumpy)
        #expect(error?.detail.contains(likeness) == true)
    }

    @Test(arguments: [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", ErrorCode.lfsPointer, "git lfs pull"),
        ("\n<!DOCTYPE html><html>", .htmlPage, "web page"),
    ])
    func whatWasSavedInsteadOfTheFileIsNamed(content: String, code: ErrorCode, likeness: String) throws {
        let error = datastoreError { _ = try open(Array(content.utf8)) }
        #expect(error?.code == code)
        #expect(error?.detail.contains(likeness) == true)
        let path = try folder.write("vectors.bin", content)
        #expect(datastoreError { _ = try VectorsFileKind(path: path) } != nil)
    }

    @Test func gzippedNumpyIsNotNumpy() throws {
        let error = datastoreError { _ = try open(try gzip(NumpyFixture(rows: Self.rows, dim: 3).bytes)) }
        #expect(error?.code == .npyNotNumpy)
        #expect(error?.detail.contains("gzip") == true)
    }

    @Test(arguments: [[0, 0], [1, 1], [4, 0], [255, 255]] as [[UInt8]])
    func unknownVersionIsRefused(version: [UInt8]) throws {
        var fixture = NumpyFixture(rows: Self.rows, dim: 3)
        fixture.version = version
        #expect(code(fixture.bytes) == .npyUnsupportedVersion)
    }

    @Test(arguments: [
        "", "{", "{}", "[]", "5", "(", "{'descr'", "{'descr': }", "{'descr': '<f4'}", "{'descr': '<f4",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), 'extra': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1, 2)}",
        "{'descr': '<f4', 'fortran_order': false, 'shape': (1, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os')}",
        "{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (1, 2)}",
        "{1: 2}", String(repeating: "(", count: 5000), String(repeating: "{'descr':", count: 5000), "\0\0\0",
    ])
    func headerThatIsNotTheDictIsRefused(header: String) throws {
        #expect(code(NumpyFixture(header: header).bytes) == .npyInvalidHeader)
    }

    @Test func headerLengthBeyondFileOrLimitIsRefused() throws {
        let whole = NumpyFixture(rows: Self.rows, dim: 3).bytes
        for length in 6..<128 { #expect(code(Array(whole.prefix(length))) == .npyInvalidHeader, "\(length)") }
        for version in [2, 3] as [UInt8] {
            #expect(code(Array(whole.prefix(6)) + [version, 0, 255, 255, 255, 255]) == .npyInvalidHeader)
        }
        var fixture = NumpyFixture(rows: Self.rows, dim: 3)
        fixture.version = [2, 0]
        fixture.order += String(repeating: " ", count: 70_000)
        #expect(code(fixture.bytes) == .npyInvalidHeader)
    }

    @Test func headerOfVersion3MustBeUTF8() throws {
        var bytes = NumpyFixture(rows: Self.rows, dim: 3).bytes
        bytes[6] = 3
        bytes.insert(contentsOf: [0, 0], at: 10)
        #expect(code(bytes) == nil)
        bytes[100] = 0xFF
        #expect(code(bytes) == .npyInvalidHeader)
    }

    @Test func fortranOrderIsRefused() throws {
        var fixture = NumpyFixture(rows: Self.rows, dim: 3)
        fixture.order = "True"
        #expect(code(fixture.bytes) == .npyFortranOrder)
    }

    @Test(arguments: ["'>f2'", "'>f4'", "'>f8'"])
    func bigEndianIsRefused(descr: String) throws {
        var fixture = NumpyFixture(rows: Self.rows, dim: 3)
        fixture.descr = descr
        #expect(code(fixture.bytes) == .npyBigEndian)
    }

    @Test(arguments: ["'<i4'", "'|u1'", "'<f16'", "'<c8'", "'|O'", "''", "'<'", "[('x', '<f4'), ('y', '<f4')]", "None"])
    func otherTypesAreRefused(descr: String) throws {
        var fixture = NumpyFixture(rows: Self.rows, dim: 3)
        fixture.descr = descr
        #expect(code(fixture.bytes) == .npyUnsupportedType)
    }

    @Test(arguments: [
        "()", "(9,)", "9", "(3, 3, 1)", "(-3, 3)", "(3, -3)", "(3, 0)", "(0, 0)", "(1, 65537)", "(True, 3)", "('3', 3)",
        "[3, 3]", "(None, 3)", "(4611686018427387904, 4)", "(9223372036854775807, 65536)", "(2305843009213693951, 1)",
        "(99999999999999999999999999, 3)",
    ])
    func shapeThatIsNoMatrixIsRefused(shape: String) throws {
        var fixture = NumpyFixture(rows: Self.rows, dim: 3)
        fixture.shape = shape
        #expect(code(fixture.bytes) == .npyInvalidShape)
    }

    @Test func dataMustBeAsLongAsTheShapeSays() throws {
        let whole = NumpyFixture(rows: Self.rows, dim: 3).bytes
        for length in 128..<whole.count { #expect(code(Array(whole.prefix(length))) == .npyTruncated) }
        let truncated = datastoreError { _ = try open(Array(whole.dropLast())) }
        #expect(truncated?.detail.contains("got 35 bytes of data, expected 36") == true)
        let trailing = datastoreError { _ = try open(whole + [0]) }
        #expect(trailing?.code == .npyTrailingData)
        #expect(trailing?.detail.contains("got 37 bytes of data, expected 36") == true)
        var lying = NumpyFixture(rows: Self.rows, dim: 3)
        lying.shape = "(1000000000000, 3)"
        #expect(code(lying.bytes) == .npyTruncated)
    }

    @Test func fileThatShrinksWhileItIsReadIsTruncated() throws {
        let bytes = NumpyFixture(rows: Self.rows, dim: 3).bytes
        let reader = try open(bytes, chunkSize: 1)
        #expect(try reader.next() == Self.rows[0])
        try #require(truncate("\(folder.url.path())/vectors.npy", 150) == 0)
        #expect(datastoreError { _ = try reader.next() }?.code == .npyTruncated)
    }

    @Test func missingFileIsUnreadable() throws {
        let error = datastoreError { _ = try NumpyReader(path: "\(folder.url.path())/none.npy") }
        #expect(error?.code == .sourceUnreadable)
    }
}
