internal import CFaiss

/// An index being filled. It has one owner, so nothing can be added once it is frozen.
///
/// ```swift
/// var builder = try VectorIndexBuilder(dim: 384)
/// try builder.add(rows)            // row-major, normalised by the caller where the metric is cosine
/// let index = builder.freeze()
/// ```
package struct VectorIndexBuilder: ~Copyable {
    private let handle: OpaquePointer

    /// An empty inner-product index.
    ///
    /// - Parameters:
    ///   - description: as FAISS's index factory reads it; `Flat` is exact.
    ///   - capacity: vectors that will be added; with it, memory is taken once.
    package init(dim: Int, description: String = "Flat", capacity: Int = 0) throws(FaissError) {
        guard dim > 0 else { throw FaissError(kind: .refused, message: "got \(dim) dimensions, expected 1 or more") }
        var made: OpaquePointer?
        try FaissError.check { cfaiss_index_create(Int32(clamping: dim), description, &made, $0) }
        guard let made else { throw FaissError(kind: .unexpected, message: "no index was made") }
        do throws(FaissError) {
            try FaissError.check { cfaiss_index_reserve(made, Int64(capacity), $0) }
        } catch {
            cfaiss_index_free(made)
            throw error
        }
        handle = made
    }

    deinit {
        cfaiss_index_free(handle)
    }

    /// Adds whole vectors, row-major. The rows are numbered in the order they come, from 0.
    ///
    /// - Throws: `FaissError` when the count is not a whole number of vectors or memory runs out.
    package mutating func add(_ vectors: UnsafeBufferPointer<Float>) throws(FaissError) {
        let dim = Int(cfaiss_index_dim(handle))
        guard dim > 0, vectors.count % dim == 0 else {
            throw FaissError(kind: .refused, message: "got \(vectors.count) numbers, expected a multiple of \(dim)")
        }
        guard let base = vectors.baseAddress else { return }
        let handle = handle
        try FaissError.check { cfaiss_index_add(handle, Int64(vectors.count / dim), base, $0) }
    }

    /// Learns lists and codes from whole vectors, row-major; the same vectors always teach the same. Needed before adding
    /// where the description has lists or codes.
    package mutating func train(_ vectors: UnsafeBufferPointer<Float>) throws(FaissError) {
        let dim = Int(cfaiss_index_dim(handle))
        guard dim > 0, vectors.count % dim == 0, let base = vectors.baseAddress else {
            throw FaissError(kind: .refused, message: "got \(vectors.count) numbers, expected a multiple of \(dim)")
        }
        let handle = handle
        try FaissError.check { cfaiss_index_train(handle, Int64(vectors.count / dim), base, $0) }
    }

    /// How many candidates a graph keeps while it looks for the neighbours of what is added.
    package mutating func setEfConstruction(_ count: Int) {
        cfaiss_index_set_ef_construction(handle, Int32(clamping: count))
    }

    /// Ends the filling; the index is read-only from here on.
    package consuming func freeze() -> VectorIndex {
        let index = VectorIndex(owning: handle)
        discard self
        return index
    }
}
