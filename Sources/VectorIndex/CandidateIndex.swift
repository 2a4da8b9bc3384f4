package import DatastoreCore

/// What finds the rows of a key that are likely to be near a query.
package enum CandidateIndex: Sendable {
    /// An index of FAISS, in memory.
    case faiss(VectorIndex)
    /// Lists of compact codes, mapped.
    case lists(CodeLists)
    /// A graph's links, mapped.
    case graph(GraphIndex)

    /// Opens what `write` wrote for a plan. A graph in a file of FAISS's, as older releases wrote, is read, and the vectors
    /// in it let go.
    ///
    /// - Throws: `version_damaged`, `newer_format`, `FaissError`.
    package init(contentsOf path: String, method: IndexPlan.Method) throws {
        switch method {
        case .ivfSQ4: self = .lists(try CodeLists(path: path))
        case .hnsw where GraphIndex.isFile(path): self = .graph(try GraphIndex(path: path))
        case .hnsw: self = try Self(graph: VectorIndex(contentsOf: path))
        case .ivfFlat, .ivfSQ8, .ivfPQ: self = .faiss(try VectorIndex(contentsOf: path))
        case .exact, .auto:
            throw DatastoreError(.versionDamaged, "the plan \(method.rawValue) has no index to open")
        }
    }

    /// The links of a graph that FAISS built; the index itself where it is none, or has no rows.
    init(graph index: VectorIndex) throws {
        self = try GraphIndex(index).map { .graph($0) } ?? .faiss(index)
    }

    package var count: Int {
        switch self {
        case .faiss(let index): index.count
        case .lists(let lists): lists.count
        case .graph(let graph): graph.count
        }
    }

    package var dim: Int {
        switch self {
        case .faiss(let index): index.dim
        case .lists(let lists): lists.dim
        case .graph(let graph): graph.dim
        }
    }

    /// Writes it to where it belongs, if it is not there already.
    package func write(to path: String) throws {
        switch self {
        case .faiss(let index): try index.write(to: path)
        case .lists: break
        case .graph(let graph): try graph.write(to: path)
        }
    }
}
