import ArgumentParser
import DatastoreCore
import DatastoreImport
import Foundation
import VectorIndex

/// Each index plan beside exact search, in this process, in one run.
struct BenchPlans: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plans",
        abstract: "Builds an index of each plan and compares it with exact search.",
        discussion: """
            It takes vectors and questions of NumPy files, or makes clustered ones, builds every plan, one after the other, \
            and asks all questions with rising effort. The line of a plan is of the least effort that reaches the recall. It \
            removes what it made. Nothing else should run on the machine meanwhile.
            """)

    @Option(help: "A NumPy file of vectors. Without it clustered ones are made.")
    var vectors: String?

    @Option(help: "A NumPy file of questions, with --vectors.")
    var questions: String?

    @Option(help: "Vectors to make.")
    var rows = 500_000

    @Option(help: "Numbers of a vector to make.")
    var dim = 512

    @Option(help: "Questions, at most.")
    var count = 300

    @Option(name: [.customLong("k"), .customShort("k")], help: "Results per question.")
    var k = 10

    @Option(help: "The recall to reach.")
    var recall = 0.95

    @Option(
        name: .customLong("plan"), help: "A plan; may be repeated. (default: all)",
        transform: { try IndexPlan(argument: $0) })
    var plans: [IndexPlan] = []

    @Option(help: "A file to write the numbers to, as JSON.")
    var json: String?

    /// One line of the table.
    private struct Line: Encodable {
        var plan: String
        var buildSeconds: Double
        var indexBytes: Int64
        /// Resident bytes that the process has more with the index open; the original vectors are mapped, and left out.
        var memoryBytes: Int64
        var effort: String
        var recall: Double
        var p50: Double
        var p99: Double
        /// Every effort: recall and median.
        var curve: [String]
    }

    func run() async throws {
        VectorIndex.useCallersThreadsOnly()
        let folder = FileManager.default.temporaryDirectory.resolvingSymlinksInPath()
            .appending(path: "bench-plans-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        Cleanup.shared.setFolder(folder)
        let signals = Cleanup.shared.watchSignals()
        defer {
            try? FileManager.default.removeItem(at: folder)
            for signal in signals { signal.cancel() }
        }
        let (file, asked) = try load(folder)
        let queries = asked.prefix(count).map { KeyQuery($0[...], metric: .cosine) }
        progress("\(file.count) vectors of \(file.dim), \(queries.count) questions, \(VectorIndex.instructions)")
        let codesPath = folder.appending(path: "codes").path
        try CompactCodesWriter.write(file, metric: .cosine, to: codesPath)
        let codes = try CompactCodes(path: codesPath)
        let exact = try KeyIndex(vectors: file, metric: .cosine, codes: codes)
        let truths = try queries.map { Set(try exact.search($0, limit: k).map(\.row)) }
        var lines = [try line(exact, IndexPlan.exact, [SearchEffort(exact: true)], queries, truths)]
        let process = ProcessStatistics(pid: getpid())
        for wanted in plans.isEmpty ? Self.all : plans {
            let plan = wanted.filled(rows: file.count, dim: file.dim)
            progress("building \(plan)")
            let path = folder.appending(path: "index").path
            let start = ContinuousClock.now
            try PlannedIndex.build(plan, vectors: file, metric: .cosine, at: path) { _ in }.write(to: path)
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            let before = try process.memory().anonymous
            let index = try CandidateIndex(contentsOf: path, method: plan.method)
            let memory = try process.memory().anonymous - before
            let key = try KeyIndex(vectors: file, metric: .cosine, codes: codes, plan: plan, index: index)
            var line = try line(key, plan, Self.efforts(plan), queries, truths)
            line.buildSeconds = seconds
            line.memoryBytes = Int64(memory)
            line.indexBytes = Int64(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0)
            try FileManager.default.removeItem(atPath: path)
            lines.append(line)
            progress("\(plan): \(line.effort), recall \(line.recall), p50 \(line.p50) ms, built in \(seconds) s")
        }
        show(lines, file)
        if let json { try JSONEncoder().encode(lines).write(to: URL(filePath: json)) }
    }

    private static let all: [IndexPlan] = [
        IndexPlan(.ivfSQ4), IndexPlan(.ivfFlat), IndexPlan(.ivfSQ8), IndexPlan(.ivfPQ), IndexPlan(.hnsw),
    ]

    private static func efforts(_ plan: IndexPlan) -> [SearchEffort] {
        if plan.method.isGraph { return [16, 32, 64, 128, 256, 512].map { SearchEffort(efSearch: $0) } }
        return (0...10).map { 1 << $0 }.filter { $0 <= plan.lists ?? 1 }.map { SearchEffort(nprobe: $0) }
    }

    private func line(
        _ key: KeyIndex, _ plan: IndexPlan, _ efforts: [SearchEffort], _ queries: [KeyQuery], _ truths: [Set<Int>]
    ) throws -> Line {
        var best: Line?
        var curve: [String] = []
        for effort in efforts {
            var found = 0
            var times: [Double] = []
            for (query, truth) in zip(queries, truths) {
                let start = ContinuousClock.now
                let hits = try key.search(query, limit: k, effort: effort)
                times.append((ContinuousClock.now - start) / .milliseconds(1))
                found += truth.intersection(hits.map(\.row)).count
            }
            times.sort()
            let share = Double(found) / Double(truths.reduce(0) { $0 + $1.count })
            let name = effort.efSearch.map { "ef_search \($0)" } ?? effort.nprobe.map { "nprobe \($0)" } ?? "all"
            let (p50, p99) = (times[times.count / 2], times[times.count * 99 / 100])
            curve.append("\(name): recall \(Self.shown(share)), p50 \(Self.shown(p50)) ms")
            best = Line(
                plan: plan.description, buildSeconds: 0, indexBytes: 0, memoryBytes: 0, effort: name, recall: share,
                p50: p50,
                p99: p99, curve: [])
            if share >= recall { break }
        }
        guard var best else { throw BenchmarkError("no effort to measure \(plan) with") }
        best.curve = curve
        return best
    }

    private func load(_ folder: URL) throws -> (VectorFile, [[Float]]) {
        let path = folder.appending(path: "original.vectors").path
        var asked: [[Float]] = []
        if let vectors {
            let reader = try NumpyReader(path: vectors)
            let writer = try VectorFileWriter(
                path: path, dim: reader.dim, element: reader.elementType == .f16 ? .f16 : .f32)
            var id: Int64 = 0
            while let vector = try reader.next() {
                id += 1
                try vector.withUnsafeBufferPointer { try writer.append(id: id, $0) }
            }
            try writer.finish()
            guard let questions else { throw ValidationError("--vectors needs --questions.") }
            let file = try NumpyReader(path: questions)
            while let vector = try file.next() { asked.append(vector) }
            return (try VectorFile(path: path), asked)
        }
        let writer = try VectorFileWriter(path: path, dim: dim, element: .f32)
        var source = ClusteredVectors(dim: dim, seed: 7)
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: dim)
        defer { buffer.deallocate() }
        for row in 0..<rows {
            _ = source.next(into: buffer)
            try writer.append(id: Int64(row + 1), UnsafeBufferPointer(buffer))
        }
        for _ in 0..<count {
            _ = source.next(into: buffer)
            asked.append(Array(buffer))
        }
        try writer.finish()
        return (try VectorFile(path: path), asked)
    }

    private static func shown(_ value: Double) -> String {
        value >= 100 ? String(Int(value.rounded())) : "\((value * 1000).rounded() / 1000)"
    }

    private func show(_ lines: [Line], _ file: VectorFile) {
        print(
            "\n\(file.count) vectors of \(file.dim) (\(file.element)), k \(k), the least effort with recall \(recall)\n"
        )
        print("| plan | recall | p50 ms | p99 ms | build s | index MB | memory MB | effort |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for line in lines {
            print(
                "| \(line.plan) | \(Self.shown(line.recall)) | \(Self.shown(line.p50)) | \(Self.shown(line.p99)) "
                    + "| \(Self.shown(line.buildSeconds)) | \(line.indexBytes / 1_000_000) | \(line.memoryBytes / 1_000_000) "
                    + "| \(line.effort) |")
        }
        for line in lines { print("\n\(line.plan)\n  \(line.curve.joined(separator: "\n  "))") }
    }
}
