import ArgumentParser
import DatastoreCore
import Foundation
import VectorIndex

/// The search of a sparse key beside a plain scan of its vectors, in this process, in one run.
struct BenchSparse: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sparse",
        abstract: "Times the pruned search of sparse vectors against a plain scan of them.",
        discussion: """
            It weighs captions and questions by their words, writes the vectors and their postings, checks that both \
            searches give the same answers to all questions, and takes the times of both in turns; the time of a question \
            is the median of its rounds. It removes what it made. Nothing else should run on the machine meanwhile.
            """)

    @Option(help: "Captions, JSON lines with a \"caption\", plain or gzip. (default: coco50k of ../shared/data/sets)")
    var captions: String?

    @Option(help: "Questions, in the same form. (default: those of coco50k)")
    var questions: String?

    @Option(help: "How words are weighed: bm25 or tfidf.")
    var weights = CaptionWeights.Kind.bm25

    @Option(name: [.customLong("k"), .customShort("k")], help: "Results per question.")
    var k = 10

    @Option(help: "How often each question is asked in each way.")
    var rounds = 5

    @Option(help: "A file to write the numbers to, as JSON.")
    var json: String?

    private static let sets = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "shared/data/sets")

    func validate() throws {
        guard k > 0, rounds > 0 else { throw ValidationError("--k and --rounds must be above 0.") }
    }

    func run() async throws {
        let work = try WorkFolder("bench-sparse")
        defer { work.remove() }
        let folder = work.url
        progress("reading captions and questions")
        let captions = try CaptionWeights.read(file(captions, "coco50k.jsonl.gz"))
        let questions = try CaptionWeights.read(file(questions, "coco50k.queries.jsonl"))
        let weights = CaptionWeights(weights, captions: captions)
        let (index, build) = try build(captions.map(weights.caption), weights.words, folder)
        let queries = try questions.map(weights.question)
        progress("checking that both searches answer \(queries.count) questions alike")
        for (number, query) in queries.enumerated() where index.search(query, limit: k) != index.scan(query, limit: k) {
            throw BenchmarkError("question \(number): the search does not find what the scan finds")
        }
        var searched = queries.map { _ in [Double]() }
        var scanned = searched
        for round in 0..<rounds {
            progress("round \(round + 1) of \(rounds)")
            for (number, query) in queries.enumerated() {
                searched[number].append(milliseconds { index.search(query, limit: k).count })
            }
            for (number, query) in queries.enumerated() {
                scanned[number].append(milliseconds { index.scan(query, limit: k).count })
            }
        }
        let report = Report(
            weights: self.weights, rows: index.count, terms: weights.words.count, questions: queries.count, k: k,
            rounds: rounds, termsOfARow: mean(captions.map { Set($0).count }),
            termsOfAQuestion: mean(queries.map(\.count)), build: build, search: Times(searched), scan: Times(scanned))
        print(report.text)
        if let json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            encoder.keyEncodingStrategy = .convertToSnakeCase
            try encoder.encode(report).write(to: URL(filePath: json))
        }
    }

    private func file(_ path: String?, _ name: String) throws -> URL {
        let file = path.map { URL(filePath: $0) } ?? Self.sets.appending(path: name)
        guard FileManager.default.isReadableFile(atPath: file.path) else {
            throw ValidationError("\(file.path) cannot be read; name a file with --captions and --questions.")
        }
        return file
    }

    private func build(_ vectors: [SparseVector], _ words: [String], _ folder: URL) throws -> (SparseIndex, Build) {
        func path(_ name: String) -> String { folder.appending(path: name).path }
        func seconds(_ body: () throws -> Void) rethrows -> Double {
            try ContinuousClock().measure(body) / .seconds(1)
        }
        func bytes(_ name: String) throws -> Int {
            try folder.appending(path: name).resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
        }
        progress("writing \(vectors.count) vectors of \(words.count) terms, and their postings")
        let writing = try seconds {
            try VocabularyWriter.write(words, to: path("vocabulary"))
            let writer = try SparseVectorFileWriter(path: path("vectors"), terms: words.count)
            for (row, vector) in vectors.enumerated() { try writer.append(id: Int64(row), vector) }
            try writer.finish()
        }
        let file = try SparseVectorFile(path: path("vectors"))
        let indexing = try seconds { try PostingsWriter.write(file, to: path("postings")) }
        let start = ContinuousClock.now
        let index = try SparseIndex(
            vectors: SparseVectorFile(path: path("vectors")), postings: PostingsFile(path: path("postings")),
            vocabulary: Vocabulary(path: path("vocabulary")))
        let opening = (ContinuousClock.now - start) / .seconds(1)
        return (
            index,
            Build(
                vectorsSeconds: writing, postingsSeconds: indexing, openSeconds: opening,
                weights: file.weightCount, vocabularyBytes: try bytes("vocabulary"), vectorsBytes: try bytes("vectors"),
                postingsBytes: try bytes("postings"))
        )
    }

    private func milliseconds(_ body: () -> Int) -> Double {
        let start = ContinuousClock.now
        let count = body()
        let time = (ContinuousClock.now - start) / .milliseconds(1)
        precondition(count <= k)
        return time
    }

    private func mean(_ counts: [Int]) -> Double { Double(counts.reduce(0, +)) / Double(max(1, counts.count)) }

    // MARK: What was measured

    private struct Build: Codable {
        var vectorsSeconds: Double
        var postingsSeconds: Double
        var openSeconds: Double
        /// Of all rows together.
        var weights: Int
        var vocabularyBytes: Int
        var vectorsBytes: Int
        var postingsBytes: Int
    }

    private struct Times: Codable {
        var p50Ms: Double
        var p90Ms: Double
        var p99Ms: Double
        var meanMs: Double

        /// - Parameter milliseconds: of each question. Its time is the median of them, so that a moment in which the
        ///   machine did something else does not count.
        init(_ milliseconds: [[Double]]) {
            let sorted = milliseconds.map { $0.sorted()[$0.count / 2] }.sorted()
            func at(_ share: Double) -> Double {
                sorted.isEmpty ? .nan : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
            }
            (p50Ms, p90Ms, p99Ms) = (at(0.5), at(0.9), at(0.99))
            meanMs = sorted.reduce(0, +) / Double(max(1, sorted.count))
        }
    }

    private struct Report: Encodable {
        var weights: CaptionWeights.Kind
        var rows: Int
        var terms: Int
        var questions: Int
        var k: Int
        var rounds: Int
        var termsOfARow: Double
        var termsOfAQuestion: Double
        var build: Build
        var search: Times
        var scan: Times
        var scanToSearchP50: Double
        var scanToSearchP99: Double
        var capstan = Release.version

        init(
            weights: CaptionWeights.Kind, rows: Int, terms: Int, questions: Int, k: Int, rounds: Int,
            termsOfARow: Double, termsOfAQuestion: Double, build: Build, search: Times, scan: Times
        ) {
            (self.weights, self.rows, self.terms) = (weights, rows, terms)
            (self.questions, self.k, self.rounds) = (questions, k, rounds)
            (self.termsOfARow, self.termsOfAQuestion) = (termsOfARow, termsOfAQuestion)
            (self.build, self.search, self.scan) = (build, search, scan)
            scanToSearchP50 = scan.p50Ms / search.p50Ms
            scanToSearchP99 = scan.p99Ms / search.p99Ms
        }

        var text: String {
            func decimal(_ value: Double, _ digits: Int = 3) -> String {
                value.formatted(.number.precision(.fractionLength(digits)).grouping(.never))
            }
            func mib(_ bytes: Int) -> String { decimal(Double(bytes) / 1_048_576, 2) + " MiB" }
            func times(_ times: Times) -> String {
                "p50 \(decimal(times.p50Ms)) ms, p90 \(decimal(times.p90Ms)) ms, p99 \(decimal(times.p99Ms)) ms, "
                    + "mean \(decimal(times.meanMs)) ms"
            }
            return """
                capstan \(capstan), \(weights.rawValue): \(rows) rows of \(decimal(termsOfARow, 1)) terms, \(terms) in \
                all; \(questions) questions of \(decimal(termsOfAQuestion, 1)), the median of \(rounds) rounds of each; k \(k)

                search     \(times(search))
                scan       \(times(scan))
                scan/search p50 \(decimal(scanToSearchP50, 1)), p99 \(decimal(scanToSearchP99, 1))

                vectors    \(mib(build.vectorsBytes)), vocabulary \(mib(build.vocabularyBytes)), written in \
                \(decimal(build.vectorsSeconds)) s
                postings   \(mib(build.postingsBytes)), \
                \(decimal(Double(build.postingsBytes) / Double(max(1, build.weights)), 2)) bytes for each of \
                \(build.weights), made in \(decimal(build.postingsSeconds)) s
                opened in  \(decimal(build.openSeconds * 1000, 1)) ms
                """
        }
    }
}

extension CaptionWeights.Kind: ExpressibleByArgument {}
