import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// The file of original sparse vectors: what goes in comes out, and what does not belong is refused.
struct SparseVectorFileTests {
    private static func write(
        _ vectors: [SparseVector], ids: [Int64], terms: Int, to file: URL
    ) throws -> SparseVectorFile {
        let writer = try SparseVectorFileWriter(path: file.path, terms: terms)
        for (id, vector) in zip(ids, vectors) { try writer.append(id: id, vector) }
        try writer.finish()
        return try SparseVectorFile(path: file.path)
    }

    // Beside the small ones one beyond the writer's buffer of 1 MiB.
    @Test(arguments: [(0, 1), (1, 1), (3, 7), (200, 5000), (6000, 30_000)])
    func whatIsWrittenIsReadBack(shape: (count: Int, terms: Int)) throws {
        let folder = try TemporaryDirectory()
        var random = SeededGenerator(seed: 1)
        let vectors = (0..<shape.count).map { _ in
            SparseWeights.extreme.vector(
                terms: shape.terms, count: Int.random(in: 0...60, using: &random), negative: true, &random)
        }
        let ids = (0..<shape.count).map { Int64($0 * 3 - 7) }
        let file = try Self.write(vectors, ids: ids, terms: shape.terms, to: folder.file("v"))
        #expect(file.count == shape.count)
        #expect(file.terms == shape.terms)
        #expect(file.weightCount == vectors.reduce(0) { $0 + $1.count })
        #expect(Array(file.ids) == ids)
        for row in 0..<shape.count { #expect(file.vector(row: row) == vectors[row]) }
    }

    @Test func rowsAreFoundByTheirIds() throws {
        let folder = try TemporaryDirectory()
        let ids: [Int64] = [.min, -5, 0, 1, 9, .max]
        let file = try Self.write(ids.map { _ in .empty }, ids: ids, terms: 1, to: folder.file("v"))
        for (row, id) in ids.enumerated() { #expect(file.row(ofID: id) == row) }
        for absent: Int64 in [.min + 1, -4, 2, 8, 10, .max - 1] { #expect(file.row(ofID: absent) == nil) }
    }

    @Test func termsThatTheVocabularyDoesNotHaveAreRefused() throws {
        let folder = try TemporaryDirectory()
        let writer = try SparseVectorFileWriter(path: folder.file("v").path, terms: 10)
        try writer.append(id: 1, SparseVector(indices: [9], values: [1]))
        for index: UInt32 in [10, .max] {
            let error = #expect(throws: DatastoreError.self) {
                try writer.append(id: 2, SparseVector(indices: [1, index], values: [1, 1]))
            }
            #expect(error?.code == .unknownTerm)
            #expect(error?.detail.contains("entry 2") == true)
        }
        // What was refused is not in the file.
        try writer.append(id: 3, SparseVector(indices: [2], values: [5]))
        try writer.finish()
        let file = try SparseVectorFile(path: folder.file("v").path)
        #expect(Array(file.ids) == [1, 3])
        #expect(file.vector(row: 1) == (try SparseVector(indices: [2], values: [5])))
    }

    @Test(arguments: [0, -1, (1 << 24) + 1])
    func aVocabularyOfNoneOrTooManyIsRefused(terms: Int) throws {
        let folder = try TemporaryDirectory()
        let error = #expect(throws: DatastoreError.self) {
            _ = try SparseVectorFileWriter(path: folder.file("v").path, terms: terms)
        }
        #expect(error?.code == .invalidValue)
        #expect(!FileManager.default.fileExists(atPath: folder.file("v").path))
    }

    @Test func aWriterNeverWritesOverAFile() throws {
        let folder = try TemporaryDirectory()
        let file = try folder.write("v", Data("precious".utf8))
        #expect(throws: POSIXError.self) { _ = try SparseVectorFileWriter(path: file.path, terms: 2) }
        #expect(throws: POSIXError.self) { try VocabularyWriter.write(["a"], to: file.path) }
        let vectors = try Self.write([], ids: [], terms: 1, to: folder.file("other"))
        #expect(throws: POSIXError.self) { try PostingsWriter.write(vectors, to: file.path) }
        #expect(try Data(contentsOf: file) == Data("precious".utf8))
    }

    @Test func aFileThatWasNotFinishedIsRefused() throws {
        let folder = try TemporaryDirectory()
        let vector = SparseVector(ascending: Array(0..<1000), values: [Float](repeating: 1, count: 1000))
        do {
            let writer = try SparseVectorFileWriter(path: folder.file("v").path, terms: 1000)
            for id in 0..<300 { try writer.append(id: Int64(id), vector) }
        }
        #expect(try Data(contentsOf: folder.file("v")).count > 1 << 20)
        let error = #expect(throws: DatastoreError.self) { _ = try SparseVectorFile(path: folder.file("v").path) }
        #expect(error?.code == .versionDamaged)
    }
}
