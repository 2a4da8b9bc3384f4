import ArgumentParser
import COpenBLAS
import DatastoreCore
import Foundation
import VectorIndex

/// The search path by itself, in this process: exact scans with each set of instructions, many questions at once, and
/// each index plan.
struct BenchSearch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search",
        abstract: "Measures exact searches and the index of each plan.",
        discussion: """
            It takes vectors and questions of NumPy files, or makes clustered ones. Exact searches run with each set of \
            instructions that this machine has, interleaved. Of every plan it asks all questions with rising effort; the line \
            of a plan is of the least effort that reaches the recall. With --work all files stay, and the next run has them; \
            else it removes what it made. Nothing else should run on the machine meanwhile.
            """)

    @Option(help: "A NumPy file of vectors. Without it clustered ones are made.")
    var vectors: String?

    @Option(help: "A NumPy file of questions, with --vectors.")
    var questions: String?

    @Option(help: "Vectors to make.")
    var rows = 500_000

    @Option(help: "Numbers of a vector to make.")
    var dim = 768

    @Flag(help: "Keep the vectors as half floats.")
    var half = false

    @Option(help: "Questions of the plans, at most.")
    var count = 300

    @Option(name: [.customLong("k"), .customShort("k")], help: "Results per question.")
    var k = 10

    @Option(help: "The recall to reach.")
    var recall = 0.98

    @Option(help: "Rounds of the exact searches; each case is measured once in each.")
    var rounds = 7

    @Option(
        name: .customLong("plan"), help: "A plan; may be repeated. (default: all)",
        transform: { try IndexPlan(argument: $0) })
    var plans: [IndexPlan] = []

    @Flag(help: "Leave the plans out.")
    var onlyExact = false

    @Option(help: "A folder to keep vectors and indexes in.")
    var work: String?

    @Option(help: "A file to write the numbers to, as JSON.")
    var json: String?

    /// Of an exact search.
    private struct Scan: Encodable {
        var name: String
        var instructions: String
        /// The median of one call.
        var milliseconds: Double
        var questions: Int
        var nanosecondsPerRowAndQuestion: Double
        /// Bytes of the original vectors, each counted once, by the time.
        var gigabytesPerSecond: Double
        /// To the last line of its group, which is what the machine does at least.
        var ratio: Double
    }

    private struct Plan: Encodable {
        var plan: String
        var effort: String
        var recall: Double
        var p50: Double
        var p99: Double
        var buildSeconds: Double
        var indexBytes: Int64
        /// Resident bytes that the process has more with the index open and all questions asked: right in a run that had
        /// not to build it.
        var memoryBytes: Int
        /// Every effort.
        var curve: [String]
    }

    private struct Document: Encodable {
        var rows: Int
        var dim: Int
        var element: String
        var k: Int
        var instructions: String
        var blas: String
        var scans: [Scan]
        var plans: [Plan]
    }

    func run() async throws {
        VectorIndex.useCallersThreadsOnly()
        let folder =
            work.map { URL(filePath: $0) }
            ?? FileManager.default.temporaryDirectory.resolvingSymlinksInPath()
            .appending(path: "bench-search-\(UUID().uuidString)")
        let signals = Cleanup.shared.watchSignals()
        if work == nil { Cleanup.shared.setFolder(folder) }
        defer {
            if work == nil { try? FileManager.default.removeItem(at: folder) }
            for signal in signals { signal.cancel() }
        }
        let ground = try SearchGround(
            folder: folder, vectors: vectors, questions: questions, rows: rows, dim: dim, count: count,
            element: half ? .f16 : nil)
        progress("\(ground.vectors.count) vectors of \(ground.vectors.dim), \(VectorIndex.instructions)")
        var document = Document(
            rows: ground.vectors.count, dim: ground.vectors.dim, element: "\(ground.vectors.element)", k: k,
            instructions: VectorIndex.instructions, blas: VectorIndex.blasCore, scans: [], plans: [])
        document.scans = try scans(ground) + manyOfFew(ground)
        if !onlyExact { document.plans = try measuredPlans(ground) }
        show(document)
        if let json { try JSONEncoder().encode(document).write(to: URL(filePath: json)) }
    }

    // MARK: Exact searches

    private struct Case {
        var name: String
        var instructions: String?
        var questions: Int
        var run: (_ round: Int) throws -> Void
    }

    /// One question and 32, with each set of instructions, beside a bare read of the vectors.
    private func scans(_ ground: SearchGround) throws -> [Scan] {
        let exact = try ground.open(.exact)
        let effort = SearchEffort(exact: true)
        let uncoded = try KeyIndex(vectors: ground.vectors, metric: SearchGround.metric)
        let queries = ground.questions.map { KeyQuery($0[...], metric: SearchGround.metric) }
        let levels = VectorIndex.allInstructions.filter { VectorIndex.useInstructions($0) }
        var cases = levels.map { name in
            Case(name: "exact, one question", instructions: name, questions: 1) { round in
                _ = try ground.ask(exact, round % ground.questions.count, k: k, effort: effort)
            }
        }
        cases += levels.map { name in
            Case(name: "exact, one question, without codes", instructions: name, questions: 1) { round in
                _ = try uncoded.search(queries[round % queries.count], limit: k)
            }
        }
        let many = min(32, ground.questions.count)
        cases.append(
            Case(name: "exact, \(many) questions", instructions: nil, questions: many) { _ in
                _ = try ground.ask(exact, 0..<many, k: k, effort: effort)
            })
        cases.append(
            Case(name: "bare read", instructions: nil, questions: 1) { _ in
                var sum: UInt64 = 0
                ground.vectors.withBytes { for word in $0.bindMemory(to: UInt64.self) { sum &+= word } }
                withExtendedLifetime(sum) {}
            })
        return try measured(cases, ground.vectors)
    }

    /// EVCap's shape: 32 vectors of one image, over a memory of 14,596, beside the matrix product alone.
    private func manyOfFew(_ ground: SearchGround) throws -> [Scan] {
        let (count, keys) = (min(32, ground.questions.count), min(14_596, ground.vectors.count))
        let folder = FileManager.default.temporaryDirectory.appending(path: "bench-search-few-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let path = folder.appending(path: "original.vectors").path
        let writer = try VectorFileWriter(path: path, dim: ground.vectors.dim, element: .f32)
        var numbers: [Float] = []
        for row in 0..<keys {
            let vector = ground.vectors.vector(row: row)
            numbers += vector
            try vector.withUnsafeBufferPointer { try writer.append(id: Int64(row + 1), $0) }
        }
        try writer.finish()
        let few = try VectorFile(path: path)
        let codesPath = folder.appending(path: "few.codes").path
        try CompactCodesWriter.write(few, metric: SearchGround.metric, to: codesPath)
        let key = try KeyIndex(
            vectors: few, metric: SearchGround.metric, codes: CompactCodes(path: codesPath))
        let queries = ground.questions.prefix(count).map { KeyQuery($0[...], metric: SearchGround.metric) }
        let asked = ground.questions.prefix(count).flatMap { $0 }
        var products = [Float](repeating: 0, count: count * keys)
        let cases = [
            Case(name: "\(count) x \(keys), the 5 nearest", instructions: nil, questions: count) { _ in
                _ = try key.search(queries, limit: 5)
            },
            Case(name: "\(count) x \(keys), product alone", instructions: nil, questions: count) { _ in
                let dim = Int32(few.dim)
                cblas_sgemm(
                    CblasRowMajor, CblasNoTrans, CblasTrans, Int32(count), Int32(keys), dim, 1, asked, dim, numbers,
                    dim,
                    0, &products, Int32(keys))
            },
        ]
        return try measured(cases, few)
    }

    /// Medians of all cases, one call of each in each round.
    private func measured(_ cases: [Case], _ vectors: VectorFile) throws -> [Scan] {
        var times = [[Double]](repeating: [], count: cases.count)
        for round in 0...rounds {
            for (index, benchmark) in cases.enumerated() {
                VectorIndex.useInstructions(benchmark.instructions)
                let start = ContinuousClock.now
                try benchmark.run(round)
                // The first round fills caches.
                if round > 0 { times[index].append((ContinuousClock.now - start) / .milliseconds(1)) }
            }
            VectorIndex.useInstructions(nil)
        }
        let medians = times.map { $0.sorted()[$0.count / 2] }
        let bytes = Double(vectors.count * vectors.dim * vectors.element.size)
        return zip(cases, medians).map { benchmark, milliseconds in
            Scan(
                name: benchmark.name, instructions: benchmark.instructions ?? VectorIndex.instructions,
                milliseconds: milliseconds, questions: benchmark.questions,
                nanosecondsPerRowAndQuestion: milliseconds * 1e6 / Double(vectors.count * benchmark.questions),
                gigabytesPerSecond: bytes / milliseconds / 1e6, ratio: milliseconds / (medians.last ?? 1))
        }
    }

    // MARK: Plans

    private static let all: [IndexPlan] = IndexPlan.Method.allCases
        .filter { $0 != .auto && $0 != .exact }.map { IndexPlan($0) }

    private func measuredPlans(_ ground: SearchGround) throws -> [Plan] {
        let exact = try ground.open(.exact)
        let questions = ground.questions.indices
        let truths = try questions.map {
            Set(try ground.ask(exact, $0, k: k, effort: SearchEffort(exact: true)).rows)
        }
        return try (plans.isEmpty ? Self.all : plans).map { wanted in
            let opened = try ground.open(wanted)
            let line = try line(opened, ground, truths)
            progress("\(line.plan): \(line.effort), recall \(shown(line.recall)), p50 \(shown(line.p50)) ms")
            return line
        }
    }

    private func line(_ opened: SearchGround.Opened, _ ground: SearchGround, _ truths: [Set<Int>]) throws -> Plan {
        var best: Plan?
        var curve: [String] = []
        for effort in SearchGround.efforts(opened.plan) {
            var found = 0
            var times: [Double] = []
            for (question, truth) in truths.enumerated() {
                let (rows, milliseconds) = try ground.ask(opened, question, k: k, effort: effort)
                times.append(milliseconds)
                found += truth.intersection(rows).count
            }
            times.sort()
            let share = Double(found) / Double(truths.reduce(0) { $0 + $1.count })
            let (p50, p99) = (times[times.count / 2], times[times.count * 99 / 100])
            curve.append("\(effort.name): recall \(shown(share)), p50 \(shown(p50)) ms")
            best = Plan(
                plan: opened.plan.description, effort: effort.name, recall: share, p50: p50, p99: p99,
                buildSeconds: opened.buildSeconds, indexBytes: opened.indexBytes, memoryBytes: 0, curve: [])
            if share >= recall { break }
        }
        guard var best else { throw BenchmarkError("no effort to measure \(opened.plan) with") }
        best.curve = curve
        best.memoryBytes = try ProcessStatistics(pid: getpid()).memory().resident - opened.before.resident
        return best
    }

    // MARK: For people

    private func shown(_ value: Double) -> String {
        abs(value) >= 100 ? String(Int(value.rounded())) : "\((value * 1000).rounded() / 1000)"
    }

    private func show(_ document: Document) {
        print(
            "\n\(document.rows) vectors of \(document.dim) (\(document.element)), k \(k), \(document.instructions), "
                + "OpenBLAS for \(document.blas)\n")
        print("| exact | instructions | ms | ns per row and question | GB/s | to the last |")
        print("| --- | --- | --- | --- | --- | --- |")
        for scan in document.scans {
            print(
                "| \(scan.name) | \(scan.instructions) | \(shown(scan.milliseconds)) "
                    + "| \(shown(scan.nanosecondsPerRowAndQuestion)) | \(shown(scan.gigabytesPerSecond)) "
                    + "| \(shown(scan.ratio)) |")
        }
        guard !document.plans.isEmpty else { return }
        print("\nThe least effort with recall \(recall)\n")
        print("| plan | recall | p50 ms | p99 ms | build s | index MB | memory MB | effort |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for plan in document.plans {
            print(
                "| \(plan.plan) | \(shown(plan.recall)) | \(shown(plan.p50)) | \(shown(plan.p99)) "
                    + "| \(shown(plan.buildSeconds)) | \(plan.indexBytes / 1_000_000) | \(plan.memoryBytes / 1_000_000) "
                    + "| \(plan.effort) |")
        }
        for plan in document.plans { print("\n\(plan.plan)\n  \(plan.curve.joined(separator: "\n  "))") }
    }
}
