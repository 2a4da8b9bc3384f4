import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport

/// The questions of a system over real data, and the answers of its NumPy reference in `Tools/python/reference`.
struct Reference: Sendable {
    let system: String
    let directory: TemporaryDirectory

    /// Makes rows, vectors and questions of the real data.
    init(_ system: String) async throws {
        self.system = system
        directory = try TemporaryDirectory()
        try await PythonTools.run(reference: "inputs", system, TestData.shared.path, directory.url.path)
    }

    func questions<Questions: Decodable>(_ file: String = "questions") throws -> Questions {
        try WireJSON.decode(Questions.self, from: Data(contentsOf: directory.file("\(file).json")))
    }

    /// What the reference answers to the questions of a file.
    func answers<Answers: Decodable>(
        to file: String = "questions", as: Answers.Type = Answers.self
    ) async throws -> Answers {
        let answers = directory.file("\(file)-answers.json")
        try await PythonTools.run(reference: system, directory.file("\(file).json").path, answers.path)
        return try JSONDecoder().decode(Answers.self, from: Data(contentsOf: answers))
    }
}

/// A result as a reference says it is.
struct ExpectedResult: Decodable, Sendable {
    var datastore: String?
    var id: Int64
    var score: Float
    var rankScore: Float?
    var name: String?
    var vector: Int?

    enum CodingKeys: String, CodingKey {
        case datastore, id, score, name, vector
        case rankScore = "rank_score"
    }
}

/// Scores may differ by so much; ids, order and all else not at all.
let scoreTolerance: Float = 1e-5

/// What differs first between an answer and what is expected; nil when nothing does.
func difference(_ results: [QueryResult]?, _ expected: [ExpectedResult]) -> String? {
    guard let results else { return "got no results" }
    func shown(_ results: [QueryResult]) -> String {
        results.map { "\($0.datastore)/\($0.id) \($0.score) \($0.rankScore ?? $0.score)" }.joined(separator: ", ")
    }
    let wanted = expected.map { "\($0.datastore ?? "")/\($0.id) \($0.score) \($0.rankScore ?? $0.score)" }
    for (place, (result, expected)) in zip(results, expected).enumerated() {
        let rank = expected.rankScore ?? expected.score
        guard result.id == expected.id, result.datastore == expected.datastore ?? result.datastore,
            abs(result.score - expected.score) <= scoreTolerance,
            abs((result.rankScore ?? result.score) - rank) <= scoreTolerance,
            expected.name == nil || (result.name == expected.name && result.vector == expected.vector)
        else { return "at \(place): got \(shown(results)), expected \(wanted.joined(separator: ", "))" }
    }
    guard results.count == expected.count else {
        return "got \(results.count): \(shown(results)), expected \(expected.count): \(wanted.joined(separator: ", "))"
    }
    return nil
}

/// A message of what differs, the first few of all.
struct Differences: CustomStringConvertible {
    private(set) var all: [String] = []
    /// What was compared.
    private(set) var compared = 0

    var isEmpty: Bool { all.isEmpty }

    mutating func add(_ name: String, _ difference: String?) {
        compared += 1
        if let difference { all.append("\(name): \(difference)") }
    }

    var description: String {
        "\(all.count) of \(compared) differ:\n" + all.prefix(3).joined(separator: "\n")
    }
}

/// Where a store of a reference's questions is.
struct StoreFiles: Decodable, Sendable {
    var rows: String
    var vectors: String
}

extension Daemon {
    /// Makes a datastore with one cosine key and imports a reference's store into it.
    @discardableResult
    func load(
        _ name: String, kind: DatastoreKind = .captions, key: String = "text", encoder: DatastoreCore.Encoder? = nil,
        dim: Int, _ files: StoreFiles, options: ImportOptions = ImportOptions()
    ) async throws -> JobInfo {
        let key = KeySpec(name: key, dim: dim, metric: .cosine, encoder: encoder)
        _ = try await client.createDatastore(CreateDatastoreRequest(name: name, kind: kind, keys: [key]))
        let job = try await client.importRows(
            file: URL(filePath: files.rows), vectors: URL(filePath: files.vectors), into: name, options: options)
        return try await succeed(job)
    }

    struct NotDone: Error, CustomStringConvertible {
        let description: String
    }

    /// Waits for the end of a job that must succeed.
    func succeed(_ job: JobInfo) async throws -> JobInfo {
        let done = try await client.waitForJob(job.id)
        guard done.state == .succeeded else { throw NotDone(description: "\(done)") }
        return done
    }

    /// The answers to questions, asked for in batches.
    func ask(_ questions: [QueryRequest], of domain: String, at once: Int = 50) async throws -> [QueryBatchItem] {
        var answers: [QueryBatchItem] = []
        for start in stride(from: 0, to: questions.count, by: once) {
            let part = Array(questions[start..<min(start + once, questions.count)])
            let reply = try await post("/v1/domains/\(domain)/query/batch", json: QueryBatchRequest(queries: part))
            answers += try reply.value(QueryBatchAnswer.self).answers
        }
        return answers
    }

    /// The answer to one question, asked for alone.
    func ask(_ question: QueryRequest, of domain: String) async throws -> QueryAnswer {
        try await post("/v1/domains/\(domain)/query", json: question).value()
    }
}
