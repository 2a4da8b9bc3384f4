package import DatastoreCore
import VectorIndex

/// An entry to be put, with its original vectors in the order of the datastore's keys, or one to be taken away.
package struct PendingEntry: Sendable, Hashable {
    /// Of a deletion the ids only.
    package var entry: Entry
    /// None of a deletion.
    package var vectors: [PendingVector]
    package private(set) var isDeletion = false
    /// Number of the change, where it was read from the pending changes.
    package var sequence: Int64 = 0

    package init(entry: Entry, vectors: [PendingVector]) {
        self.entry = entry
        self.vectors = vectors
    }

    /// Takes an entry away.
    ///
    /// - Parameter externalID: that of the entry: from here on it is free for another.
    package static func deletion(of id: Int64, externalID: String?) -> PendingEntry {
        var pending = PendingEntry(
            entry: Entry(id: id, fields: EntryFields(externalID: externalID, text: "")), vectors: [])
        pending.isDeletion = true
        return pending
    }

    /// An entry of a datastore with one dense key.
    package init(entry: Entry, vector: [Float], isHalfPrecision: Bool) {
        self.init(entry: entry, vectors: [PendingVector(.dense(vector), isHalfPrecision: isHalfPrecision)])
    }

    /// The first vector's numbers.
    package var vector: [Float] { vectors.first?.vector.numbers ?? [] }
}

/// An original vector of a pending entry.
package struct PendingVector: Sendable, Hashable {
    package var vector: KeyVector
    /// Whether every component is exactly an IEEE half float, so that it may be stored as one. Dense vectors only.
    package var isHalfPrecision: Bool

    package init(_ vector: KeyVector, isHalfPrecision: Bool) {
        self.vector = vector
        self.isHalfPrecision = isHalfPrecision
    }
}

/// How the vectors of a pending entry lie in their file: a word for each, such as `h512 f384 s`.
///
/// A dense vector is its numbers, of 16 or 32 bits; a sparse one its count of terms, their indices and their weights, of
/// 32 bits each. All little-endian.
package struct PendingLayout: Sendable, Hashable {
    package enum Part: Sendable, Hashable {
        case dense(dim: Int, half: Bool)
        case sparse
    }

    package var parts: [Part]

    package init(_ vectors: [PendingVector]) {
        parts = vectors.map { vector in
            switch vector.vector {
            case .dense(let values): .dense(dim: values.count, half: vector.isHalfPrecision)
            case .sparse: .sparse
            }
        }
    }

    init(parts: [Part]) {
        self.parts = parts
    }

    init?(word text: String) {
        parts = []
        for word in text.split(separator: " ") {
            if word == "s" {
                parts.append(.sparse)
            } else if let first = word.first, first == "f" || first == "h", let dim = Int(word.dropFirst()),
                (1...KeySpec.maximumDim).contains(dim)
            {
                parts.append(.dense(dim: dim, half: first == "h"))
            } else {
                return nil
            }
        }
    }

    var text: String {
        parts.map { part in
            switch part {
            case .dense(let dim, let half): "\(half ? "h" : "f")\(dim)"
            case .sparse: "s"
            }
        }.joined(separator: " ")
    }

    /// Bytes that the vectors of entries take, about: a sparse one's count is not in it.
    static func size(_ entries: [PendingEntry]) -> Int {
        entries.reduce(0) { sum, entry in
            entry.vectors.reduce(sum) { sum, vector in
                switch vector.vector {
                case .dense(let values): sum + values.count * (vector.isHalfPrecision ? 2 : 4)
                case .sparse(let sparse): sum + sparse.count * 8
                }
            }
        }
    }

    /// The vectors end to end.
    static func bytes(_ vectors: [PendingVector], into bytes: inout [UInt8]) {
        for vector in vectors {
            switch vector.vector {
            case .dense(let values) where vector.isHalfPrecision:
                VectorMath.halves(values).withUnsafeBytes { bytes += $0 }
            case .dense(let values): values.withUnsafeBytes { bytes += $0 }
            case .sparse(let sparse):
                withUnsafeBytes(of: UInt32(sparse.count)) { bytes += $0 }
                sparse.indices.withUnsafeBytes { bytes += $0 }
                sparse.values.withUnsafeBytes { bytes += $0 }
            }
        }
    }

    /// The vectors that `bytes` hold; nil when they do not fit.
    func vectors(_ bytes: UnsafeRawBufferPointer) -> [PendingVector]? {
        var offset = 0
        func take<T>(_ count: Int, _ type: T.Type) -> [T]? {
            let size = count * MemoryLayout<T>.stride
            guard count >= 0, size <= bytes.count - offset else { return nil }
            defer { offset += size }
            return [T](unsafeUninitializedCapacity: count) { buffer, filled in
                UnsafeMutableRawBufferPointer(buffer).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + size]))
                filled = count
            }
        }
        var vectors: [PendingVector] = []
        for part in parts {
            switch part {
            case .dense(let dim, let half):
                if half {
                    guard let values = take(dim, UInt16.self) else { return nil }
                    vectors.append(PendingVector(.dense(VectorMath.floats(halves: values)), isHalfPrecision: true))
                } else {
                    guard let values = take(dim, Float.self) else { return nil }
                    vectors.append(PendingVector(.dense(values), isHalfPrecision: false))
                }
            case .sparse:
                guard let count = take(1, UInt32.self)?.first, let indices = take(Int(count), UInt32.self),
                    let values = take(Int(count), Float.self),
                    let sparse = try? SparseVector(indices: indices, values: values)
                else { return nil }
                vectors.append(PendingVector(.sparse(sparse), isHalfPrecision: false))
            }
        }
        return offset == bytes.count ? vectors : nil
    }
}
