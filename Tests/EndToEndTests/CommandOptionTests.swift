import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// What `capstan`'s options become on the wire, and how answers are printed; the daemon is scripted.
struct CommandOptionTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    /// Runs the command while a daemon reacts so, in order.
    private func capstan(
        _ arguments: String..., reactions: [ScriptedServer.Reaction], input: String? = nil
    ) async throws -> (outcome: CommandLineTool.Outcome, requests: [ScriptedServer.Request]) {
        try await ScriptedServer.with(reactions) { url, server in
            let tool = CommandLineTool("capstan", environment: ["CAPSTAN_URL": url])
            return (try tool.run(arguments, input: input), server.requests)
        }
    }

    private static func result(_ text: String, _ change: (inout QueryResult) -> Void = { _ in }) -> QueryResult {
        var result = QueryResult(
            entry: Entry(id: 8, fields: EntryFields(text: text)), score: 0.5, datastore: "shop", version: 2)
        change(&result)
        return result
    }

    private static func batch(_ answers: QueryAnswer...) -> QueryBatchAnswer {
        QueryBatchAnswer(domain: "shop", revision: 3, answers: answers.map(QueryBatchItem.init))
    }

    private static func answer(
        _ results: [QueryResult] = [], names: [String]? = nil, joined: String? = nil, notes: [String]? = nil
    ) -> QueryAnswer {
        QueryAnswer(
            domain: "shop", revision: 3, results: results, shortfall: nil, prompt: nil, names: names, joined: joined,
            notes: notes)
    }

    private static func job(
        _ kind: JobKind, _ state: JobState = .succeeded, version: Int? = nil, filter: FilterReport? = nil,
        dump: DumpReport? = nil
    ) -> JobInfo {
        JobInfo(
            id: "j1", kind: kind, datastore: "shop", state: state, phase: state.isFinal ? .done : .waiting,
            counts: JobCounts(), version: version, error: nil, createdAt: Date(timeIntervalSince1970: 0),
            startedAt: nil, finishedAt: nil, filterReport: filter, dumpReport: dump)
    }

    private static func events(_ job: JobInfo) throws -> ScriptedServer.Reaction {
        .answer(200, "data: \(String(decoding: try WireJSON.encode(job), as: UTF8.self))\n\n")
    }

    // MARK: Questions

    @Test func optionsOfAQuestionReachTheDaemon() async throws {
        let template = try directory.write("template.txt", Data("a\r\n||\n".utf8))
        let vector = try directory.write("vector.json", Data("[1, 0]".utf8))
        let results = [
            Self.result("a dog") {
                $0.rankScore = 0.25
                $0.pending = true
            }, Self.result("a cat"),
        ]
        let (outcome, requests) = try await capstan(
            "query", "shop", "--vector", vector.path, "-k", "2", "--using", "text", "--dedupe", "text,similarity=0.9",
            "--no-include-pending", "--template", template.path, "--mmr", "0.5", "--mmr-fetch", "9", "--select",
            "top_and_sample", "--select-from", "8", "--order", "permute", "--seed", "7",
            reactions: [.answer(json: Self.batch(Self.answer(results, notes: ["reranker \"bge\": away"])))])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(
            requests.map(\.uri) == [
                "/v1/domains/shop/query?k=2&using=text&dedupe=text%2Csimilarity%3D0.9&include_pending=false"
                    + "&prompt=true&template=a%0D%0A%7C%7C%0A&mmr=0.5&mmr_fetch=9&select=top_and_sample&select_from=8"
                    + "&order=permute&seed=7&count=1"
            ])
        #expect(
            outcome.output == """
                 SCORE  RANK_SCORE  TEXT   IMAGE  ENTRY
                0.5000      0.2500  a dog  -      shop@2 #8 (pending)
                0.5000           -  a cat  -      shop@2 #8
                note: reranker "bge": away

                """)
    }

    @Test func mergedVectorsArePrintedWithTheirNames() async throws {
        let vectors = try directory.write("vectors.json", Data("[[1, 0], [0, 1]]".utf8))
        let results = [
            Self.result("A cat!") {
                $0.name = "a cat"
                $0.vector = 1
            }
        ]
        let reaction = try ScriptedServer.Reaction.answer(
            json: Self.answer(results, names: ["a cat"], joined: "a cat"))
        let arguments = ["query", "shop", "--vector", vectors.path, "--merge", "--per-vector", "3", "--limit", "9"]
        let (outcome, requests) = try await ScriptedServer.with([reaction, reaction]) { url, server in
            let tool = CommandLineTool("capstan", environment: ["CAPSTAN_URL": url])
            let json = try tool.run(arguments + ["--json"])
            #expect(json.output.contains(#""joined":"a cat","names":["a cat"]"#))
            return (try tool.run(arguments), server.requests)
        }
        #expect(
            requests.last?.uri
                == "/v1/domains/shop/query?merge=true&per_vector=3&limit=9&separator=%20%5BSEP%5D%20&count=2")
        #expect(
            outcome.output == """
                 SCORE  NAME   TEXT    VECTOR  IMAGE  ENTRY
                0.5000  a cat  A cat!       1  -      shop@2 #8

                1 names: a cat

                """)
    }

    @Test func lexicalQuestionsShowTheirTerms() async throws {
        let terms = (0..<6).map { TermShare(term: $0 == 1 ? nil : "t\($0)", index: $0, weight: 1, share: 0.25) }
        let reaction = try ScriptedServer.Reaction.answer(
            json: Self.batch(Self.answer([Self.result("a dog") { $0.terms = terms }])))
        let (outcome, requests) = try await capstan(
            "query", "shop", "--lexical", "-", "--ignore-unknown-terms", reactions: [reaction],
            input: #"{"dog": 2, "ball": 0.5}"#)
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(requests.map(\.uri) == ["/v1/domains/shop/query/batch"])
        let sent = try WireJSON.decode(QueryBatchRequest.self, from: Data(requests[0].text.utf8))
        #expect(
            sent.queries == [
                QueryRequest(
                    query: .lexical(.words(["dog": 2, "ball": 0.5])), options: QueryOptions(ignoreUnknownTerms: true))
            ])
        #expect(outcome.output.contains("t0 25%, #1 25%, t2 25%, t3 25%, t4 25%, …"))
    }

    @Test func twoRankingsAreFusedAndReranked() async throws {
        let vectors = try directory.write("vectors.json", Data("[[1, 0], [0, 1]]".utf8))
        let weights = try directory.write("weights.json", Data(#"{"indices": [4, 9], "values": [1, 0.5]}"#.utf8))
        let (outcome, requests) = try await capstan(
            "query", "shop", "--vector", vectors.path, "--lexical", weights.path, "--fusion", "sum", "--dense-weight",
            "0.5", "--rerank", "bge", "--rerank-query", "a dog", "--rerank-fetch", "50",
            reactions: [.answer(json: Self.batch(Self.answer(), Self.answer()))])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let sent = try WireJSON.decode(QueryBatchRequest.self, from: Data(requests[0].text.utf8))
        let numbers = try SparseVector(indices: [4, 9], values: [1, 0.5])
        #expect(
            sent.queries.map(\.query) == [
                .fused(.vectorBase64(QueryVectors.base64([1, 0])), .numbers(numbers)),
                .fused(.vectorBase64(QueryVectors.base64([0, 1])), .numbers(numbers)),
            ])
        #expect(sent.queries.allSatisfy { $0.options.fusion == Fusion(method: .sum, denseWeight: 0.5) })
        #expect(
            sent.queries.allSatisfy { $0.options.rerank == Rerank(reranker: "bge", query: "a dog", fetch: 50) })
    }

    @Test(arguments: [
        (["--entry", "88"], EntryReference(id: 88)), (["--entry", "a-8"], EntryReference(externalID: "a-8")),
        (["--entry", "\"88\""], EntryReference(externalID: "88")),
        (["--entry", "88", "--entry-datastore", "coco"], EntryReference(id: 88, datastore: "coco")),
    ])
    func anEntryIsAQuestion(arguments: [String], reference: EntryReference) async throws {
        let reaction = try ScriptedServer.Reaction.answer(json: Self.batch(Self.answer()))
        try await ScriptedServer.with([reaction]) { url, server in
            let outcome = try CommandLineTool("capstan", environment: ["CAPSTAN_URL": url])
                .run(["query", "shop"] + arguments)
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            let text = try #require(server.requests.first?.text)
            let sent = try WireJSON.decode(QueryBatchRequest.self, from: Data(text.utf8))
            #expect(sent.queries.map(\.query) == [.entry(reference)])
        }
    }

    @Test func optionsThatDoNotGoTogetherAreUsageErrors() throws {
        for arguments in [
            ["query", "shop"], ["query", "shop", "--text", "a", "--entry", "7"],
            ["query", "shop", "--text", "a", "--merge"],
            ["query", "shop", "--text", "a", "--per-vector", "3"], ["query", "shop", "--text", "a", "--fusion", "rrf"],
            ["query", "shop", "--text", "a", "--rerank-fetch", "9"],
            ["query", "shop", "--text", "a", "--mmr-fetch", "9"],
            ["query", "shop", "--text", "a", "--select", "best"], ["query", "shop", "--lexical", "-", "--vector", "-"],
            ["query", "shop", "--text", "a", "--dedupe", "words"], ["query", "shop", "--text", "a", "--seed", "-1"],
            ["score", "--candidates", "c.txt"], ["score", "--text", "a", "--image", "b", "--candidates", "c.txt"],
            ["filter", "web", "--threshold", "1"], ["filter", "web", "--payload", "itm"],
            ["filter", "web", "--keys", "a", "--threshold", "1"],
            ["filter", "web", "--keys", "a,b", "--payload", "c", "--threshold", "1"],
            ["filter", "web", "--payload", "c", "--threshold-for", "web=x"],
            ["filter", "web", "--payload", "c", "--threshold-for", "web=1", "--threshold-for", "web=2"],
            ["dump", "street"], ["eval", "street"], ["eval", "street", "--images", "a.npy"],
            ["datastore", "create", "x", "--kind", "captions", "--key", "text:4", "--vocabulary", "text=a.txt"],
            ["datastore", "create", "x", "--kind", "captions"],
            ["domain", "set", "street", "coco:limit=0"], ["domain", "set", "street", "coco:size=1"],
        ] {
            let outcome = try CommandLineTool("capstan").run(arguments)
            #expect(outcome.exitCode == 2, "\(arguments): \(outcome)")
        }
    }

    // MARK: Scores

    @Test func candidatesAreScored() async throws {
        let candidates = try directory.write("candidates.txt", Data("a cat\r\n\r\na dog\n".utf8))
        let answer = try ScoreAnswer(cosines: [0.1, 0.3], texts: ["a cat", "a dog"], temperature: 0.5)
        let (outcome, requests) = try await capstan(
            "score", "street", "--text", "an animal", "--candidates", candidates.path, "--temperature", "0.5",
            reactions: [.answer(json: answer)])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let sent = try WireJSON.decode(ScoreRequest.self, from: Data(requests[0].text.utf8))
        #expect(
            sent
                == ScoreRequest(
                    query: .text("an animal"), domain: "street", candidates: .texts(["a cat", "a dog"]),
                    temperature: 0.5))
        #expect(
            outcome.output == """
                RANK  PROBABILITY  COSINE  TEXT
                   1       0.5987  0.3000  a dog
                   2       0.4013  0.1000  a cat

                """)
    }

    @Test func vectorsOfANumPyFileAreCandidates() async throws {
        let candidates = directory.file("candidates.npy")
        try Vectors(values: [1, 2, 3, 4], dim: 2).npy().write(to: candidates)
        let answer = try ScoreAnswer(cosines: [0.1, 0.3], temperature: 0.01)
        let (outcome, requests) = try await capstan(
            "score", "--vector", "-", "--candidates", candidates.path, reactions: [.answer(json: answer)],
            input: "[1, 0]")
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let sent = try WireJSON.decode(ScoreRequest.self, from: Data(requests[0].text.utf8))
        #expect(sent.candidates == .vectorsBase64([QueryVectors.base64([1, 2]), QueryVectors.base64([3, 4])]))
        #expect(sent.query == .vectorBase64(QueryVectors.base64([1, 0])))
        #expect(outcome.output.contains("#1"))
    }

    // MARK: Datastores and domains

    @Test func rowsAreAddedAndRefusalsAreSaid() async throws {
        var counts = JobCounts()
        counts.seen = 2
        counts.accepted = 1
        counts.rejected = 1
        let changes = EntryChanges(
            entries: [
                EntryChange(outcome: .accepted, id: 1, externalID: "a"),
                EntryChange(
                    outcome: .rejected, id: nil, externalID: "b",
                    error: JobFailure(code: "vector_zero", detail: "a vector of zeros")),
            ], counts: counts, pendingChanges: 4)
        let rows = "{\"text\": \"a\"}\n{\"text\": \"b\"}\n"
        let (outcome, requests) = try await capstan(
            "entries", "add", "shop", "-", reactions: [.answer(json: changes)], input: rows)
        #expect(outcome.exitCode == 1)
        #expect(requests.map(\.text) == [rows])
        #expect(requests.first?.contentType == "application/x-ndjson")
        #expect(outcome.output.contains("2 seen: 1 accepted") && outcome.output.contains("4 pending changes"))
        #expect(outcome.errors == "row 2 (b): vector_zero: a vector of zeros\n")

        let (_, single) = try await capstan(
            "entries", "add", "shop", "-", reactions: [.answer(json: changes)], input: "{\n\"text\": \"a\"}")
        #expect(single.first?.contentType == "application/json")
    }

    @Test func aVocabularyFollowsTheDatastore() async throws {
        let words = try directory.write("terms.txt", Data("dog\ncat\n".utf8))
        let info = DatastoreInfo(
            name: "shop", kind: .captions, keys: [], description: nil, licence: nil,
            createdAt: Date(timeIntervalSince1970: 0), latestVersion: nil, entries: 0, pendingChanges: 0)
        let (outcome, requests) = try await capstan(
            "datastore", "create", "shop", "--kind", "captions", "--key", "text:4", "--key", "lexical:sparse:2:top=1",
            "--encoder", "clip", "--vocabulary", "lexical=\(words.path)",
            reactions: [.answer(201, json: info), .answer(204)])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(requests.map(\.uri) == ["/v1/datastores", "/v1/datastores/shop/keys/lexical/vocabulary"])
        let sent = try WireJSON.decode(CreateDatastoreRequest.self, from: Data(requests[0].text.utf8))
        #expect(sent.keys.map(\.name) == ["text", "lexical"])
        #expect(sent.keys.map { $0.encoder?.model } == ["clip", nil])
        #expect(requests[1].text == "dog\ncat\n")

        let (alone, put) = try await capstan(
            "datastore", "vocabulary", "shop", "lexical", words.path, reactions: [.answer(204)])
        #expect(alone.exitCode == 0 && put.first?.method == "PUT")
    }

    @Test func aDomainTakesAndShowsAllItsDefaults() async throws {
        let template = try directory.write("template.txt", Data("a\n||".utf8))
        let info = DomainInfo(
            domain: "street", revision: 1, reason: .set, restoredRevision: nil,
            createdAt: Date(timeIntervalSince1970: 0),
            datastores: [
                BoundDatastore(name: "coco", version: 7, followsLatest: false),
                BoundDatastore(name: "web", version: 2, followsLatest: true, limit: 2, weight: 0.5),
            ],
            defaults: QueryDefaults(k: 4, includePending: true, template: "a\n||"))
        let (outcome, requests) = try await capstan(
            "domain", "set", "street", "coco@7", "web:limit=2:weight=0.5", "-k", "4", "--include-pending",
            "--template", template.path, reactions: [.answer(json: info)])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let sent = try WireJSON.decode(SetDomainRequest.self, from: Data(requests[0].text.utf8))
        #expect(
            sent
                == SetDomainRequest(
                    datastores: [
                        DatastoreBinding(name: "coco", version: 7),
                        DatastoreBinding(name: "web", limit: 2, weight: 0.5),
                    ], defaults: info.defaults))
        let (shown, _) = try await capstan("domain", "show", "street", reactions: [.answer(json: info)])
        #expect(shown.output.contains("coco@7, web@2:limit=2:weight=0.5 (follows the latest)"))
        #expect(shown.output.contains("include pending  yes"))
        #expect(shown.output.contains(#""a\n||""#))
    }

    // MARK: Jobs

    private static let report = FilterReport(
        kept: 3, dropped: 1, unscored: 0,
        origins: ["web": .init(kept: 2, dropped: 1), "none": .init(kept: 1, dropped: 0)],
        histogram: .init(low: 0, high: 1, counts: [0, 1, 0, 3, 0]),
        droppedExamples: [
            .init(entry: Entry(id: 5, fields: EntryFields(text: "a dog", imageID: "9", origin: .web)), score: 0.25)
        ], keptExamples: [], dryRun: false)

    @Test func aFilterIsFollowedAndReported() async throws {
        let (outcome, requests) = try await capstan(
            "filter", "web", "--keys", "image,text", "--threshold", "-0.1", "--threshold-for", "web=0.3",
            "--drop-unscored", "--examples", "3",
            reactions: [
                .answer(202, json: Self.job(.filter, .queued)),
                try Self.events(Self.job(.filter, version: 4, filter: Self.report)),
            ])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(requests.map(\.uri) == ["/v1/datastores/web/filters", "/v1/jobs/j1/events"])
        let sent = try WireJSON.decode(FilterRequest.self, from: Data(requests[0].text.utf8))
        #expect(
            sent
                == FilterRequest(
                    score: .keys("image", "text"), threshold: -0.1, thresholds: ["web": 0.3], unscored: .drop,
                    examples: 3))
        #expect(outcome.output.hasPrefix("web: 3 kept, 1 dropped; version 4, in "))
        for part in [
            "ORIGIN  KEPT  DROPPED\nnone       1        0\nweb        2        1\n",
            "0.200  0.400        1  ##############\n",
            "0.600  0.800        3  ########################################\n",
            "dropped, nearest to the threshold:\n SCORE  TEXT   ORIGIN  IMAGE  ENTRY\n0.2500  a dog  web     9      #5\n",
        ] {
            #expect(outcome.output.contains(part), "\(outcome.output)")
        }
        let (json, _) = try await capstan(
            "filter", "web", "--payload", "itm", "--threshold", "0.5", "--no-wait", "--json",
            reactions: [.answer(202, json: Self.job(.filter, .queued))])
        #expect(json.output.contains(#""state":"queued""#))
    }

    @Test func aDumpIsWrittenWhole() async throws {
        let queries = directory.file("images.npy")
        try Vectors(values: [1, 2, 3, 4], dim: 2).npy().write(to: queries)
        let ids = try directory.write("ids.json", Data("[1, 2]".utf8))
        let captions = #"{"1": ["a"], "2": ["b"]}"#
        let done = Self.job(.dump, dump: DumpReport(revision: 3, images: 2, short: 1))
        let reactions: [ScriptedServer.Reaction] = [
            try .answer(202, json: Self.job(.dump, .queued)), try Self.events(done), .answer(200, captions),
        ]
        let output = directory.file("captions.json")
        let (outcome, requests) = try await capstan(
            "dump", "street", "--queries", queries.path, "--ids", ids.path, "-n", "7", "-o", output.path, "--select",
            "sample", "--seed", "1", "--keep-own-image", reactions: reactions)
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(
            requests.map(\.uri) == ["/v1/domains/street/dumps", "/v1/jobs/j1/events", "/v1/jobs/j1/output"])
        #expect(
            requests[0].text.contains(#"{"exclude_own_image":false,"k":7,"select":{"method":"sample","order":"score","#)
        )
        #expect(try String(contentsOf: output, encoding: .utf8) == captions)
        #expect(outcome.output.hasPrefix("street: captions of 2 images, of revision 3; 1 have fewer than asked, in "))
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.url.path).count == 3)

        let (piped, _) = try await capstan(
            "dump", "street", "--queries", queries.path, "--ids", ids.path, reactions: reactions)
        #expect(piped.output == captions)
        #expect(piped.errors.contains("captions of 2 images"))
    }

    @Test func theOutputOfAJobIsFetched() async throws {
        let (outcome, _) = try await capstan("jobs", "output", "j1", reactions: [.answer(200, "{}\n{}\n")])
        #expect(outcome.exitCode == 0 && outcome.output == "{}\n{}\n")
        let problem = Problem(status: 404, title: "No", code: "no_output", detail: "no output")
        let file = directory.file("output")
        let (refused, _) = try await capstan(
            "jobs", "output", "j1", "-o", file.path, reactions: [.answer(404, json: problem)])
        #expect(refused.exitCode == 1 && refused.errors.contains("no_output"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.url.path).isEmpty)
        let (shown, _) = try await capstan(
            "jobs", "show", "j1", reactions: [.answer(json: Self.job(.filter, version: 4, filter: Self.report))])
        #expect(shown.output.contains("3 kept, 1 dropped"))
    }

    // MARK: Evaluation

    @Test func recallIsMeasuredInBothDirections() async throws {
        let images = directory.file("images.npy")
        try Vectors(values: [1, 0, 0, 1, 1, 1], dim: 2).npy().write(to: images)
        let texts = directory.file("texts.npy")
        try Vectors(values: [1, 0], dim: 2).npy().write(to: texts)
        let imageLabels = try directory.write(
            "images.jsonl", Data("{\"relevant\": [\"a\"]}\n{}\n{\"image_id\": \"7\"}\n".utf8))
        let textLabels = try directory.write("texts.jsonl", Data("{\"image_id\": 7}\n".utf8))
        let found = Self.result("a") { $0.externalID = "a" }
        let other = Self.result("b") { $0.imageID = "7" }
        let reactions: [ScriptedServer.Reaction] = [
            try .answer(json: Self.batch(Self.answer([found]), Self.answer([found, other]))),
            try .answer(json: Self.batch(Self.answer([found]))),
        ]
        let arguments = [
            "eval", "shop", "--images", images.path, "--image-labels", imageLabels.path, "--texts", texts.path,
            "--text-labels", textLabels.path,
        ]
        let (outcome, requests) = try await ScriptedServer.with(reactions) { url, server in
            (try CommandLineTool("capstan", environment: ["CAPSTAN_URL": url]).run(arguments), server.requests)
        }
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(
            requests.map(\.uri) == [
                "/v1/domains/shop/query?k=10&using=text&dedupe=none&count=2",
                "/v1/domains/shop/query?k=10&using=image&dedupe=image&count=1",
            ])
        // The row without labels is not asked.
        #expect(requests[0].bytes == QueryVectors.littleEndian([1, 0, 1, 1]))
        #expect(
            outcome.output == """
                DIRECTION       R@1    R@5   R@10  MEAN  MEDIAN  QUERIES  SKIPPED
                image to text  50.0  100.0  100.0  83.3     1.5        2        1
                text to image   0.0    0.0    0.0   0.0    > 10        1        0

                mean recall: 41.7

                """)
    }

    @Test func labelsMustBeAsManyAsVectors() async throws {
        let images = directory.file("images.npy")
        try Vectors(values: [1, 0, 0, 1], dim: 2).npy().write(to: images)
        let labels = try directory.write("labels.jsonl", Data("{}\n".utf8))
        let (outcome, requests) = try await capstan(
            "eval", "shop", "--images", images.path, "--image-labels", labels.path, reactions: [])
        #expect(outcome.exitCode == 1 && outcome.errors.contains("rows_vectors_mismatch"))
        #expect(requests.isEmpty)
    }
}
