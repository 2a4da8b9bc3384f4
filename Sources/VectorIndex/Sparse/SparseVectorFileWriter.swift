package import DatastoreCore

/// Writes a file of sparse vectors row by row; `SparseVectorFile` has the format.
///
/// Not thread-safe: one writer, one thread. Bytes are buffered, 16 of each row stay in memory until `finish()`.
package final class SparseVectorFileWriter {
    private let file: BufferedFile
    private let terms: Int
    private var ids: [Int64] = []
    private var offsets: [UInt64] = [0]

    /// - Parameter terms: of the vocabulary; every index is below.
    package init(path: String, terms: Int) throws {
        guard (1...SparseVectorFile.maximumTerms).contains(terms) else {
            throw DatastoreError(
                .invalidValue, "got a vocabulary of \(terms) terms, expected 1 to \(SparseVectorFile.maximumTerms)")
        }
        self.terms = terms
        file = try BufferedFile(path: path, headerSize: FileHeader.size)
    }

    /// Appends one vector, which may be empty. Ids must ascend.
    ///
    /// - Throws: `unknown_term` for an index that the vocabulary does not have; nothing is appended then.
    package func append(id: Int64, _ vector: SparseVector) throws {
        precondition(ids.last.map { $0 < id } ?? true)
        if let last = vector.indices.last, last >= terms {
            throw DatastoreError(
                .unknownTerm, "entry \(id): got index \(last), expected less than \(terms), the terms of the vocabulary"
            )
        }
        try file.append(vector.indices)
        try file.append(vector.values)
        ids.append(id)
        offsets.append((offsets.last ?? 0) + UInt64(vector.count))
    }

    /// Writes offsets, ids and header, and syncs.
    package func finish() throws {
        try file.append(offsets)
        try file.append(ids)
        try file.finish(
            header: SparseVectorFile.header.bytes([terms, ids.count, Int(offsets.last ?? 0)]))
    }
}
