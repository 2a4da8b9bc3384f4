import CBruteForce
package import Foundation

/// Index files of many kinds, as other programs write them.
package enum TestIndex {
    package struct NotWritten: Error {
        package let factory: String
    }

    /// FAISS's numbers of metrics.
    package enum Metric: Int32, Sendable {
        case innerProduct = 0
        case l2 = 1
    }

    /// Fills the index that FAISS's factory makes of `factory`, for example `IDMap,Flat`, and writes it.
    ///
    /// - Parameters:
    ///   - ids: of the vectors; an `IDMap` cannot do without and gets the numbers of the rows.
    ///   - lists: a file for the inverted lists, which the index then only names.
    package static func write(
        _ vectors: Vectors, as factory: String, metric: Metric = .innerProduct, ids: [Int64]? = nil,
        lists: URL? = nil, to file: URL
    ) throws {
        precondition(ids.map { $0.count == vectors.count } ?? true)
        let ids = ids ?? (factory.contains("IDMap") ? (0..<vectors.count).map(Int64.init) : nil)
        let status = test_index_write(
            file.path, factory, metric.rawValue, Int32(vectors.dim), Int64(vectors.count), vectors.values, ids,
            lists?.path)
        guard status == 0 else { throw NotWritten(factory: factory) }
    }
}
