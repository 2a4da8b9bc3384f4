import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// Vectors taken out of index files: every row where its id says, and what is no such file said plainly.
struct IndexFileReaderTests {
    private let folder: TemporaryDirectory
    private var index: URL { folder.file("captions.index") }
    private var output: URL { folder.file("vectors.npy") }

    init() throws {
        folder = try TemporaryDirectory()
    }

    /// More rows than are read at a time.
    private static let vectors = Vectors(clustered: 5000, dim: 16, seed: 7)

    private func extract() throws -> (summary: IndexFileReader.Summary, vectors: Vectors) {
        let summary = try IndexFileReader.extractVectors(from: index.path, to: output.path)
        return (summary, try Vectors(npy: output))
    }

    private func refusal(_ code: ErrorCode, _ parts: String...) throws {
        let error = #expect(throws: DatastoreError.self) {
            try IndexFileReader.extractVectors(from: index.path, to: output.path)
        }
        #expect(error?.code == code)
        let detail = error?.detail ?? ""
        #expect(detail.hasPrefix("captions.index: "), "\(detail)")
        for part in parts { #expect(detail.contains(part), "\(detail)") }
        #expect(!detail.contains(folder.url.path) && !detail.contains(".cpp"), "\(detail)")
        #expect(!FileManager.default.fileExists(atPath: output.path))
        #expect(!FileManager.default.fileExists(atPath: IndexFileReader.partialPath(of: output.path)))
    }

    @Test(arguments: [
        ("Flat", TestIndex.Metric.innerProduct, "IndexFlatIP"), ("Flat", .l2, "IndexFlatL2"),
        ("IVF8,Flat", .innerProduct, "IndexIVFFlat"), ("IVF8,Flat", .l2, "IndexIVFFlat"),
        ("HNSW8,Flat", .l2, "IndexHNSWFlat"), ("NSG8,Flat", .l2, "IndexNSGFlat"),
        ("IVF8_HNSW8,Flat", .l2, "IndexIVFFlat"), ("SQ8,RFlat", .l2, "IndexRefineFlat(IndexFlatL2)"),
    ])
    func exactIndexesGiveBackEveryVector(factory: String, metric: TestIndex.Metric, kind: String) throws {
        try TestIndex.write(Self.vectors, as: factory, metric: metric, to: index)
        let (summary, vectors) = try extract()
        #expect(summary.rows == 5000)
        #expect(summary.dim == 16)
        #expect(summary.metric == (metric == .l2 ? "l2" : "inner_product"))
        #expect(summary.kind == kind)
        #expect(summary.isExact)
        #expect(vectors == Self.vectors)
    }

    @Test func theIndexOfAVersionGivesBackItsVectors() throws {
        var builder = try VectorIndexBuilder(dim: 16)
        try Self.vectors.values.withUnsafeBufferPointer { try builder.add($0) }
        try builder.freeze().write(to: index.path)
        #expect(try extract().vectors == Self.vectors)
    }

    @Test func theFileIsWhatNumpyWrites() throws {
        let few = Vectors(values: [1, -2, 3.5, 4, 5, 6], dim: 3)
        try TestIndex.write(few, as: "Flat", to: index)
        _ = try IndexFileReader.extractVectors(from: index.path, to: output.path)
        #expect(try Data(contentsOf: output) == few.npy())
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).count == 2)
    }

    @Test(
        arguments: ["IDMap,Flat", "IDMap2,Flat", "IVF8,Flat", "IDMap,HNSW8,Flat", "IDMap2,IVF8,Flat"],
        [false, true])
    func rowsComeInTheOrderOfIds(factory: String, shuffled: Bool) throws {
        var random = SeededGenerator(seed: 3)
        let rows = (0..<Self.vectors.count).map(Int64.init)
        let ids = shuffled ? rows.shuffled(using: &random) : rows
        var expected = Self.vectors
        for (row, id) in ids.enumerated() {
            expected.values.replaceSubrange(Int(id) * 16..<Int(id + 1) * 16, with: Self.vectors[row])
        }
        try TestIndex.write(Self.vectors, as: factory, ids: ids, to: index)
        let (summary, vectors) = try extract()
        #expect(summary.isExact)
        #expect(vectors == expected)
    }

    @Test(
        arguments: ["IDMap,Flat", "IVF1,Flat"],
        [([0, 1, 3], "got 3"), ([1, 2, 3], "got 3"), ([0, 1, 1], "got 1 twice"), ([0, -1, 2], "got -1")])
    func idsThatNameNoRowsAreRefused(factory: String, fault: (ids: [Int64], got: String)) throws {
        let vectors = Vectors(values: [1, 0, 0, 1, 1, 1], dim: 2)
        try TestIndex.write(vectors, as: factory, ids: fault.ids, to: index)
        try refusal(.indexFileInvalid, "its ids are not the numbers 0 to 2", fault.got)
    }

    @Test(arguments: [
        ("SQfp16", "IndexScalarQuantizer", 0.001), ("SQ8", "IndexScalarQuantizer", 0.02),
        ("IVF8,SQ8", "IndexIVFScalarQuantizer", 0.02), ("PQ8x4", "IndexPQ", 1.5), ("HNSW8,SQ8", "IndexHNSWSQ", 0.02),
        ("RR16,Flat", "IndexPreTransform(IndexFlatIP)", 0.0001),
        ("PCA8,Flat", "IndexPreTransform(IndexFlatIP)", 2),
        ("RR16,IDMap2,Flat", "IndexPreTransform(IndexIDMap2(IndexFlatIP))", 0.0001),
    ])
    func likenessesAreSaidToBeNotExact(factory: String, kind: String, tolerance: Float) throws {
        let few = Vectors(clustered: 500, dim: 16, seed: 7)
        try TestIndex.write(few, as: factory, to: index)
        let (summary, vectors) = try extract()
        #expect(!summary.isExact)
        #expect(summary.kind == kind)
        #expect(vectors.count == 500)
        let furthest = zip(vectors.values, few.values).map { abs($0 - $1) }.max() ?? .infinity
        #expect(furthest < tolerance)
    }

    @Test func whatIsNoIndexIsNamed() throws {
        let page = "\n <!DOCTYPE html><html><body>Sign in</body></html>"
        for (content, code, part) in [
            ("", ErrorCode.indexFileInvalid, "the file is empty"),
            ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", .lfsPointer, "git lfs pull"),
            (page, .htmlPage, "HTML page"), ("<html>", .htmlPage, "HTML page"),
            ("IBxF\u{8}\0\0\0", .indexFileInvalid, "binary vectors"),
            ("{\"caption\": 1}", .indexFileInvalid, "starts with \"{\\\"captio\""),
            ("IxZZ", .indexFileInvalid, "not recognized"),
        ] {
            _ = try folder.write("captions.index", Data(content.utf8))
            try refusal(code, part)
        }
        try FileManager.default.removeItem(at: index)
        try refusal(.sourceUnreadable, "No such file")
        try FileManager.default.createDirectory(at: index, withIntermediateDirectories: false)
        try refusal(.sourceUnreadable, "not a regular file")
    }

    @Test func anIndexWithoutVectorsIsRefused() throws {
        try TestIndex.write(Vectors(values: [], dim: 4), as: "Flat", to: index)
        try refusal(.indexFileInvalid, "it has no vectors")
    }

    @Test func aFileThatEndsTooEarlyIsRefused() throws {
        try TestIndex.write(Vectors(clustered: 50, dim: 4, seed: 1), as: "Flat", to: index)
        let whole = try Data(contentsOf: index)
        for count in [1, 4, 20, 40, whole.count / 2, whole.count - 1] {
            _ = try folder.write("captions.index", whole.prefix(count))
            try refusal(.indexFileInvalid)
        }
    }

    @Test func listsInAnotherFileAreRefused() throws {
        try TestIndex.write(Self.vectors, as: "IVF8,Flat", lists: folder.file("lists"), to: index)
        try refusal(.indexFileInvalid, "its vectors are in another file")
    }

    @Test func vectorsFarLargerThanTheFileAreRefused() throws {
        let wide = Vectors(clustered: 600, dim: 2048, seed: 2)
        try TestIndex.write(wide, as: "PQ1x1", to: index)
        try refusal(.indexFileInvalid, "64 times the file's size")
    }

    @Test func anOldFileIsReplacedAndAnUnfinishedOneIsNot() throws {
        _ = try folder.write("vectors.npy", Data("old".utf8))
        _ = try folder.write("vectors.npy.partial", Data(repeating: 1, count: 1 << 20))
        try TestIndex.write(Self.vectors, as: "Flat", to: index)
        #expect(try extract().vectors == Self.vectors)
        #expect(throws: CancellationError.self) {
            try IndexFileReader.extractVectors(from: index.path, to: output.path) { size in
                #expect(size == 5000 * 16 * 4 + 45)
                throw CancellationError()
            }
        }
        #expect(try Vectors(npy: output) == Self.vectors)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).count == 2)
    }

    @Test func limitsGrowWithTheFileUpToTheirCap() {
        let small = IndexFileLimits(fileSize: 1 << 20)
        #expect(small.memoryBytes == 3 << 20 + 2 << 30)
        #expect(small.cpuSeconds == 600)
        #expect(small.wallClock == .seconds(1200))
        let large = IndexFileLimits(fileSize: 16 << 30, memoryCap: 8 << 30)
        #expect(large.memoryBytes == 8 << 30)
        #expect(large.cpuSeconds == 1624)
        #expect(large.outputBytes == 1 << 40 + 4096)
        #expect(IndexFileLimits(fileSize: .max).memoryBytes == .max)
    }
}
