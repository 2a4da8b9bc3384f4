import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// BLIP: pairs of real images and texts are found by either key, filtered, evaluated and reranked as NumPy says.
@Suite(.withReference, .sharing(BLIPScene.self))
struct BLIPTests {
    /// Images ask for texts and for images, texts for images.
    @Test(arguments: 0..<3)
    func pairsAreFoundByEitherKey(number: Int) async throws {
        let scene = try BLIPScene.current
        let search = scene.questions.searches[number]
        let expected = scene.answers.searches[number]
        let answered = try await scene.results(search.queries, k: search.k, using: search.using, of: "pairs")
        #expect(answered.count == expected.count && expected.count >= 500)
        var differences = Differences()
        for (place, (answer, expected)) in zip(answered, expected).enumerated() {
            differences.add("question \(place)", difference(answer, expected.map(\.result)))
        }
        #expect(differences.isEmpty, "\(differences)")
    }

    /// CapFilt, by the cosine of the keys and by a number in the payload: what is dropped is what the reference drops.
    @Test(arguments: 0..<6)
    func aFilterDropsWhatDoesNotFit(number: Int) async throws {
        let scene = try BLIPScene.current
        let expected = scene.answers.filters[number]
        var request = scene.questions.filters[number]
        request.dryRun = true
        let dry = try await scene.filter("pairs", request)
        try scene.check(dry, expected)
        #expect(dry.report.dryRun)
        #expect(try await scene.daemon.client.datastore("pairs").latestVersion == 1)

        // The same, and a version without them; the domain follows.
        let name = "filtered-\(number)"
        try await scene.load(name, uploading: number % 2 == 0)
        request.dryRun = false
        let done = try await scene.filter(name, request)
        try scene.check(done, expected)
        #expect(done.job.version == 2)
        let store = try await scene.daemon.client.datastore(name)
        #expect(store.latestVersion == 2 && store.entries == expected.kept.count)
        let kept = Set(expected.kept)
        let answers = try await scene.results(
            scene.questions.searches[0].queries, first: 200, k: 10, using: "text", of: name)
        for (answer, all) in zip(answers, scene.answers.searches[0]) {
            let ids = answer.map(\.id)
            #expect(ids.allSatisfy(kept.contains))
            // Those of the first ten that were kept come first, in their order.
            let first = all.map(\.result.id).filter(kept.contains)
            #expect(Array(ids.prefix(first.count)) == first)
        }
    }

    /// Recall at 1, 5 and 10: exact scores with ties by id, within what any order of ties can give.
    @Test func imagesFindTheirTexts() async throws {
        let scene = try BLIPScene.current
        let recall = try #require(scene.answers.recall)
        #expect(recall.queries == 1387)
        #expect(recall.counts["float32"] == [885, 1193, 1284], "what the data's README says")
        for name in ["exact", "float32"] {
            for (place, count) in (recall.counts[name] ?? []).enumerated() {
                #expect(try #require(recall.counts["worst"])[place] <= count)
                #expect(count <= (try #require(recall.counts["best"]))[place])
            }
        }
        let rows = URL(filePath: scene.questions.recall.rows)
        let relevant = try ExactSearchTests.relevantTexts(rows).filter { !$0.isEmpty }
        let images = scene.questions.searches[0].queries
        let answers = try await scene.results(images, k: 10, using: "text", of: "pairs")
        #expect(answers.count == relevant.count)
        let counts = recall.depths.map { depth in
            zip(answers, relevant).count { answer, relevant in
                answer.prefix(depth).contains { $0.externalID.map(relevant.contains) ?? false }
            }
        }
        #expect(counts == recall.counts["exact"])
        #expect(counts == [882, 1194, 1282])
    }

    /// `capstan eval`, both ways.
    @Test func theCommandMeasuresRecall() async throws {
        let scene = try BLIPScene.current
        let recall = try #require(scene.answers.recall)
        let files = scene.questions.recall
        let capstan = CommandLineTool("capstan", environment: ["CAPSTAN_URL": "http://\(scene.daemon.address)"])
        let evaluated = try capstan.run(
            "eval", "pairs", "--images", files.queries, "--image-labels", files.rows, "--texts", files.vectors,
            "--text-labels", files.labels, "--json")
        try #require(evaluated.exitCode == 0, "\(evaluated.errors)")
        struct Report: Decodable {
            struct Direction: Decodable {
                var recallAt1: Double
                var recallAt5: Double
                var recallAt10: Double
                var medianRank: Double
                var queries: Int
                var skipped: Int
            }
            var imageToText: Direction
            var textToImage: Direction
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let report = try decoder.decode(Report.self, from: Data(evaluated.output.utf8))
        let directions = [
            (report.imageToText, recall.queries, try #require(recall.counts["exact"]), recall.median, 1000),
            (report.textToImage, recall.reverse.queries, recall.reverse.counts, recall.reverse.median, 0),
        ]
        for (direction, queries, counts, median, skipped) in directions {
            #expect(direction.queries == queries && direction.skipped == skipped)
            let shares = [direction.recallAt1, direction.recallAt5, direction.recallAt10]
            #expect(shares.map { Int(($0 * Double(queries)).rounded()) } == counts)
            #expect(direction.medianRank == median)
        }
    }

    /// The first stage's texts, in its order, go to the reranker; the answer is in the order of what it says.
    @Test func aSecondStageOrdersTheFirst() async throws {
        let scene = try BLIPScene.current
        let rerank = scene.questions.reranks[0]
        let expected = scene.answers.reranks[0]
        let queries = try Vectors(npy: URL(filePath: rerank.queries))
        let reactions = try rerank.relevance.map { try ScriptedServer.Reaction.answer(json: Relevance($0)) }
        try await ScriptedServer.with(reactions) { url, server in
            try await scene.withReranker(url) { daemon in
                var differences = Differences()
                for number in 0..<queries.count {
                    let options = QueryOptions(
                        k: rerank.k, using: rerank.using,
                        rerank: Rerank(reranker: "itm", query: "question \(number)", fetch: rerank.fetch))
                    let answer = try await daemon.ask(
                        QueryRequest(query: .vector(queries[number]), options: options), of: "pairs")
                    differences.add("question \(number)", difference(answer.results, expected[number].map(\.result)))
                    differences.add("notes \(number)", answer.notes.map { "\($0)" })
                }
                #expect(differences.isEmpty, "\(differences)")
                #expect(expected.count == 500 && server.requests.count == 500)
                // What was asked: the texts of the first stage in their order.
                struct Asked: Decodable {
                    var query: String
                    var documents: [String]
                }
                let first = try await scene.results(
                    rerank.queries, k: rerank.fetch, using: rerank.using, of: "pairs")
                for (number, request) in server.requests.enumerated() {
                    let asked = try JSONDecoder().decode(Asked.self, from: Data(request.text.utf8))
                    #expect(asked.query == "question \(number)")
                    #expect(asked.documents == first[number].map(\.text))
                    #expect(request.uri.hasSuffix("/rerank"))
                }
            }
        }
    }

    /// A reranker that fails costs its order, not the answer.
    @Test func aRerankerThatFailsLeavesTheFirstStage() async throws {
        let scene = try BLIPScene.current
        let rerank = scene.questions.reranks[0]
        let queries = try Vectors(npy: URL(filePath: rerank.queries))
        let first = try await scene.results(rerank.queries, k: rerank.k, using: rerank.using, of: "pairs")
        let failures: [ScriptedServer.Reaction] = [
            .answer(500, "{}"), .close, .answer(200, "not JSON"), .answer(200, "{\"results\": [{\"index\": 9999}]}"),
        ]
        for failure in failures {
            try await ScriptedServer.with(Array(repeating: failure, count: 30)) { url, server in
                try await scene.withReranker(url) { daemon in
                    for number in 0..<3 {
                        let options = QueryOptions(
                            k: rerank.k, using: rerank.using,
                            rerank: Rerank(reranker: "itm", query: "question", fetch: rerank.fetch))
                        let answer = try await daemon.ask(
                            QueryRequest(query: .vector(queries[number]), options: options), of: "pairs")
                        #expect(answer.results == first[number], "\(failure)")
                        #expect(answer.notes?.isEmpty == false, "\(failure)")
                    }
                    #expect(!server.requests.isEmpty)
                }
            }
        }
        try await scene.withReranker("http://127.0.0.1:1") { daemon in
            let options = QueryOptions(
                k: rerank.k, using: rerank.using, rerank: Rerank(reranker: "itm", query: "q", fetch: rerank.fetch))
            let answer = try await daemon.ask(
                QueryRequest(query: .vector(queries[0]), options: options), of: "pairs")
            #expect(answer.results == first[0] && answer.notes?.isEmpty == false)
        }
    }
}

/// What a reranker answers, not in the order of the documents.
private struct Relevance: Encodable {
    struct Result: Encodable {
        var index: Int
        var score: Double

        enum CodingKeys: String, CodingKey {
            case index
            case score = "relevance_score"
        }
    }

    var results: [Result]

    init(_ scores: [Double]) {
        results = scores.enumerated().map { Result(index: $0, score: $1) }.reversed()
    }
}

/// A daemon with real pairs of images and texts, and what is to be expected of them.
struct BLIPScene: SharedScene {
    struct Questions: Decodable {
        struct Search: Decodable {
            var queries: String
            var using: String
            var k: Int
        }
        struct Recall: Decodable {
            var rows: String
            var queries: String
            var vectors: String
            var labels: String
        }
        struct Reranking: Decodable {
            var queries: String
            var using: String
            var k: Int
            var fetch: Int
            var relevance: [[Double]]
        }
        var rows: String
        var vectors: [String: String]
        var filters: [FilterRequest]
        var searches: [Search]
        var recall: Recall
        var reranks: [Reranking]
    }

    struct Answers: Decodable {
        /// `[id, score]` or `[id, score, relevance]`.
        struct Hit: Decodable {
            var result: ExpectedResult

            init(from decoder: any Decoder) throws {
                let numbers = try decoder.singleValueContainer().decode([Double].self)
                result = ExpectedResult(id: Int64(numbers[0]), score: Float(numbers[1]))
                if numbers.count > 2 { result.rankScore = Float(numbers[2]) }
            }
        }
        struct Filtered: Decodable {
            var kept: [Int64]
            var dropped: [Int64]
            var scores: [Float?]
        }
        struct Recall: Decodable {
            struct Reverse: Decodable {
                var queries: Int
                var counts: [Int]
                var median: Double
            }
            var queries: Int
            var depths: [Int]
            var counts: [String: [Int]]
            var median: Double
            var reverse: Reverse
        }
        var filters: [Filtered]
        var searches: [[[Hit]]]
        var recall: Recall?
        var reranks: [[[Hit]]]
    }

    let directory: TemporaryDirectory
    let reference: Reference
    let daemon: Daemon
    let questions: Questions
    let answers: Answers

    static func with(_ tests: (BLIPScene) async throws -> Void) async throws {
        let directory = try TemporaryDirectory()
        let reference = try await Reference("blip")
        let questions: Questions = try reference.questions()
        async let answered = reference.answers(as: Answers.self)
        let daemon = try await Daemon(
            dataDirectory: directory.file("data"), arguments: arguments(reference))
        let scene = BLIPScene(
            directory: directory, reference: reference, daemon: daemon, questions: questions,
            answers: try await answered)
        try await scene.load("pairs")
        try await tests(scene)
        #expect(try await daemon.stop() == 0)
    }

    private static func arguments(_ reference: Reference) -> [String] {
        ["--import-root", reference.directory.url.path, "--import-root", TestData.shared.path]
    }

    /// Imports the pairs, with a file of vectors for each key: by their paths, or uploaded.
    func load(_ name: String, into daemon: Daemon? = nil, uploading: Bool = false) async throws {
        let daemon = daemon ?? self.daemon
        let keys = ["text", "image"].map { KeySpec(name: $0, dim: 512, metric: .cosine) }
        _ = try await daemon.client.createDatastore(CreateDatastoreRequest(name: name, kind: .captions, keys: keys))
        let job =
            uploading
            ? try await daemon.client.importRows(
                file: URL(filePath: questions.rows), keyVectors: questions.vectors.mapValues { URL(filePath: $0) },
                into: name)
            : try await daemon.client.importFromServerPath(
                ImportRequest(rowsPath: questions.rows, vectorsPaths: questions.vectors), into: name)
        _ = try await daemon.succeed(job)
        try await daemon.client.bind(name, to: name)
    }

    /// Runs a daemon of its own with a reranker and the pairs.
    func withReranker(_ url: String, _ body: (Daemon) async throws -> Void) async throws {
        let folder = try TemporaryDirectory()
        let daemon = try await Daemon(
            dataDirectory: folder.file("data"),
            arguments: Self.arguments(reference) + ["--reranker", "itm=\(url)"])
        try await load("pairs", into: daemon)
        try await body(daemon)
        #expect(try await daemon.stop() == 0)
    }

    func results(
        _ queries: String, first: Int = .max, k: Int, using: String, of domain: String
    ) async throws -> [[QueryResult]] {
        let vectors = try Vectors(npy: URL(filePath: queries))
        let requests = (0..<min(vectors.count, first)).map {
            QueryRequest(
                query: .vectorBase64(QueryVectors.base64(vectors[$0])), options: QueryOptions(k: k, using: using))
        }
        return try await daemon.ask(requests, of: domain, at: 100).map { try #require($0.results, "\($0)") }
    }

    struct Filtering {
        var job: JobInfo
        var report: FilterReport
        var dropped: [FilterReport.Example]
    }

    func filter(_ name: String, _ request: FilterRequest) async throws -> Filtering {
        let submitted = try await daemon.post("/v1/datastores/\(name)/filters", json: request).value(JobInfo.self)
        let job = try await daemon.succeed(submitted)
        let output = try await daemon.send("GET", "/v1/jobs/\(job.id)/output")
        #expect(output.status == 200)
        let dropped = try String(decoding: output.body, as: UTF8.self).split(separator: "\n").map {
            try WireJSON.decode(FilterReport.Example.self, from: Data($0.utf8))
        }
        return Filtering(job: job, report: try #require(job.filterReport), dropped: dropped)
    }

    func check(_ filtering: Filtering, _ expected: Answers.Filtered) throws {
        #expect(filtering.dropped.map(\.id) == expected.dropped)
        #expect(filtering.report.kept == expected.kept.count)
        #expect(filtering.report.dropped == expected.dropped.count)
        #expect(filtering.report.unscored == expected.scores.count { $0 == nil })
        #expect(filtering.report.origins.values.reduce(0) { $0 + $1.kept } == expected.kept.count)
        #expect(filtering.report.histogram.counts.reduce(0, +) == expected.scores.count { $0 != nil })
        for one in filtering.dropped {
            let score = expected.scores[Int(one.id) - 1]
            #expect((one.score == nil) == (score == nil) && abs((one.score ?? 0) - (score ?? 0)) <= scoreTolerance)
        }
        #expect(
            filtering.report.droppedExamples.compactMap(\.score)
                == Array(filtering.dropped.compactMap(\.score).sorted(by: >).prefix(10)))
    }
}
