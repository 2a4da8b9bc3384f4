import ArgumentParser
import DatastoreCore
import Foundation
import VectorIndex

/// Searches that another program asks for, one after the other: Tools/bench-peers measures ours beside others so.
struct BenchAnswer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "answer",
        abstract: "Answers searches that are asked for on standard input, one line of JSON each.",
        discussion: """
            {"open": "hnsw:links=32"} opens an index, and builds it where the work folder has none. {"ask": "hnsw:links=32", \
            "first": 0, "count": 25, "batch": 1, "effort": 64} asks questions of the file, by their numbers; the effort is \
            ef_search or nprobe. {"close": "hnsw:links=32"} lets it go. Each is answered by one line.
            """)

    @Option(help: "A NumPy file of vectors.")
    var vectors: String

    @Option(help: "A NumPy file of questions.")
    var questions: String

    @Option(help: "A folder for what is made of them, kept.")
    var work: String

    @Option(name: [.customLong("k"), .customShort("k")], help: "Results per question.")
    var k = 10

    private struct Request: Decodable {
        var open: String?
        var ask: String?
        var close: String?
        var first: Int?
        var count: Int?
        var batch: Int?
        var effort: Int?
    }

    private struct Answer: Encodable {
        var error: String?
        /// Of the index, with all its numbers.
        var plan: String?
        var buildSeconds: Double?
        var indexBytes: Int64?
        /// Resident bytes that the process has more than before the index was opened.
        var memoryBytes: Int?
        /// The part of them that is no mapped file, which the kernel could drop.
        var anonymousBytes: Int?
        /// One for each question, or each batch of them.
        var milliseconds: [Double]?
        var rows: [[Int]]?
    }

    func run() async throws {
        VectorIndex.useCallersThreadsOnly()
        let ground = try SearchGround(
            folder: URL(filePath: work), vectors: vectors, questions: questions, rows: 0, dim: 0, count: .max)
        var opened: [String: SearchGround.Opened] = [:]
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        while let line = readLine() {
            var answer: Answer
            do {
                let request = try JSONDecoder().decode(Request.self, from: Data(line.utf8))
                answer = try reply(request, ground, &opened)
            } catch {
                answer = Answer(error: "\(error)")
            }
            FileHandle.standardOutput.write(try encoder.encode(answer) + Data("\n".utf8))
        }
    }

    private func reply(
        _ request: Request, _ ground: SearchGround, _ opened: inout [String: SearchGround.Opened]
    ) throws -> Answer {
        if let name = request.close {
            opened[name] = nil
            return Answer()
        }
        if let name = request.open {
            let index = try ground.open(IndexPlan(argument: name))
            opened[name] = index
            return try measured(
                Answer(
                    plan: index.plan.description, buildSeconds: index.buildSeconds, indexBytes: index.indexBytes), index
            )
        }
        guard let name = request.ask, let index = opened[name], let first = request.first, let count = request.count,
            first >= 0, count > 0, first + count <= ground.questions.count
        else { throw BenchmarkError("got \(request), expected questions that there are, of an index that is open") }
        let effort = effort(request.effort, index.plan)
        var answer = Answer(milliseconds: [], rows: [])
        let batch = max(1, request.batch ?? 1)
        for start in stride(from: first, to: first + count, by: batch) {
            if batch == 1 {
                let (rows, milliseconds) = try ground.ask(index, start, k: k, effort: effort)
                answer.rows?.append(rows)
                answer.milliseconds?.append(milliseconds)
            } else {
                let end = min(start + batch, first + count)
                let (rows, milliseconds) = try ground.ask(index, start..<end, k: k, effort: effort)
                answer.rows?.append(contentsOf: rows)
                answer.milliseconds?.append(milliseconds)
            }
        }
        return try measured(answer, index)
    }

    private func measured(_ answer: Answer, _ index: SearchGround.Opened) throws -> Answer {
        let now = try ProcessStatistics(pid: getpid()).memory()
        var answer = answer
        answer.memoryBytes = now.resident - index.before.resident
        answer.anonymousBytes = now.anonymous - index.before.anonymous
        return answer
    }

    private func effort(_ value: Int?, _ plan: IndexPlan) -> SearchEffort {
        guard let value, plan.method != .exact else { return SearchEffort(exact: plan.method == .exact) }
        return plan.method.isGraph ? SearchEffort(efSearch: value) : SearchEffort(nprobe: value)
    }
}
