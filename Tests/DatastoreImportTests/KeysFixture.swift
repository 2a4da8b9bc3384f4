import DatastoreCore
import DatastoreImport
import TestSupport
import Testing

/// Reads rows of a datastore with two dense keys and a sparse one.
struct KeysFixture {
    let folder: TemporaryDirectory
    var keys = [
        KeySpec(name: "lexical", terms: 8, pruning: SparsePruning(threshold: 0)),
        KeySpec(name: "text", dim: 2, metric: .cosine),
        KeySpec(name: "image", dim: 3, metric: .innerProduct),
    ]
    /// Words of `lexical`, at their places.
    var words: [String]? = ["cat", "dog", "indices", "values", "a\"b", "é"]
    var wordless: Set<String> = []
    var encodes: Set<String> = []
    var options = ImportOptions(format: .ndjson)
    var chunkSize = ByteSource.defaultChunkSize

    init() throws {
        folder = try TemporaryDirectory()
    }

    private var termIndex: TermIndex? {
        guard let words else { return nil }
        return { key, term in
            guard key == "lexical", let place = words.firstIndex(where: { $0.utf8.elementsEqual(term.utf8) }) else {
                return nil
            }
            return UInt32(place)
        }
    }

    /// - Parameter vectors: files of vectors by key.
    func reader(bytes: [UInt8], _ vectors: [String: NumpyFixture] = [:]) throws -> ImportReader {
        var paths: [String: String] = [:]
        for (key, fixture) in vectors { paths[key] = try folder.write("\(key).npy", fixture.bytes) }
        return try ImportReader(
            rowsPath: try folder.write("rows", bytes), vectors: paths, keys: keys, termIndex: termIndex,
            wordless: wordless,
            options: options, encodes: encodes, chunkSize: chunkSize)
    }

    func reader(_ lines: [String], _ vectors: [String: NumpyFixture] = [:]) throws -> ImportReader {
        try reader(bytes: Array(lines.joined(separator: "\n").utf8), vectors)
    }

    /// The one record of a line.
    func record(_ line: String, _ vectors: [String: NumpyFixture] = [:]) throws -> ImportRecord {
        let (records, error) = try reader([line], vectors).readAll()
        if let error { throw error }
        #expect(records.count == 1)
        return try #require(records.first)
    }
}

extension NumpyFixture {
    /// A file of three axes.
    init(stacks: [[[Float]]], vectorsPerRow: Int, dim: Int, type: NumpyElementType = .f32) {
        self.init(rows: stacks.flatMap { $0 }, dim: dim, type: type)
        shape = "(\(stacks.count), \(vectorsPerRow), \(dim))"
    }
}

extension KeyVector {
    var weights: SparseVector? {
        if case .sparse(let vector) = self { vector } else { nil }
    }
}
