import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// Sparse indexes made in a folder, and an exact search of their vectors that shares nothing with them.
struct SparseFixture {
    let documents: [SparseVector]
    let terms: Int

    /// Writes the files `vectors` and `postings` of a name.
    func write(_ name: String, in folder: TemporaryDirectory) throws {
        let writer = try SparseVectorFileWriter(path: folder.file("\(name).vectors").path, terms: terms)
        for (row, vector) in documents.enumerated() { try writer.append(id: Int64(row * 2 + 1), vector) }
        try writer.finish()
        try PostingsWriter.write(
            SparseVectorFile(path: folder.file("\(name).vectors").path), to: folder.file("\(name).postings").path)
    }

    func open(in folder: TemporaryDirectory, windowSize: Int = 1 << 16) throws -> SparseIndex {
        let name = UUID().uuidString
        try write(name, in: folder)
        return try Self.open(name, in: folder, windowSize: windowSize)
    }

    static func open(_ name: String, in folder: TemporaryDirectory, windowSize: Int = 1 << 16) throws -> SparseIndex {
        try SparseIndex(
            vectors: SparseVectorFile(path: folder.file("\(name).vectors").path),
            postings: PostingsFile(path: folder.file("\(name).postings").path), windowSize: windowSize)
    }

    struct Found: Equatable {
        let row: Int
        let score: Float

        init(row: Int, score: Float) {
            (self.row, self.score) = (row, score)
        }

        init(_ hit: SparseIndex.Hit) {
            self.init(row: hit.row, score: hit.score)
        }
    }

    /// All rows that a query finds, best first.
    func found(_ query: SparseVector) -> [Found] {
        let weights = Dictionary(uniqueKeysWithValues: zip(query.indices, query.values))
        var found: [Found] = []
        for (row, document) in documents.enumerated() {
            var sum = 0.0
            var isFound = false
            for (term, weight) in zip(document.indices, document.values) {
                guard let other = weights[term] else { continue }
                if other > 0 { isFound = true }
                sum += Double(other) * Double(weight)
            }
            let limit = Double(Float.greatestFiniteMagnitude)
            if isFound { found.append(Found(row: row, score: Float(min(limit, max(-limit, sum))))) }
        }
        return found.sorted { ($1.score, $0.row) < ($0.score, $1.row) }
    }

    func check(
        _ index: SparseIndex, _ query: SparseVector, limits: [Int], _ what: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let expected = found(query)
        for limit in limits {
            let wanted = Array(expected.prefix(limit))
            let searched = index.search(query, limit: limit).map(Found.init)
            #expect(searched == wanted, "\(what), limit \(limit)", sourceLocation: sourceLocation)
            let scanned = index.scan(query, limit: limit).map(Found.init)
            #expect(scanned == wanted, "scan, \(what), limit \(limit)", sourceLocation: sourceLocation)
        }
        for hit in expected.prefix(3) {
            #expect(index.score(query, row: hit.row) == hit.score, "\(what)", sourceLocation: sourceLocation)
        }
    }
}

/// What weights are drawn from.
enum SparseWeights: String, CaseIterable, Sendable {
    /// A few, so that many scores are equal.
    case few
    case any
    case signed
    /// From the smallest floats to the largest, so that scores are over the largest and sums round.
    case extreme
    /// Such that floats of neighbouring scores hardly differ.
    case near

    func draw(_ random: inout SeededGenerator) -> Float {
        switch self {
        case .few: [0.5, 1, 2].randomElement(using: &random) ?? 1
        case .any: .random(in: 0.001...5, using: &random)
        case .signed: [-1, -0.5, 0.25, 0.5, 1, 3].randomElement(using: &random) ?? 1
        case .extreme:
            [
                .leastNonzeroMagnitude, 3 * .leastNonzeroMagnitude, .leastNormalMagnitude, 1e-30, 1e-7, 1, 1e7, 1e30,
                .greatestFiniteMagnitude,
            ].randomElement(using: &random) ?? 1
        case .near: 1 + Float(Int.random(in: 0...3, using: &random)) * .ulpOfOne
        }
    }

    /// A vector of some of the terms, those of lower numbers in more vectors than the others.
    func vector(terms: Int, count: Int, negative: Bool = false, _ random: inout SeededGenerator) -> SparseVector {
        var chosen: Set<UInt32> = []
        for _ in 0..<count {
            let share = Double.random(in: 0..<1, using: &random)
            chosen.insert(UInt32(Double(terms) * share * share))
        }
        let indices = chosen.sorted()
        return SparseVector(
            ascending: indices,
            values: indices.map { _ in
                let weight = draw(&random)
                return negative && Int.random(in: 0..<4, using: &random) == 0 ? -weight : weight
            })
    }
}
