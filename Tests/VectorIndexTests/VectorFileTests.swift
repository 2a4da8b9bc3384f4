import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// The file of original vectors: what goes in comes out, and a file that is not whole is never opened.
struct VectorFileTests {
    private static func write(
        _ vectors: Vectors, ids: [Int64], as element: VectorFile.Element, to file: URL
    ) throws {
        let writer = try VectorFileWriter(path: file.path, dim: vectors.dim, element: element)
        for (row, id) in ids.enumerated() {
            try vectors[row].withUnsafeBufferPointer { try writer.append(id: id, $0) }
        }
        try writer.finish()
    }

    private static func halves(_ vectors: Vectors) -> Vectors {
        Vectors(values: vectors.values.map { Float(Float16($0)) }, dim: vectors.dim)
    }

    @Test(arguments: [(1, 3), (7, 16), (1500, 200)], [VectorFile.Element.f32, .f16])
    func aFileThatHasItsVectorsIsCompletedToTheBytesOfOneThatIsWritten(
        shape: (count: Int, dim: Int), element: VectorFile.Element
    ) throws {
        let folder = try TemporaryDirectory()
        var vectors = Vectors(clustered: shape.count, dim: shape.dim, seed: 2)
        if element == .f16 { vectors = Self.halves(vectors) }
        let ids = Int64(5)...Int64(4 + shape.count)
        try Self.write(vectors, ids: Array(ids), as: element, to: folder.file("written"))
        // Room for the header, the vectors, and what a batch that did not count has left.
        var bytes = Data(repeating: 0xEE, count: VectorFile.headerSize)
        switch element {
        case .f32: vectors.values.withUnsafeBytes { bytes += $0 }
        case .f16: VectorMath.halves(vectors.values).withUnsafeBytes { bytes += $0 }
        }
        try (bytes + Data(repeating: 0xEE, count: 1000)).write(to: folder.file("completed"))
        try VectorFileWriter(
            completing: folder.file("completed").path, dim: shape.dim, element: element, ids: ids
        ).finish()
        #expect(try Data(contentsOf: folder.file("completed")) == Data(contentsOf: folder.file("written")))
        // One that is too short is none.
        try bytes.dropLast().write(to: folder.file("cut"))
        #expect(throws: (any Error).self) {
            try VectorFileWriter(completing: folder.file("cut").path, dim: shape.dim, element: element, ids: ids)
        }
    }

    // Counts and dims around the alignment of 64 bytes, and one beyond the writer's buffer of 1 MiB.
    @Test(
        arguments: [(0, 3), (1, 1), (1, 16), (2, 8), (3, 5), (7, 384), (100, 33), (1500, 200)],
        [VectorFile.Element.f32, .f16])
    func whatIsWrittenIsReadBack(shape: (count: Int, dim: Int), element: VectorFile.Element) throws {
        let folder = try TemporaryDirectory()
        var vectors = Vectors(clustered: shape.count, dim: shape.dim, seed: 1)
        if element == .f16 { vectors = Self.halves(vectors) }
        let ids = (0..<shape.count).map { Int64($0 * 3 + 2) }
        try Self.write(vectors, ids: ids, as: element, to: folder.file("v"))
        let file = try VectorFile(path: folder.file("v").path)
        #expect(file.count == shape.count)
        #expect(file.dim == shape.dim)
        #expect(file.element == element)
        #expect(Array(file.ids) == ids)
        for row in 0..<shape.count { #expect(file.vector(row: row) == vectors[row]) }
        let norms = (0..<shape.count).map { row in
            vectors[row].reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        }
        #expect(abs(file.largestNorm - (norms.max() ?? 0)) <= 1e-12 * (norms.max() ?? 0))
    }

    @Test func everyHalfFloatIsExact() throws {
        let folder = try TemporaryDirectory()
        let finite = (0...UInt16.max).map { Float16(bitPattern: $0) }.filter(\.isFinite).map(Float.init)
        let dim = 64
        let vectors = Vectors(values: Array(finite.prefix(finite.count / dim * dim)), dim: dim)
        #expect(finite.count == vectors.values.count)
        let ids = (0..<vectors.count).map { Int64($0) }
        try Self.write(vectors, ids: ids, as: .f16, to: folder.file("v"))
        let file = try VectorFile(path: folder.file("v").path)
        for row in 0..<file.count {
            #expect(file.vector(row: row).map(\.bitPattern) == vectors[row].map(\.bitPattern))
        }
    }

    @Test func everyKindOfFloatIsExact() throws {
        let folder = try TemporaryDirectory()
        let values: [Float] = [
            0, -0.0, 1, -1, .pi, .leastNonzeroMagnitude, -.leastNonzeroMagnitude, .leastNormalMagnitude,
            .greatestFiniteMagnitude, -.greatestFiniteMagnitude, 1e-20, 1e18,
        ]
        try Self.write(Vectors(values: values, dim: 12), ids: [1], as: .f32, to: folder.file("v"))
        let file = try VectorFile(path: folder.file("v").path)
        #expect(file.vector(row: 0).map(\.bitPattern) == values.map(\.bitPattern))
        #expect(file.largestNorm.isFinite)
    }

    @Test func rowsAreFoundByTheirIds() throws {
        let folder = try TemporaryDirectory()
        let ids: [Int64] = [-5, 0, 1, 2, 9, 100, .max - 1, .max]
        try Self.write(Vectors(clustered: 8, dim: 2, seed: 3), ids: ids, as: .f32, to: folder.file("v"))
        let file = try VectorFile(path: folder.file("v").path)
        for (row, id) in ids.enumerated() { #expect(file.row(ofID: id) == row) }
        for absent: Int64 in [.min, -6, -4, 3, 8, 10, 101, .max - 2] { #expect(file.row(ofID: absent) == nil) }
        try Self.write(Vectors(values: [], dim: 2), ids: [], as: .f32, to: folder.file("empty"))
        #expect(try VectorFile(path: folder.file("empty").path).row(ofID: 1) == nil)
    }

    @Test func aWriterNeverWritesOverAFile() throws {
        let folder = try TemporaryDirectory()
        let file = try folder.write("v", Data("precious".utf8))
        #expect(throws: POSIXError.self) { _ = try VectorFileWriter(path: file.path, dim: 2, element: .f32) }
        #expect(try Data(contentsOf: file) == Data("precious".utf8))
    }

    @Test func aFileThatWasNotFinishedIsRefused() throws {
        let folder = try TemporaryDirectory()
        let vectors = Vectors(clustered: 9000, dim: 64, seed: 4)
        do {
            let writer = try VectorFileWriter(path: folder.file("v").path, dim: 64, element: .f32)
            for row in 0..<vectors.count {
                try vectors[row].withUnsafeBufferPointer { try writer.append(id: Int64(row), $0) }
            }
        }
        #expect(try Data(contentsOf: folder.file("v")).count > 1 << 20)
        Self.expectDamaged(folder.file("v"), "not finished")
    }

    // MARK: Corruption

    private static func expectDamaged(
        _ file: URL, _ what: String, code: ErrorCode = .versionDamaged,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        do {
            let read = try VectorFile(path: file.path)
            Issue.record("\(what): opened with \(read.count) vectors of \(read.dim)", sourceLocation: sourceLocation)
        } catch let error as DatastoreError {
            #expect(error.code == code, "\(what): \(error.detail)", sourceLocation: sourceLocation)
            #expect(error.detail.contains(file.lastPathComponent), sourceLocation: sourceLocation)
        } catch {
            Issue.record("\(what): \(error)", sourceLocation: sourceLocation)
        }
    }

    /// The bytes of a file of sixteen vectors of three dimensions as f32: 64 of header, 192 of vectors, 128 of ids.
    private static func sample(_ folder: TemporaryDirectory) throws -> Data {
        try write(
            Vectors(clustered: 16, dim: 3, seed: 5), ids: (0..<16).map { 1 << $0 }, as: .f32,
            to: folder.file("sample"))
        return try Data(contentsOf: folder.file("sample"))
    }

    @Test func aFileThatIsCutOrGrownIsRefused() throws {
        let folder = try TemporaryDirectory()
        let whole = try Self.sample(folder)
        for length in 0..<whole.count {
            Self.expectDamaged(try folder.write("cut", whole.prefix(length)), "\(length) of \(whole.count) bytes")
        }
        for more in [1, 8, 12, 64] {
            Self.expectDamaged(try folder.write("grown", whole + Data(repeating: 0, count: more)), "\(more) more")
        }
    }

    private static func with<Value: FixedWidthInteger>(_ data: Data, at offset: Int, _ value: Value) -> Data {
        var changed = data
        withUnsafeBytes(of: value.littleEndian) {
            changed.replaceSubrange(offset..<offset + MemoryLayout<Value>.size, with: $0)
        }
        return changed
    }

    @Test func everyFieldOfTheHeaderIsChecked() throws {
        let folder = try TemporaryDirectory()
        let whole = try Self.sample(folder)
        var cases: [(String, Data)] = []
        for byte in 0..<8 { cases.append(("magic, byte \(byte)", Self.with(whole, at: byte, whole[byte] ^ 1))) }
        cases.append(("format 0", Self.with(whole, at: 8, UInt32(0))))
        for element: UInt32 in [0, 2, 3, .max] {
            cases.append(("element \(element)", Self.with(whole, at: 12, element)))
        }
        for dim: UInt32 in [0, 2, 4, 1 << 31, .max] { cases.append(("dim \(dim)", Self.with(whole, at: 16, dim))) }
        for count: UInt64 in [0, 15, 17, 1 << 32, 1 << 60, 1 << 61, 1 << 62, 1 << 63, .max] {
            cases.append(("count \(count)", Self.with(whole, at: 24, count)))
        }
        for offset: UInt64 in [
            0, 64, 192, 255, 257, 320, 1 << 40, 1 << 62, UInt64(Int.max) - 63, 1 << 63, .max - 63, .max,
        ] {
            cases.append(("ids at \(offset)", Self.with(whole, at: 32, offset)))
        }
        for norm in [Double.nan, .infinity, -1] {
            cases.append(("largest norm \(norm)", Self.with(whole, at: 40, norm.bitPattern)))
        }
        for (what, bytes) in cases {
            #expect(bytes != whole, "\(what)")
            Self.expectDamaged(try folder.write("v", bytes), what)
        }
    }

    @Test(arguments: [UInt32(2), 3, .max])
    func aNewerFormatIsSaidToBeNewer(format: UInt32) throws {
        let folder = try TemporaryDirectory()
        let whole = try Self.sample(folder)
        Self.expectDamaged(
            try folder.write("v", Self.with(whole, at: 8, format)), "format \(format)", code: .newerFormat)
    }

    @Test func idsThatDoNotAscendAreRefused() throws {
        let folder = try TemporaryDirectory()
        let whole = try Self.sample(folder)
        let idsOffset = whole.count - 128
        for row in 1..<16 {
            let before = whole.subdata(in: idsOffset + row * 8 - 8..<idsOffset + row * 8)
            var equal = whole
            equal.replaceSubrange(idsOffset + row * 8..<idsOffset + row * 8 + 8, with: before)
            Self.expectDamaged(try folder.write("v", equal), "row \(row) as row \(row - 1)")
            let negative = Self.with(whole, at: idsOffset + row * 8, Int64(-1))
            Self.expectDamaged(try folder.write("v", negative), "row \(row) is -1")
        }
        Self.expectDamaged(try folder.write("v", Self.with(whole, at: idsOffset, Int64(2))), "row 0 as row 1")
    }

    @Test func noChangeOfTheHeaderCrashes() throws {
        let folder = try TemporaryDirectory()
        let whole = try Self.sample(folder)
        var random = SeededGenerator(seed: 6)
        let edges: [UInt8] = [0, 1, 0x7F, 0x80, 0xFF]
        for turn in 0..<3000 {
            var changed = whole
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                changed[Int.random(in: 8..<40, using: &random)] =
                    turn % 2 == 0 ? edges.randomElement(using: &random) ?? 0 : .random(in: 0...255, using: &random)
            }
            let file = try folder.write("v", changed)
            if let read = try? VectorFile(path: file.path) {
                // What opens is whole: every row can be read.
                for row in 0..<read.count { #expect(read.vector(row: row).count == read.dim) }
                #expect(read.ids.count == read.count)
            }
        }
    }

    @Test func aFileThatIsNotThereIsAnError() throws {
        let folder = try TemporaryDirectory()
        #expect(throws: (any Error).self) { _ = try VectorFile(path: folder.file("absent").path) }
    }

    @Test func vectorsStayReadableWhileTheyAreHeld() throws {
        let folder = try TemporaryDirectory()
        let vectors = Vectors(clustered: 50, dim: 7, seed: 7)
        try Self.write(vectors, ids: (0..<50).map { Int64($0) }, as: .f32, to: folder.file("v"))
        let file = try VectorFile(path: folder.file("v").path)
        try FileManager.default.removeItem(at: folder.file("v"))
        for row in 0..<50 { #expect(file.vector(row: row) == vectors[row]) }
        #expect(file.row(ofID: 49) == 49)
    }
}
