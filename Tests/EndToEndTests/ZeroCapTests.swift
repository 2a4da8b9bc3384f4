import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// ZeroCap: sums of images, captions, names and texts find what NumPy finds, and candidates are scored as it scores them.
@Suite(.withReference, .sharing(ZeroCapScene.self))
struct ZeroCapTests {
    /// Any number of terms, with weights above and below zero, each normalised first or not.
    @Test(arguments: ["captions", "names", "both"])
    func sumsFindTheirNearest(domain: String) async throws {
        let scene = try ZeroCapScene.current
        let place = try #require(ZeroCapScene.domains.firstIndex { $0 == domain })
        let asked = scene.questions.domains[place].questions
        let answered = try await scene.daemon.ask(asked.enumerated().map { scene.request($1, $0) }, of: domain)
        let expected = scene.answers.domains[place]
        #expect(answered.count == expected.count)
        #expect(domain == "names" || expected.contains { $0.cancel == true })
        var differences = Differences()
        for (number, (answer, expected)) in zip(answered, expected).enumerated() {
            let name = "question \(number)"
            if expected.cancel == true {
                let code = answer.error?.code
                differences.add(name, code == ErrorCode.termsCancel.rawValue ? nil : "got \(code ?? "an answer")")
            } else {
                differences.add(
                    name,
                    answer.error.map { "\($0)" } ?? difference(answer.results, expected.results ?? []))
            }
        }
        #expect(differences.isEmpty, "\(differences)")
    }

    /// Cosines, softmax at temperatures from 0.000001 to 1,000,000, order and best, of up to 512 candidates.
    @Test func candidatesAreScored() async throws {
        let scene = try ZeroCapScene.current
        #expect(scene.questions.scores.contains { $0.candidates.count == 512 })
        var differences = Differences()
        for (number, (asked, expected)) in zip(scene.questions.scores, scene.answers.scores).enumerated() {
            let (request, texts) = scene.request(asked)
            let answer = try await scene.daemon.post("/v1/score", json: request).value(ScoreAnswer.self)
            func add(_ what: String, _ isSame: Bool) {
                differences.add("\(number), \(asked.candidates.count) at \(asked.temperature)", isSame ? nil : what)
            }
            let far = zip(answer.scores, expected.cosines).filter { abs($0.cosine - $1) > scoreTolerance }
            add("cosines \(far.prefix(3))", far.isEmpty && answer.scores.count == expected.cosines.count)
            let other = zip(answer.scores, expected.probabilities).filter { abs($0.probability - $1) > scoreTolerance }
            add("probabilities \(other.prefix(3))", other.isEmpty)
            add("sum", abs(answer.scores.reduce(0) { $0 + Double($1.probability) } - 1) < 1e-4)
            add("order \(answer.order), expected \(expected.order)", answer.order == expected.order)
            add("best", answer.best == answer.scores[expected.order[0]])
            add("indices", answer.scores.map(\.index) == Array(answer.scores.indices))
            add("texts", texts == nil || answer.scores.map(\.text) == texts?.map(Optional.some))
            add("temperature", answer.temperature == asked.temperature)
        }
        #expect(differences.isEmpty, "\(differences)")
    }

    /// Candidates of one direction have one cosine, and come in the order in which they were given.
    @Test func candidatesThatScoreTheSameStayInTheirOrder() async throws {
        let scene = try ZeroCapScene.current
        var differences = Differences()
        for row in 0..<40 {
            let scales: [Float] = [3, 0.1, 7, 1, 0.3, 11]
            let vectors = scales.flatMap { scale in scene.candidates[row].map { $0 * scale } }
            let request = ScoreRequest(
                query: .vector(scene.queries[row]), candidates: .vectors(vectors, count: scales.count))
            let answer = try await scene.daemon.post("/v1/score", json: request).value(ScoreAnswer.self)
            let order = answer.scores.indices.sorted {
                (answer.scores[$1].cosine, $0) < (answer.scores[$0].cosine, $1)
            }
            differences.add(
                "\(answer.scores.map(\.cosine))", answer.order == order ? nil : "got the order \(answer.order)")
        }
        #expect(differences.isEmpty, "\(differences)")
    }

    /// What cannot be scored, and a sum that has no direction, each by its own name.
    @Test func whatCannotBeScoredIsRefused() async throws {
        let scene = try ZeroCapScene.current
        let one = Array(scene.queries.values.prefix(scene.queries.dim))
        let zeros = [Float](repeating: 0, count: one.count)
        func request(_ candidates: Int, temperature: Float = 0.01, query: QueryInput? = nil) -> ScoreRequest {
            let vectors = Array(repeating: one, count: candidates).flatMap(\.self)
            return ScoreRequest(
                query: query ?? .vector(one), candidates: .vectors(vectors, count: candidates), temperature: temperature
            )
        }
        let cancelled = QueryInput.terms(
            WeightedSum(terms: [WeightedTerm(weight: 1, .vector(one)), WeightedTerm(weight: -1, .vector(one))]))
        var sum = request(2, query: cancelled)
        sum.domain = "captions"
        for (question, code) in [
            (request(513), ErrorCode.tooManyCandidates), (request(0), .noCandidates),
            (request(3, temperature: 0), .temperatureOutOfRange), (request(3, temperature: -1), .temperatureOutOfRange),
            (sum, .termsCancel), (request(2, query: .vector(zeros)), .vectorZero),
            (request(2, query: .vector(Array(one.dropLast()))), .vectorDimMismatch),
        ] {
            let reply = try await scene.daemon.post("/v1/score", json: question)
            #expect(reply.status == 400 && reply.code == code.rawValue, "\(code.rawValue): \(reply)")
        }
        let most = try await scene.daemon.post("/v1/score", json: request(512)).value(ScoreAnswer.self)
        #expect(most.scores.count == 512 && most.order == Array(0..<512))
    }
}

/// A daemon with real captions and names in CLIP's space, an encoder of CLIP's text vectors, and what is to be expected.
struct ZeroCapScene: SharedScene {
    struct Term: Decodable {
        var weight: Float?
        var row: Int?
        var text: String?
        var entry: EntryReference?
    }

    struct Question: Decodable {
        var terms: [Term]
        var normaliseTerms: Bool?
        var options: QueryOptions

        enum CodingKeys: String, CodingKey {
            case terms, options
            case normaliseTerms = "normalise_terms"
        }
    }

    struct Questions: Decodable {
        struct Domain: Decodable {
            var stores: [String]
            var questions: [Question]
        }
        struct Score: Decodable {
            var query: Term
            var candidates: [Int]
            var form: String
            var temperature: Float
        }
        var stores: [String: StoreFiles]
        var queries: String
        var texts: [String: Int]
        var candidates: String
        var domains: [Domain]
        var scores: [Score]
    }

    struct Answers: Decodable {
        struct Answer: Decodable {
            var results: [ExpectedResult]?
            var cancel: Bool?
        }
        struct Score: Decodable {
            var cosines: [Float]
            var probabilities: [Float]
            var order: [Int]
        }
        var domains: [[Answer]]
        var scores: [Score]
    }

    static let domains = ["captions", "names", "both"]

    let daemon: Daemon
    let questions: Questions
    let queries: Vectors
    let candidates: Vectors
    let answers: Answers

    static func with(_ tests: (ZeroCapScene) async throws -> Void) async throws {
        let directory = try TemporaryDirectory()
        let reference = try await Reference("zerocap")
        let questions: Questions = try reference.questions()
        let answers = try await reference.answers(as: Answers.self)
        let queries = try Vectors(npy: URL(filePath: questions.queries))
        let candidates = try Vectors(npy: URL(filePath: questions.candidates))
        try await HashingEncoder.with(known: questions.texts.mapValues { candidates[$0] }) { encoder in
            let daemon = try await Daemon(
                dataDirectory: directory.file("data"), arguments: ["--encoder", "clip=\(encoder.url)"])
            for name in ["captions", "names"] {
                let model = Encoder(model: HashingEncoder.model, endpoint: "clip")
                try await daemon.load(
                    name, encoder: name == "captions" ? model : nil, dim: queries.dim,
                    try #require(questions.stores[name]))
            }
            for (name, domain) in zip(domains, questions.domains) {
                let bindings = domain.stores.map { DatastoreBinding(name: $0) }
                _ = try await daemon.client.setDomain(name, to: SetDomainRequest(datastores: bindings))
            }
            try await tests(
                ZeroCapScene(
                    daemon: daemon, questions: questions, queries: queries, candidates: candidates,
                    answers: answers))
            #expect(try await daemon.stop() == 0)
        }
    }

    private func input(_ term: Term, _ number: Int) -> QueryInput {
        if let text = term.text { return .text(text) }
        if let entry = term.entry { return .entry(entry) }
        let vector = queries[term.row ?? 0]
        return number % 2 == 0 ? .vector(vector) : .vectorBase64(QueryVectors.base64(vector))
    }

    func request(_ question: Question, _ number: Int) -> QueryRequest {
        let terms = question.terms.map { WeightedTerm(weight: $0.weight ?? 1, input($0, number)) }
        return QueryRequest(
            query: .terms(WeightedSum(terms: terms, normaliseTerms: question.normaliseTerms ?? false)),
            options: question.options)
    }

    func request(_ score: Questions.Score) -> (ScoreRequest, texts: [String]?) {
        var texts: [String]?
        let given: ScoreCandidates
        switch score.form {
        case "texts":
            let known = Dictionary(uniqueKeysWithValues: questions.texts.map { ($1, $0) })
            texts = score.candidates.map { known[$0] ?? "" }
            given = .texts(texts ?? [])
        case "vectors_base64": given = .vectorsBase64(score.candidates.map { QueryVectors.base64(candidates[$0]) })
        default: given = .vectors(score.candidates.flatMap { candidates[$0] }, count: score.candidates.count)
        }
        let request = ScoreRequest(
            query: input(score.query, score.candidates.count), domain: "captions", candidates: given,
            temperature: score.temperature)
        return (request, texts)
    }
}
