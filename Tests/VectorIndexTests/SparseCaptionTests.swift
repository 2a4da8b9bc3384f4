import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// Fifty thousand real captions, weighed as a search engine weighs words, are searched exactly.
struct SparseCaptionTests {
    /// Captions as vectors of BM25's weights; k₁ 1.2, b 0.75.
    private struct Weights {
        let terms: [String: UInt32]
        private let rarity: [Double]
        private let meanLength: Double

        init(_ captions: [[String]]) {
            var counts: [String: Int] = [:]
            for caption in captions { for word in Set(caption) { counts[word, default: 0] += 1 } }
            let words = counts.keys.sorted()
            terms = Dictionary(uniqueKeysWithValues: words.enumerated().map { ($1, UInt32($0)) })
            let total = Double(captions.count)
            rarity = words.map { word in
                let count = Double(counts[word] ?? 0)
                return log(1 + (total - count + 0.5) / (count + 0.5))
            }
            meanLength = Double(captions.reduce(0) { $0 + $1.count }) / total
        }

        static func words(_ caption: String) -> [String] {
            caption.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init)
        }

        private func counts(_ words: [String]) -> [UInt32: Double] {
            words.reduce(into: [:]) { counts, word in
                if let term = terms[word] { counts[term, default: 0] += 1 }
            }
        }

        func caption(_ words: [String]) throws -> SparseVector {
            let counts = counts(words)
            let length = 1.2 * (0.25 + 0.75 * Double(words.count) / meanLength)
            return try SparseVector(
                indices: Array(counts.keys),
                values: counts.map { Float(rarity[Int($0)] * $1 * 2.2 / ($1 + length)) })
        }

        func query(_ words: [String]) throws -> SparseVector {
            let counts = counts(words)
            return try SparseVector(indices: Array(counts.keys), values: counts.values.map { Float($0) })
        }
    }

    @Test(.enabled(if: TestData.hasShared, "no real data at CAPSTAN_TEST_DATA"))
    func aThousandCaptionsFindWhatAScanFinds() throws {
        let sets = TestData.shared.appending(path: "sets")
        let captions = try TestData.captions(of: sets.appending(path: "coco50k.jsonl.gz")).map(Weights.words)
        let questions = try TestData.captions(of: sets.appending(path: "coco50k.queries.jsonl")).map(Weights.words)
        #expect(captions.count == 50_000)
        #expect(questions.count == 1000)
        let weights = Weights(captions)
        let folder = try TemporaryDirectory()
        let index = try SparseFixture(documents: captions.map(weights.caption), terms: weights.terms.count)
            .open(in: folder)
        var shortest = Int.max
        for (number, question) in questions.enumerated() {
            let query = try weights.query(question)
            let found = index.search(query, limit: 10)
            #expect(found == index.scan(query, limit: 10), "question \(number)")
            shortest = min(shortest, found.count)
        }
        #expect(shortest == 10)
    }
}
