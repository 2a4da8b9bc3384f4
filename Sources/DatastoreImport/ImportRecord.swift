package import DatastoreCore

/// What an importer makes of one row of its source.
package enum ImportRecord: Sendable, Equatable {
    case row(ImportRow)
    case reject(RejectedRow)
}

/// A row that can become an entry.
package struct ImportRow: Sendable, Equatable {
    /// Number of the row among the rows of the source, from 1; row n has the nth vector.
    package let row: Int
    /// Line of the rows file on which it begins, from 1.
    package let line: Int
    /// Byte of the rows file, inflated, at which it begins, from 0.
    package let byte: Int
    package let fields: EntryFields
    /// One for each key, in the order of the keys; nil when an encoder is to make it, which is never so of a sparse key.
    ///
    /// Dense: as many finite numbers as the key has dimensions, not normalised; not all zero when the metric is cosine.
    /// Sparse: terms of the key's vocabulary, pruned as the key says; there may be none.
    package let vectors: [KeyVector?]

    package init(row: Int, line: Int, byte: Int, fields: EntryFields, vectors: [KeyVector?]) {
        self.row = row
        self.line = line
        self.byte = byte
        self.fields = fields
        self.vectors = vectors
    }

    /// A row of a datastore that has one key, a dense one.
    package init(row: Int, line: Int, byte: Int, fields: EntryFields, vector: [Float]?) {
        self.init(row: row, line: line, byte: byte, fields: fields, vectors: [vector.map(KeyVector.dense)])
    }

    /// The vector of the first dense key.
    package var vector: [Float]? {
        for vector in vectors {
            switch vector {
            case nil: return nil
            case .dense(let values): return values
            case .sparse: continue
            }
        }
        return nil
    }
}

/// Place of a word in the vocabulary of a sparse key; nil for a word that it does not have.
package typealias TermIndex = @Sendable (_ key: String, _ term: String) -> UInt32?
