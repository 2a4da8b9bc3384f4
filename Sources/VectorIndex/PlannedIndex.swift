package import DatastoreCore

/// Makes the index of a plan from original vectors.
///
/// Everything is decided by the vectors and the plan: the same ones give the same index. Training sees vectors that are
/// spread evenly over all rows. Blocking; memory beside the index is that of the vectors it is trained with.
package enum PlannedIndex {
    /// - Parameters:
    ///   - plan: with its numbers (`IndexPlan.filled`).
    ///   - path: where it belongs. Lists of codes are written there while they are made; what FAISS makes is in memory
    ///     until `CandidateIndex.write`.
    ///   - onProgress: called between chunks with the rows that are added; throws to stop.
    package static func build(
        _ plan: IndexPlan, vectors: VectorFile, metric: Metric, at path: String,
        onProgress: (_ rows: Int) throws -> Void
    ) throws -> CandidateIndex {
        guard plan.method == .ivfSQ4 else {
            let index = try faiss(plan, vectors, metric, onProgress)
            return plan.method.isGraph ? try CandidateIndex(graph: index) : .faiss(index)
        }
        try CodeListsBuilder.write(
            vectors, metric: metric, lists: plan.lists ?? 1, to: path, progress: onProgress)
        return .lists(try CodeLists(path: path))
    }

    private static func faiss(
        _ plan: IndexPlan, _ vectors: VectorFile, _ metric: Metric, _ onProgress: (_ rows: Int) throws -> Void
    ) throws -> VectorIndex {
        var builder = try VectorIndexBuilder(
            dim: vectors.dim, description: description(plan, dim: vectors.dim), capacity: 0)
        builder.setEfConstruction(efConstruction)
        if plan.method.hasLists {
            let sample = min(vectors.count, trainingSize(plan))
            try onProgress(0)
            let rows = (0..<sample).map { $0 * vectors.count / sample }
            let numbers = prepared(vectors, rows, metric)
            try numbers.withUnsafeBufferPointer { try builder.train($0) }
        }
        for start in stride(from: 0, to: vectors.count, by: chunk) {
            try onProgress(start)
            let numbers = prepared(vectors, Array(start..<min(start + chunk, vectors.count)), metric)
            try numbers.withUnsafeBufferPointer { try builder.add($0) }
        }
        try onProgress(vectors.count)
        return builder.freeze()
    }

    /// Rows that are added at a time: a graph takes about a second for them.
    private static let chunk = 512
    /// Twice FAISS's own: the graph finds more for every setting of its searches.
    private static let efConstruction = 80
    private static let trainingRowsPerList = 64

    /// Vectors that lists and codes are learnt from.
    package static func trainingSize(_ plan: IndexPlan) -> Int {
        plan.method == .ivfPQ
            ? max(65_536, trainingRowsPerList * (plan.lists ?? 1)) : trainingRowsPerList * (plan.lists ?? 1)
    }

    private static func description(_ plan: IndexPlan, dim: Int) -> String {
        let lists = plan.lists ?? 1
        switch plan.method {
        case .exact, .auto: return "Flat"
        case .hnsw: return "HNSW\(plan.links ?? 32),Flat"
        case .ivfFlat, .ivfSQ4: return "IVF\(lists),Flat"
        case .ivfSQ8: return "IVF\(lists),SQ8"
        case .ivfPQ: return "IVF\(lists),PQ\(plan.codeBytes ?? 1)x8"
        }
    }

    /// Rows as the index takes them: 32-bit floats, of length 1 where the metric is cosine.
    private static func prepared(_ vectors: VectorFile, _ rows: [Int], _ metric: Metric) -> [Float] {
        var numbers: [Float] = []
        numbers.reserveCapacity(rows.count * vectors.dim)
        for row in rows {
            var vector = vectors.vector(row: row)
            if metric == .cosine { VectorMath.normalise(&vector) }
            numbers += vector
        }
        return numbers
    }
}

extension IndexPlan {
    /// The plan with all its numbers, for so many rows. Not of `auto`.
    package func filled(rows: Int, dim: Int) -> IndexPlan {
        var plan = self
        switch method {
        case .exact, .auto: break
        case .hnsw:
            plan.links = links ?? 32
            plan.efSearch = efSearch ?? 64
        case .ivfFlat, .ivfSQ4, .ivfSQ8, .ivfPQ:
            // About four times the square root, as FAISS's guidelines say, but 39 rows at least to learn a list from.
            let wanted = lists ?? Int(4 * Double(rows).squareRoot())
            plan.lists = max(1, min(wanted, rows / 39))
            plan.nprobe = min(nprobe ?? 16, plan.lists ?? 1)
            if method == .ivfPQ { plan.codeBytes = codeBytes ?? Self.codeBytes(dim: dim) }
        }
        return plan
    }

    /// Rows that a method needs at least, to have something to learn from.
    package var minimumRows: Int {
        switch method {
        case .exact, .auto, .hnsw: 1
        case .ivfFlat, .ivfSQ4, .ivfSQ8: 39
        // 256 codes of each part.
        case .ivfPQ: 39 * 256
        }
    }

    /// The largest number of bytes up to an eighth of the dimensions that divides them.
    private static func codeBytes(dim: Int) -> Int {
        let most = max(1, dim / 8)
        return (1...most).last { dim % $0 == 0 } ?? 1
    }
}
