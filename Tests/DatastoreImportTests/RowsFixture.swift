import DatastoreCore
import DatastoreImport
import TestSupport
import Testing

/// Reads one file of rows after the other, without vectors.
struct RowsFixture {
    let folder: TemporaryDirectory
    let key = KeySpec(name: "text", dim: 2, metric: .cosine)

    init() throws {
        folder = try TemporaryDirectory()
    }

    /// A reader of a file with this content; `vectors` makes a NumPy file beside it.
    func reader(
        _ bytes: [UInt8], _ options: ImportOptions = ImportOptions(), vectors: Int? = nil,
        maximumRowBytes: Int = LineReader.defaultMaximumLineBytes, chunkSize: Int = ByteSource.defaultChunkSize
    ) throws -> ImportReader {
        let vectorsPath = try vectors.map { count in
            let rows = (0..<count).map { [Float($0 + 1), 1] }
            return try folder.write("vectors.npy", NumpyFixture(rows: rows, dim: 2).bytes)
        }
        return try ImportReader(
            rowsPath: try folder.write("rows", bytes), vectorsPath: vectorsPath, key: key, options: options,
            encodes: true, maximumRowBytes: maximumRowBytes, chunkSize: chunkSize)
    }

    /// What a whole file is read as, in the form that is expected.
    func records(
        _ text: String, _ options: ImportOptions = ImportOptions(), as format: ImportFormat? = nil,
        vectors: Int? = nil, maximumRowBytes: Int = LineReader.defaultMaximumLineBytes
    ) throws -> [ImportRecord] {
        let reader = try reader(Array(text.utf8), options, vectors: vectors, maximumRowBytes: maximumRowBytes)
        if let format { #expect(reader.format == format) }
        var records: [ImportRecord] = []
        while let record = try reader.next() { records.append(record) }
        #expect(reader.rowsSeen == records.count)
        #expect(reader.bytesRead == reader.totalBytes)
        return records
    }

    /// The fields of a file of which every row is accepted.
    func fields(
        _ text: String, _ options: ImportOptions = ImportOptions(), as format: ImportFormat? = nil
    ) throws -> [EntryFields] {
        let records = try records(text, options, as: format)
        #expect(records.compactMap(\.reject) == [])
        return records.compactMap(\.row?.fields)
    }

    /// The error that keeps a file from being read.
    func error(_ text: String, _ options: ImportOptions = ImportOptions(), vectors: Int? = nil) -> DatastoreError? {
        error(Array(text.utf8), options, vectors: vectors)
    }

    func error(_ bytes: [UInt8], _ options: ImportOptions = ImportOptions(), vectors: Int? = nil) -> DatastoreError? {
        datastoreError {
            let reader = try reader(bytes, options, vectors: vectors)
            while try reader.next() != nil {}
        }
    }
}
