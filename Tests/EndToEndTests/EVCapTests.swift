import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// EVCap: the names that 32 vectors find together are those that its repository's Python finds, with the same scores.
@Suite(.withReference, .sharing(EVCapScene.self))
struct EVCapTests {
    @Test func thirtyTwoVectorsBringTheirNames() async throws {
        let answers = try await EVCapScene.current.check(0, of: "names")
        #expect(answers.count == 500)
        #expect(answers.allSatisfy { ($0.names ?? []).count > 1 && ($0.names ?? []).count <= 10 })
        #expect(answers.allSatisfy { $0.joined == $0.names?.joined(separator: " [SEP] ") })
    }

    @Test func anyNumberOfHitsAndNamesIsMerged() async throws {
        try await EVCapScene.current.check(1, of: "names")
    }

    /// Keys that the import averaged from 32 vectors each.
    @Test func keysAreMeansOfVectors() async throws {
        try await EVCapScene.current.check(2, of: "means")
    }

    @Test func severalMemoriesAnswerTogether() async throws {
        try await EVCapScene.current.check(3, of: "both")
    }

    /// Two ways to ask alone: a question of many vectors, and one with the standard of everything.
    @Test func questionsAloneAreAnsweredAlike() async throws {
        let scene = try EVCapScene.current
        var differences = Differences()
        for number in 0..<10 {
            var question = scene.request(0, number)
            for isStandard in [false, true] {
                if isStandard { question.options = QueryOptions(merge: VectorMerge()) }
                let answer = try await scene.daemon.ask(question, of: "names")
                let expected = scene.answers[0][number]
                differences.add("question \(number)", difference(answer.results, expected.results))
                differences.add("names \(number)", answer.names == expected.names ? nil : "\(answer.names ?? [])")
                differences.add("joined \(number)", answer.joined == expected.joined ? nil : "\(answer.joined ?? "")")
            }
        }
        #expect(differences.isEmpty, "\(differences)")
    }

    /// Names that are added are found at once by who asks for them, and by all after the next version.
    @Test func namesAreAddedAtAnyTime() async throws {
        let scene = try EVCapScene.current
        let daemon = scene.daemon
        try await daemon.load("grown", kind: .names, dim: scene.queries.dim, try #require(scene.stores["names"]))
        try await daemon.client.bind("grown", to: "grown")
        let added = try String(contentsOf: scene.reference.directory.file("added.ndjson"), encoding: .utf8)
        let rows = added.split(separator: "\n").map { "\($0)\n" }
        let before = scene.request(4, 0)
        let plain = try await daemon.ask(before, of: "grown")

        // Some in one call, the others one by one.
        for part in [rows.prefix(20).joined()] + rows.dropFirst(20) {
            let reply = try await daemon.send(
                "POST", "/v1/datastores/grown/entries", Data(part.utf8), type: "application/x-ndjson")
            let changes = try reply.value(EntryChanges.self)
            #expect(changes.entries.allSatisfy { $0.outcome == .accepted && $0.id != nil })
        }

        try await scene.check(4, of: "grown", includePending: true) {
            $0.pending == ($0.externalID == nil ? nil : true)
        }
        let without = try await daemon.ask(before, of: "grown")
        #expect(without.results == plain.results)

        let job = try await daemon.send("POST", "/v1/datastores/grown/versions", Data("{}".utf8)).value(JobInfo.self)
        #expect(try await daemon.succeed(job).version == 2)
        try await scene.check(4, of: "grown") { $0.pending == nil && $0.version == 2 }
    }
}

/// A daemon with memories of names, and what is to be expected of them.
struct EVCapScene: SharedScene {
    struct Questions: Decodable {
        struct Domain: Decodable {
            struct Question: Decodable {
                var row: Int
                var options: QueryOptions
            }
            var questions: [Question]
        }
        var stores: [String: StoreFiles]
        var queries: String
        var domains: [Domain]
    }

    struct Answer: Decodable {
        var results: [ExpectedResult]
        var names: [String]
        var joined: String
    }

    struct Answers: Decodable {
        var domains: [[Answer]]
    }

    private static let vectors = 32

    let daemon: Daemon
    let reference: Reference
    let stores: [String: StoreFiles]
    let domains: [Questions.Domain]
    /// The vectors of all questions, 32 each.
    let queries: Vectors
    let answers: [[Answer]]

    static func with(_ tests: (EVCapScene) async throws -> Void) async throws {
        let directory = try TemporaryDirectory()
        let reference = try await Reference("evcap")
        let questions: Questions = try reference.questions()
        async let answered = reference.answers(as: Answers.self)
        let queries = try Vectors(npy: URL(filePath: questions.queries))
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        try await daemon.load("names", kind: .names, dim: queries.dim, try #require(questions.stores["names"]))
        try await daemon.load(
            "means", kind: .names, dim: queries.dim, try #require(questions.stores["means"]),
            options: ImportOptions(pool: .mean))
        for name in ["names", "means"] { try await daemon.client.bind(name, to: name) }
        _ = try await daemon.client.setDomain(
            "both",
            to: SetDomainRequest(datastores: [DatastoreBinding(name: "names"), DatastoreBinding(name: "means")]))
        try await tests(
            EVCapScene(
                daemon: daemon, reference: reference, stores: questions.stores, domains: questions.domains,
                queries: queries, answers: try await answered.domains))
        #expect(try await daemon.stop() == 0)
    }

    func request(_ domain: Int, _ number: Int, includePending: Bool? = nil) -> QueryRequest {
        let question = domains[domain].questions[number]
        let size = Self.vectors * queries.dim
        let vectors = Array(queries.values[question.row * size..<(question.row + 1) * size])
        var options = question.options
        options.includePending = includePending
        return QueryRequest(query: .vectors(vectors, count: Self.vectors), options: options)
    }

    /// Asks all questions of a list and compares all answers.
    @discardableResult
    func check(
        _ place: Int, of domain: String, includePending: Bool? = nil,
        result isRight: (QueryResult) -> Bool = { _ in true }
    ) async throws -> [QueryBatchItem] {
        let expected = answers[place]
        let requests = expected.indices.map { request(place, $0, includePending: includePending) }
        let answered = try await daemon.ask(requests, of: domain, at: 10)
        #expect(answered.count == expected.count)
        var differences = Differences()
        for (number, (answer, expected)) in zip(answered, expected).enumerated() {
            let name = "question \(number)"
            differences.add(name, answer.error.map { "\($0)" } ?? difference(answer.results, expected.results))
            differences.add(name, answer.names == expected.names ? nil : "\(answer.names ?? []), \(expected.names)")
            differences.add(name, answer.joined == expected.joined ? nil : "\(answer.joined ?? ""), \(expected.joined)")
            differences.add(name, (answer.results ?? []).allSatisfy(isRight) ? nil : "\(answer.results ?? [])")
        }
        #expect(differences.isEmpty, "\(differences)")
        return answered
    }
}
