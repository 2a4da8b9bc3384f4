import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// LexVLA: 50,000 real captions as weights of their words, searched, explained, pruned and fused as NumPy says.
@Suite(.withReference, .sharing(LexVLAScene.self))
struct LexVLATests {
    /// Weights above 1/√V, 1,000 questions: ids, order, scores, and what each shared word adds to them.
    @Test func weightsOfWordsFindCaptions() async throws {
        let scene = try LexVLAScene.current
        let answers = try await scene.check("questions", 0, of: "coco")
        #expect(answers.count == 1000)
        for answer in answers {
            for result in answer.results ?? [] {
                #expect(abs((result.terms ?? []).reduce(0) { $0 + $1.share } - 1) < 1e-4)
            }
        }
    }

    /// Dense vectors and weights of words, by ranks and by sums.
    @Test func twoRankingsAreFused() async throws {
        try await LexVLAScene.current.check("questions", 1, of: "coco")
    }

    /// Only the largest weights, all of them, and the largest of those that are large; words, and numbers of words.
    @Test(arguments: ["top", "all", "both"])
    func weightsArePruned(name: String) async throws {
        let scene = try LexVLAScene.current
        let questions: LexVLAScene.Questions = try scene.reference.questions(name)
        try await scene.create(name, dense: false, pruning: questions.lexical)
        let job = try await scene.daemon.client.importRows(
            file: URL(filePath: questions.imported ?? questions.rows), into: name)
        #expect(try await scene.daemon.succeed(job).counts.accepted == 6000)
        try await scene.daemon.client.bind(name, to: name)
        try await scene.check(name, 0, of: name, byNumbers: name == "all")
    }

    /// An unknown word is an error where it is not to be left out.
    @Test func unknownWordsAreNamed() async throws {
        let scene = try LexVLAScene.current
        let reply = try await scene.daemon.post(
            "/v1/domains/coco/query", json: QueryRequest(query: .lexical(.words(["dog": 1, "notaword": 1]))))
        #expect(reply.code == ErrorCode.unknownTerm.rawValue && reply.description.contains("notaword"), "\(reply)")
    }
}

/// A daemon with the captions, and what is to be expected of it.
struct LexVLAScene: SharedScene {
    struct Question: Decodable {
        var row: Int?
        var lexical: [String: Float]
        var options: QueryOptions
    }

    struct Questions: Decodable {
        struct Domain: Decodable {
            var questions: [Question]
        }
        var vocabulary: String
        var rows: String
        var imported: String?
        var lexical: SparsePruning
        var vectors: String?
        var queries: String?
        var domains: [Domain]
    }

    struct Answers: Decodable {
        struct Term: Decodable {
            var word: String
            var weight: Float
            var share: Float

            init(from decoder: any Decoder) throws {
                var container = try decoder.unkeyedContainer()
                word = try container.decode(String.self)
                weight = try container.decode(Float.self)
                share = try container.decode(Float.self)
            }
        }
        struct Result: Decodable {
            var id: Int64
            var score: Float
            var terms: [Term]?
            var scores: [String: Float]?
        }
        struct Answer: Decodable {
            var results: [Result]
        }
        var domains: [[Answer]]
    }

    let daemon: Daemon
    let reference: Reference
    let vocabulary: [String]
    let queries: Vectors
    let questions: Questions
    let answers: Answers

    static func with(_ tests: (LexVLAScene) async throws -> Void) async throws {
        let directory = try TemporaryDirectory()
        let reference = try await Reference("lexvla")
        let questions: Questions = try reference.questions()
        async let answered = reference.answers(as: Answers.self)
        let daemon = try await Daemon(
            dataDirectory: directory.file("data"),
            arguments: ["--import-root", reference.directory.url.path, "--import-root", TestData.shared.path])
        let words = try String(contentsOf: URL(filePath: questions.vocabulary), encoding: .utf8)
        let scene = LexVLAScene(
            daemon: daemon, reference: reference, vocabulary: words.split(separator: "\n").map(String.init),
            queries: try Vectors(npy: URL(filePath: try #require(questions.queries))), questions: questions,
            answers: try await answered)
        // What is usual for a vocabulary: 1/√V.
        try await scene.create("coco", dense: true, pruning: nil)
        let job = try await daemon.client.importFromServerPath(
            ImportRequest(rowsPath: questions.rows, vectorsPath: questions.vectors), into: "coco")
        #expect(try await daemon.succeed(job).counts.accepted == 50000)
        try await daemon.client.bind("coco", to: "coco")
        try await tests(scene)
        #expect(try await daemon.stop() == 0)
    }

    func create(_ name: String, dense: Bool, pruning: SparsePruning?) async throws {
        var keys = [KeySpec(name: "lexical", terms: vocabulary.count, pruning: pruning)]
        if dense { keys.insert(KeySpec(name: "text", dim: queries.dim, metric: .cosine), at: 0) }
        _ = try await daemon.client.createDatastore(CreateDatastoreRequest(name: name, kind: .captions, keys: keys))
        let reply = try await daemon.send(
            "PUT", "/v1/datastores/\(name)/keys/lexical/vocabulary",
            Data(contentsOf: URL(filePath: questions.vocabulary)), type: "text/plain")
        #expect(reply.status < 300, "\(reply)")
    }

    /// Asks all questions of a file and compares all answers.
    @discardableResult
    func check(
        _ file: String, _ place: Int, of domain: String, byNumbers: Bool = false
    ) async throws -> [QueryBatchItem] {
        let questions = file == "questions" ? self.questions : try reference.questions(file)
        let answers = file == "questions" ? self.answers : try await reference.answers(to: file)
        let asked = questions.domains[place].questions
        let numbers = Dictionary(uniqueKeysWithValues: vocabulary.enumerated().map { ($1, UInt32($0)) })
        let requests = try asked.map { question in
            var weights = LexicalWeights.words(question.lexical)
            if byNumbers {
                let known = question.lexical.filter { numbers[$0.key] != nil }
                weights = .numbers(
                    try SparseVector(indices: known.keys.compactMap { numbers[$0] }, values: Array(known.values)))
            }
            let query = question.row.map { QueryInput.fused(.vector(queries[$0]), weights) } ?? .lexical(weights)
            return QueryRequest(query: query, options: question.options)
        }
        let answered = try await daemon.ask(requests, of: domain)
        #expect(answered.count == answers.domains[place].count)
        var differences = Differences()
        for (number, (answer, expected)) in zip(answered, answers.domains[place]).enumerated() {
            let name = "question \(number), \(asked[number].options.fusion.map { "\($0)" } ?? "lexical")"
            differences.add(
                name,
                answer.error.map { "\($0)" }
                    ?? difference(answer.results, expected.results.map { ExpectedResult(id: $0.id, score: $0.score) }))
            for (result, expected) in zip(answer.results ?? [], expected.results) {
                differences.add(name, explanationDifference(result, expected))
            }
        }
        #expect(differences.isEmpty, "\(differences)")
        return answered
    }

    private func explanationDifference(_ result: QueryResult, _ expected: Answers.Result) -> String? {
        if let terms = expected.terms {
            let found = result.terms ?? []
            let isSame =
                found.count == terms.count
                && zip(found, terms).allSatisfy {
                    $0.term == $1.word && Int(numberOf: $1.word, in: vocabulary) == $0.index
                        && abs($0.weight - $1.weight) <= scoreTolerance && abs($0.share - $1.share) <= scoreTolerance
                }
            if !isSame { return "the terms of \(result.id): got \(found), expected \(terms)" }
        }
        for (key, score) in expected.scores ?? [:] {
            // A ranking that did not find an entry says nothing of it.
            if let own = result.scores?[key], abs(own - score) > scoreTolerance {
                return "the score of \(result.id) by \(key): got \(own), expected \(score)"
            }
        }
        return nil
    }
}

extension Int {
    /// The place of a word in an ascending list.
    fileprivate init?(numberOf word: String, in words: [String]) {
        var range = words.startIndex..<words.endIndex
        while range.count > 1 {
            let middle = range.lowerBound + range.count / 2
            range = words[middle] <= word ? middle..<range.upperBound : range.lowerBound..<middle
        }
        guard !range.isEmpty, words[range.lowerBound] == word else { return nil }
        self = range.lowerBound
    }
}
