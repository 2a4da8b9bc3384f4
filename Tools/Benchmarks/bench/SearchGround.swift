import DatastoreCore
import DatastoreImport
import Foundation
import VectorIndex

/// Vectors, questions about them, and the indexes of plans, in a folder: what is there already is not made again.
final class SearchGround {
    static let metric = Metric.cosine

    let vectors: VectorFile
    let codes: CompactCodes
    let questions: [[Float]]
    /// It took to make the codes.
    let codesSeconds: Double
    private let folder: URL

    /// - Parameters:
    ///   - folder: kept where the caller gives one, to be used again with the same vectors.
    ///   - vectors: a NumPy file; nil makes `rows` clustered ones of `dim` numbers, and as many questions as wanted.
    init(
        folder: URL, vectors: String?, questions: String?, rows: Int, dim: Int, count: Int,
        element: VectorFile.Element? = nil
    ) throws {
        self.folder = folder
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        if let vectors {
            guard let questions else { throw BenchmarkError("vectors of a file need questions of a file") }
            let reader = try NumpyReader(path: vectors)
            let element = element ?? (reader.elementType == .f16 ? .f16 : .f32)
            self.vectors = try Self.file(folder, reader.rows, reader.dim, element) {
                guard let vector = try reader.next() else { throw BenchmarkError("\(vectors) ends early") }
                return vector
            }
            let asked = try NumpyReader(path: questions)
            var all: [[Float]] = []
            while all.count < count, let vector = try asked.next() { all.append(vector) }
            self.questions = all
        } else {
            var source = ClusteredVectors(dim: dim, seed: 7)
            var asked = source.questions(seed: 8)
            self.vectors = try Self.file(folder, rows, dim, element ?? .f32) { source.next() }
            self.questions = (0..<count).map { _ in asked.next() }
        }
        (codes, codesSeconds) = try Self.codes(self.vectors, folder)
        guard !self.questions.isEmpty, self.questions[0].count == self.vectors.dim else {
            throw BenchmarkError("got questions of \(self.questions.first?.count ?? 0) numbers")
        }
    }

    private static func file(
        _ folder: URL, _ rows: Int, _ dim: Int, _ element: VectorFile.Element, next: () throws -> [Float]
    ) throws -> VectorFile {
        let path = folder.appending(path: "original-\(element).vectors").path
        if let file = try? VectorFile(path: path), file.count == rows, file.dim == dim { return file }
        let writer = try VectorFileWriter(path: path, dim: dim, element: element)
        for row in 0..<rows { try next().withUnsafeBufferPointer { try writer.append(id: Int64(row + 1), $0) } }
        try writer.finish()
        return try VectorFile(path: path)
    }

    private static func codes(_ vectors: VectorFile, _ folder: URL) throws -> (CompactCodes, Double) {
        let path = folder.appending(path: "\(vectors.element).codes").path
        let seconds = try seconds(path) {
            progress("making compact codes")
            try CompactCodesWriter.write(vectors, metric: metric, to: path)
        }
        return (try CompactCodes(path: path), seconds)
    }

    /// Makes a file, unless it is there, and says how many seconds that took or had taken.
    private static func seconds(_ path: String, make: () throws -> Void) throws -> Double {
        let note = path + ".seconds"
        if let text = try? String(contentsOfFile: note, encoding: .utf8), let seconds = Double(text) { return seconds }
        try? FileManager.default.removeItem(atPath: path)
        let start = ContinuousClock.now
        try make()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        try "\(seconds)".write(toFile: note, atomically: true, encoding: .utf8)
        return seconds
    }

    /// An index that is open, and what it took.
    struct Opened {
        var key: KeyIndex
        var plan: IndexPlan
        var buildSeconds: Double
        var indexBytes: Int64
        /// The process's memory before it was opened.
        var before: Memory
    }

    /// Builds what the folder does not have yet.
    func open(_ wanted: IndexPlan) throws -> Opened {
        let plan = wanted.filled(rows: vectors.count, dim: vectors.dim)
        guard plan.method != .auto else { throw BenchmarkError("auto is no index; name one") }
        var seconds = codesSeconds
        var path = folder.appending(path: "\(vectors.element).codes").path
        if plan.method != .exact {
            path = folder.appending(path: "\(vectors.element)-\(plan)").path
            seconds = try Self.seconds(path) {
                progress("building \(plan)")
                try PlannedIndex.build(plan, vectors: vectors, metric: Self.metric, at: path) { _ in }.write(to: path)
            }
        }
        let before = try ProcessStatistics(pid: getpid()).memory()
        let index = plan.method == .exact ? nil : try CandidateIndex(contentsOf: path, method: plan.method)
        let key = try KeyIndex(vectors: vectors, metric: Self.metric, codes: codes, plan: plan, index: index)
        let bytes = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int64 ?? 0
        return Opened(key: key, plan: plan, buildSeconds: seconds, indexBytes: bytes, before: before)
    }

    /// The `k` nearest of one question, and the milliseconds from its numbers to the answer.
    func ask(
        _ opened: Opened, _ question: Int, k: Int, effort: SearchEffort
    ) throws -> (rows: [Int], milliseconds: Double) {
        let numbers = questions[question]
        let start = ContinuousClock.now
        let hits = try opened.key.search(KeyQuery(numbers[...], metric: Self.metric), limit: k, effort: effort)
        return (hits.map(\.row), (ContinuousClock.now - start) / .milliseconds(1))
    }

    /// The same of several questions at once.
    func ask(
        _ opened: Opened, _ batch: Range<Int>, k: Int, effort: SearchEffort
    ) throws -> (rows: [[Int]], milliseconds: Double) {
        let numbers = batch.map { questions[$0] }
        let start = ContinuousClock.now
        let queries = numbers.map { KeyQuery($0[...], metric: Self.metric) }
        let hits = try opened.key.search(queries, limit: k, effort: effort)
        let milliseconds = (ContinuousClock.now - start) / .milliseconds(1)
        return (hits.map { $0.map(\.row) }, milliseconds)
    }

    /// Rising efforts of a plan: what a search is given to look further.
    static func efforts(_ plan: IndexPlan) -> [SearchEffort] {
        if plan.method == .exact { return [SearchEffort(exact: true)] }
        if plan.method.isGraph {
            return [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024].map { SearchEffort(efSearch: $0) }
        }
        return [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024]
            .filter { $0 <= plan.lists ?? 1 }.map { SearchEffort(nprobe: $0) }
    }
}

extension SearchEffort {
    /// For tables.
    var name: String { efSearch.map { "ef_search \($0)" } ?? nprobe.map { "nprobe \($0)" } ?? "all" }
}

extension ClusteredVectors {
    mutating func next() -> [Float] {
        var vector = [Float](repeating: 0, count: dim)
        vector.withUnsafeMutableBufferPointer { _ = next(into: $0) }
        return vector
    }
}
