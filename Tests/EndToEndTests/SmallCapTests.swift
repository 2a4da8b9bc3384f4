import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// SmallCap and RobustCap: the daemon answers as their definitions say, computed by NumPy over the same real captions.
@Suite(.withReference, .sharing(SmallCapScene.self))
struct SmallCapTests {
    /// Own captions are left out, and exactly as many others remain, in order; and the prompt, byte for byte.
    @Test func captionsOfTheOwnImageAreLeftOut() async throws {
        let answers = try await SmallCapScene.current.check("own")
        #expect(answers.count == 500)
        #expect(answers.allSatisfy { $0.results?.count == 7 && $0.shortfall == nil })
    }

    /// In-domain, human and web captions of one domain, each with a weight and a limit.
    @Test(arguments: ["mixed", "tight"])
    func severalDatastoresAreMixed(domain: String) async throws {
        let answers = try await SmallCapScene.current.check(domain)
        let limits = domain == "mixed" ? ["flickr": 3, "web": 2] : ["coco": 1, "flickr": 1, "web": 2]
        for (name, limit) in limits {
            let most = answers.map { answer in (answer.results ?? []).count { $0.datastore == name } }.max() ?? 0
            #expect(most == limit, "\(name)")
        }
        if domain == "tight" {
            #expect(answers.allSatisfy { $0.results?.count == 4 && $0.shortfall?.reasons.contains(.limited) == true })
        }
    }

    @Test func duplicatesVarietyAndRobustCapsSelections() async throws {
        try await SmallCapScene.current.check("varied")
    }

    @Test func manyImagesAreExcluded() async throws {
        try await SmallCapScene.current.check("many")
    }

    @Test func templatesAreFilledInAsPythonDoes() async throws {
        try await SmallCapScene.current.check("templates")
    }

    /// A domain's own template stands in for SmallCap's, and a question's for both.
    @Test func aDomainMayHaveATemplate() async throws {
        let scene = try SmallCapScene.current
        let template = "Ähnlich:\r\n||\u{301}\n|| "
        _ = try await scene.daemon.client.setDomain(
            "templated",
            to: SetDomainRequest(
                datastores: [DatastoreBinding(name: "coco")], defaults: QueryDefaults(k: 3, template: template)))
        for row in 0..<20 {
            let query = QueryInput.vector(scene.queries[row])
            let own = try await scene.daemon.ask(
                QueryRequest(query: query, options: QueryOptions(prompt: true)), of: "templated")
            let captions = own.results.map(\.text).joined(separator: "\n\n") + "."
            let expected = Array("Ähnlich:\r\n".utf8) + Array(captions.utf8) + Array("\u{301}\n\(captions) ".utf8)
            #expect(own.results.count == 3 && own.prompt.map { Array($0.utf8) } == expected)
            let other = try await scene.daemon.ask(
                QueryRequest(query: query, options: QueryOptions(prompt: true, template: "<||>")), of: "templated")
            #expect(other.prompt == "<\(captions)>")
        }
    }

    /// A question alone, with a plain vector, is answered as the same in a batch.
    @Test(arguments: ["own", "mixed", "varied"])
    func questionsAloneAreAnsweredAlike(domain: String) async throws {
        let scene = try SmallCapScene.current
        let place = try #require(scene.questions.domains.firstIndex { $0.name == domain })
        var differences = Differences()
        for (number, question) in scene.questions.domains[place].questions.enumerated().prefix(60) {
            let request = QueryRequest(query: .vector(scene.queries[question.row]), options: question.options)
            let answer = try await scene.daemon.ask(request, of: domain)
            let expected = scene.answers.domains[place][number]
            differences.add("question \(number)", difference(answer.results, expected.results))
            let isSame = answer.prompt == expected.prompt
            differences.add("prompt \(number)", isSame ? nil : "got \(answer.prompt ?? "none")")
        }
        #expect(differences.isEmpty, "\(differences)")
    }

    /// A dump of a split is what its images get one by one.
    @Test(arguments: 0..<3)
    func aDumpIsTheAnswersToEachImage(number: Int) async throws {
        let scene = try SmallCapScene.current
        let dump = scene.questions.dumps[number]
        let images = dump.rows.map { scene.questions.images[$0] }
        let vectors = Vectors(values: dump.rows.flatMap { scene.queries[$0] }, dim: scene.queries.dim)
        let reply = try await scene.daemon.post(
            "/v1/domains/\(dump.domain)/dumps",
            files: [
                ("options", try WireJSON.encode(dump.options)), ("ids", try WireJSON.encode(images)),
                ("queries", vectors.npy()),
            ])
        let job = try await scene.daemon.succeed(try reply.value())
        #expect(job.dumpReport?.images == images.count)
        let output = try await scene.daemon.send("GET", "/v1/jobs/\(job.id)/output").value([String: [String]].self)
        #expect(output.count == images.count)
        let expected = scene.answers.dumps[number]
        let different = images.filter { output[$0] != expected[$0] }
        #expect(
            different.isEmpty,
            "\(different.count) differ; \(different.prefix(3).map { "\($0): \(output[$0] ?? []), \(expected[$0] ?? [])" })"
        )
        #expect(job.dumpReport?.short == images.count { (expected[$0] ?? []).count < dump.options.k ?? 0 })
        // And they are what the same questions give through the other call.
        var asked = 0
        for (place, row) in dump.rows.enumerated().prefix(100) {
            let options = dump.options.question(place, imageID: images[place])
            let request = QueryRequest(query: .vector(scene.queries[row]), options: options)
            let answer = try await scene.daemon.ask(request, of: dump.domain)
            if answer.results.map(\.text) == output[images[place]] { asked += 1 }
        }
        #expect(asked == 100)
    }
}

/// A daemon with three stores of real captions, the domains that mix them, and what is to be expected.
struct SmallCapScene: SharedScene {
    struct Questions: Decodable {
        struct Domain: Decodable {
            struct Question: Decodable {
                var row: Int
                var options: QueryOptions
            }
            var name: String
            var bindings: [DatastoreBinding]
            var questions: [Question]
        }
        struct Dump: Decodable {
            var domain: String
            var rows: [Int]
            var options: DumpOptions
        }
        var stores: [String: StoreFiles]
        var queries: String
        var images: [String]
        var domains: [Domain]
        var dumps: [Dump]
    }

    struct Answers: Decodable {
        struct Answer: Decodable {
            var results: [ExpectedResult]
            var texts: [String]
            var prompt: String?
        }
        var domains: [[Answer]]
        var dumps: [[String: [String]]]
    }

    let daemon: Daemon
    let questions: Questions
    let queries: Vectors
    let answers: Answers

    static func with(_ tests: (SmallCapScene) async throws -> Void) async throws {
        let directory = try TemporaryDirectory()
        let reference = try await Reference("smallcap")
        let questions: Questions = try reference.questions()
        let queries = try Vectors(npy: URL(filePath: questions.queries))
        async let answered = reference.answers(as: Answers.self)
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        for (name, files) in questions.stores { try await daemon.load(name, dim: queries.dim, files) }
        for domain in questions.domains {
            _ = try await daemon.client.setDomain(domain.name, to: SetDomainRequest(datastores: domain.bindings))
        }
        try await tests(
            SmallCapScene(daemon: daemon, questions: questions, queries: queries, answers: try await answered))
        #expect(try await daemon.stop() == 0)
    }

    /// Asks all questions of a domain and compares all answers.
    @discardableResult
    func check(_ name: String) async throws -> [QueryBatchItem] {
        let place = try #require(questions.domains.firstIndex { $0.name == name })
        let asked = questions.domains[place].questions
        let requests = asked.map {
            QueryRequest(query: .vectorBase64(QueryVectors.base64(queries[$0.row])), options: $0.options)
        }
        let answered = try await daemon.ask(requests, of: name)
        let expected = answers.domains[place]
        #expect(answered.count == expected.count)
        var differences = Differences()
        for (number, (answer, expected)) in zip(answered, expected).enumerated() {
            let name = "question \(number), \(asked[number].options)"
            differences.add(name, answer.error.map { "\($0)" } ?? difference(answer.results, expected.results))
            differences.add(name, answer.results?.map(\.text) == expected.texts ? nil : "the texts differ")
            // Byte for byte: two strings are equal to Swift although their bytes differ.
            if answer.prompt.map({ Array($0.utf8) }) != expected.prompt.map({ Array($0.utf8) }) {
                let prompts = [answer.prompt, expected.prompt].map { String(reflecting: $0) }
                differences.add(name, "got the prompt \(prompts[0]), expected \(prompts[1])")
            }
        }
        #expect(differences.isEmpty, "\(differences)")
        return answered
    }
}
