package import DatastoreCore

/// What finds the rows of a key that are likely to be near a query.
package enum CandidateIndex: Sendable {
    /// An index of FAISS, in memory.
    case faiss(VectorIndex)
    /// Lists of compact codes, mapped.
    case lists(CodeLists)

    /// Opens what `write` wrote for a plan.
    ///
    /// - Throws: `version_damaged`, `newer_format`, `FaissError`.
    package init(contentsOf path: String, method: IndexPlan.Method) throws {
        self = method == .ivfSQ4 ? .lists(try CodeLists(path: path)) : .faiss(try VectorIndex(contentsOf: path))
    }

    package var count: Int {
        switch self {
        case .faiss(let index): index.count
        case .lists(let lists): lists.count
        }
    }

    package var dim: Int {
        switch self {
        case .faiss(let index): index.dim
        case .lists(let lists): lists.dim
        }
    }

    /// Writes it to where it belongs, if it is not there already.
    package func write(to path: String) throws(FaissError) {
        if case .faiss(let index) = self { try index.write(to: path) }
    }
}
