import DatastoreCore

/// The NumPy files of some of a datastore's keys, read in step with the rows.
struct VectorFiles {
    /// One for each key, in the order of the keys.
    private let readers: [NumpyReader?]

    /// Opens the files.
    ///
    /// - Parameter paths: by the names of the keys.
    /// - Throws: what `NumpyReader` throws; `unknown_key`, or `invalid_value` for a sparse key; `vector_dim_mismatch`
    ///   when a file has another dim than its key; `rows_vectors_mismatch` when two files are not of one length.
    init(_ paths: [String: String], keys: [KeySpec], pool: VectorPooling, chunkSize: Int) throws {
        for name in paths.keys.sorted() where !keys.contains(where: { $0.name == name }) {
            throw DatastoreError(
                .unknownKey,
                "got a file of vectors for the key \"\(name.prefix(80))\", expected one of "
                    + keys.map(\.name).joined(separator: ", "))
        }
        readers = try keys.map { key in
            guard let path = paths[key.name] else { return nil }
            guard key.kind == .dense else {
                throw DatastoreError(
                    .invalidValue,
                    "got a file of vectors for the key \"\(key.name)\", which is sparse; its weights stand in rows")
            }
            let reader = try NumpyReader(path: path, pool: pool, chunkSize: chunkSize)
            guard reader.dim == key.dim else {
                throw DatastoreError(
                    .vectorDimMismatch,
                    "\(reader.name): got vectors of \(reader.dim) numbers, expected \(key.dim) (key \(key.name))")
            }
            return reader
        }
        let opened = readers.compactMap { $0 }
        if let first = opened.first, let other = opened.first(where: { $0.rows != first.rows }) {
            throw DatastoreError(
                .rowsVectorsMismatch,
                "\(first.name) has \(first.rows) vectors, \(other.name) has \(other.rows) vectors; expected one vector "
                    + "for each row in both, in the same order")
        }
    }

    /// Rows that each of them has; nil when there are none.
    var rows: Int? { readers.lazy.compactMap(\.?.rows).first }

    /// What they have, for messages.
    var description: String {
        let names = readers.compactMap(\.?.name)
        return "\(names.joined(separator: " and ")) \(names.count == 1 ? "has" : "have") \(rows ?? 0) vectors"
    }

    func areHalfPrecision(key index: Int) -> Bool {
        guard readers.indices.contains(index), let reader = readers[index] else { return false }
        return reader.elementType == .f16 && !reader.isPooled
    }

    /// The vectors of the next row, one for each key that has a file; nil behind the last row.
    ///
    /// - Throws: what `NumpyReader.next()` throws.
    func next() throws -> [[Float]?]? {
        var vectors: [[Float]?] = []
        vectors.reserveCapacity(readers.count)
        for reader in readers {
            guard let reader else {
                vectors.append(nil)
                continue
            }
            guard let vector = try reader.next() else { return nil }
            vectors.append(vector)
        }
        return vectors
    }
}
