import DatastoreCore
import DatastoreImport
import Foundation

/// Captions as sparse vectors, weighed by how rare their words are.
struct CaptionWeights {
    enum Kind: String, Codable, CaseIterable {
        /// A question weighs its words by how often it has them.
        case bm25
        /// Captions and questions weigh their words alike, and have length 1.
        case tfidf
    }

    let kind: Kind
    /// In the order of their indices.
    let words: [String]
    private let terms: [String: UInt32]
    private let rarity: [Double]
    private let meanLength: Double

    init(_ kind: Kind, captions: [[String]]) {
        self.kind = kind
        var counts: [String: Int] = [:]
        for caption in captions { for word in Set(caption) { counts[word, default: 0] += 1 } }
        let words = counts.keys.sorted()
        self.words = words
        terms = Dictionary(uniqueKeysWithValues: words.enumerated().map { ($1, UInt32($0)) })
        let total = Double(captions.count)
        rarity = words.map { word in
            let count = Double(counts[word] ?? 0)
            return log(1 + (total - count + 0.5) / (count + 0.5))
        }
        meanLength = Double(captions.reduce(0) { $0 + $1.count }) / max(1, total)
    }

    func caption(_ words: [String]) throws -> SparseVector {
        guard kind == .bm25 else { return try question(words) }
        let length = 1.2 * (0.25 + 0.75 * Double(words.count) / meanLength)
        return try vector(words) { term, count in rarity[term] * count * 2.2 / (count + length) }
    }

    func question(_ words: [String]) throws -> SparseVector {
        guard kind == .tfidf else { return try vector(words) { _, count in count } }
        let vector = try vector(words) { term, count in rarity[term] * count }
        let norm = vector.values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
        return try SparseVector(indices: vector.indices, values: vector.values.map { Float(Double($0) / norm) })
    }

    private func vector(_ words: [String], weight: (Int, Double) -> Double) throws -> SparseVector {
        let counts = words.reduce(into: [UInt32: Double]()) { counts, word in
            if let term = terms[word] { counts[term, default: 0] += 1 }
        }
        return try SparseVector(
            indices: Array(counts.keys), values: counts.map { Float(weight(Int($0), $1)) })
    }

    /// The words of the `caption` of each line of a file of JSON lines, plain or gzip.
    static func read(_ file: URL) throws -> [[String]] {
        struct Line: Decodable {
            let caption: String
        }
        let source = try ByteSource(path: file.path)
        var data = Data()
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = try chunk.withUnsafeMutableBytes { try source.read(into: $0) }
            if count == 0 { break }
            data.append(contentsOf: chunk[..<count])
        }
        let decoder = JSONDecoder()
        return try data.split(separator: UInt8(ascii: "\n")).map { line in
            try decoder.decode(Line.self, from: line).caption.lowercased()
                .split { !$0.isLetter && !$0.isNumber }.map(String.init)
        }
    }
}
