internal import CFaiss
package import DatastoreCore

/// A frozen FAISS index. Its ids are row numbers.
///
/// `@unchecked Sendable`: nothing can be added once it exists, and FAISS searches of an index that does not change
/// are thread-safe on the CPU (FAISS wiki, "Threads and asynchronous calls").
package final class VectorIndex: @unchecked Sendable {
    private let handle: OpaquePointer

    init(owning handle: OpaquePointer) {
        self.handle = handle
    }

    deinit {
        cfaiss_index_free(handle)
    }

    /// Reads an index file that this release wrote and whose checksum was checked.
    ///
    /// - Throws: `FaissError` when the file cannot be read or is no index.
    package convenience init(contentsOf path: String) throws(FaissError) {
        var read: OpaquePointer?
        try FaissError.check { cfaiss_index_read(path, &read, $0) }
        guard let read else { throw FaissError(kind: .unexpected, message: "no index was read") }
        self.init(owning: read)
    }

    /// Keeps FAISS and its BLAS from starting threads: parallelism is across queries. Called once at start.
    package static func useCallersThreadsOnly() {
        cfaiss_use_callers_threads_only()
    }

    /// The release of FAISS, for manifests.
    package static var faissVersion: String { String(cString: cfaiss_version()) }

    /// Vectors in the index.
    package var count: Int { Int(cfaiss_index_count(handle)) }

    /// Components of each vector.
    package var dim: Int { Int(cfaiss_index_dim(handle)) }

    // MARK: Graphs

    /// What its graph looks like; no links for another index.
    var graphShape: cfaiss_graph_shape {
        var shape = cfaiss_graph_shape()
        cfaiss_index_graph_shape(handle, &shape)
        return shape
    }

    /// Levels above the lowest that a row of a graph is in.
    func graphLevel(of row: Int) -> Int {
        precondition((0..<count).contains(row) && graphShape.links > 0)
        return Int(cfaiss_index_graph_level(handle, Int64(row)))
    }

    /// Fills in the neighbours of a row of a graph, as many as its level has; 2³² − 1 behind the last.
    func graphNeighbours(of row: Int, level: Int, _ neighbours: UnsafeMutablePointer<UInt32>) {
        precondition((0..<count).contains(row) && level <= graphLevel(of: row))
        cfaiss_index_graph_neighbours(handle, Int64(row), Int32(level), neighbours)
    }

    // MARK: Files and searches

    package func write(to path: String) throws(FaissError) {
        try FaissError.check { cfaiss_index_write(handle, path, $0) }
    }

    /// The instructions that our kernels use on this machine, for reports.
    package static var instructions: String { String(cString: cfaiss_instructions()) }

    /// The processors that OpenBLAS multiplies matrices for, for reports.
    package static var blasCore: String { String(cString: cfaiss_blas_core()) }

    /// All that kernels can use somewhere, the best last.
    package static let allInstructions = ["portable", "AVX2", "AVX-512", "AVX-512 VNNI"]

    /// Makes all kernels of this process use other instructions from now on, nil for the best again: for tests and
    /// benchmarks.
    ///
    /// - Returns: whether this processor has them.
    @discardableResult
    package static func useInstructions(_ name: String?) -> Bool { cfaiss_use_instructions(name) == 0 }

    /// The rows with the largest inner products, best first; equal scores in no set order. Blocks the caller.
    ///
    /// - Parameters:
    ///   - query: `dim` numbers.
    ///   - effort: how far to look; what it leaves open is the least.
    ///   - allowed: the rows that may be found; nil for all. A graph refuses it.
    ///   - scores: filled; its count is the number of rows wanted, at most `count`.
    ///   - rows: filled; as many as `scores`, −1 where fewer are found.
    package func search(
        _ query: UnsafeBufferPointer<Float>, effort: SearchEffort = SearchEffort(), among allowed: RowSet? = nil,
        scores: UnsafeMutableBufferPointer<Float>, rows: UnsafeMutableBufferPointer<Int64>
    ) throws(FaissError) {
        guard query.count == dim, let query = query.baseAddress else {
            throw FaissError(kind: .refused, message: "got a query of \(query.count) numbers, expected \(dim)")
        }
        guard scores.count == rows.count, scores.count <= count else {
            throw FaissError(
                kind: .refused, message: "got room for \(scores.count) scores and \(rows.count) rows of \(count)")
        }
        guard !scores.isEmpty, let scoresBase = scores.baseAddress, let rowsBase = rows.baseAddress else { return }
        func search(_ bits: UnsafeRawBufferPointer?) throws(FaissError) {
            var settings = cfaiss_effort(
                ef_search: Int32(clamping: effort.efSearch ?? 1), nprobe: Int32(clamping: effort.nprobe ?? 1),
                rows: bits?.assumingMemoryBound(to: UInt8.self).baseAddress, rows_size: bits?.count ?? 0)
            try FaissError.check {
                cfaiss_index_search(handle, query, Int64(scores.count), &settings, scoresBase, rowsBase, $0)
            }
        }
        guard let allowed else { return try search(nil) }
        var failure: FaissError?
        allowed.words.withUnsafeBytes { bits in
            do throws(FaissError) {
                try search(bits)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }
}
