import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// `capstan query`
struct QueryCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "query",
        abstract: "Ask a domain which entries are nearest to vectors, texts or a picture.",
        discussion: """
            With --json each vector is answered on a line of its own, in order; one that is refused by an "error".

              capstan query street --vectors images.npy --rows 0:100 -k 4 --json
              capstan query street --vector one.json -k 4 --prompt
              echo '[0.1, 0.2, 0.3]' | capstan query street --vector - --exclude-image 391895
              capstan query street --text "a dog on a beach" -k 4
              capstan query street --image photo.jpg -k 4 --prompt
            """
    )

    /// Vectors of one request: larger ones are no faster.
    private static let vectorsPerRequest = 64

    @Argument(help: "The domain.")
    var domain: String

    @Option(
        help: ArgumentHelp("A NumPy file with a vector in each row.", valueName: "file.npy"),
        completion: .file(extensions: ["npy"]))
    var vectors: String?

    @Option(
        help: ArgumentHelp(
            "A JSON file with one vector or an array of vectors; - is standard input.", valueName: "file.json"),
        completion: .file(extensions: ["json"]))
    var vector: String?

    @Option(
        help: ArgumentHelp(
            "A text, for the encoder that the datastore names; may be repeated.", valueName: "text"))
    var text: [String] = []

    @Option(
        help: ArgumentHelp("A picture, for the encoder that the datastore names.", valueName: "file"),
        completion: .file(extensions: ["png", "jpg", "jpeg", "webp"]))
    var image: String?

    @Option(
        help: ArgumentHelp("The rows of --vectors, from START to before END.", valueName: "start:end"),
        transform: { try RowsArgument($0) })
    var rows: RowsArgument?

    @Option(name: .shortAndLong, help: "Results for each vector; else the domain's default.")
    var k: Int?

    @Flag(help: "With the prompt that a captioner reads.")
    var prompt = false

    @Option(help: ArgumentHelp("Leave out the entries of this image; may be repeated.", valueName: "id"))
    var excludeImage: [String] = []

    @Option(help: "Which results count as the same.")
    var dedupe: Dedupe?

    @Option(help: "Leave out results below.")
    var minScore: Float?

    @OptionGroup var connection: Connection

    func validate() throws {
        guard [vectors != nil, vector != nil, !text.isEmpty, image != nil].count(where: { $0 }) == 1 else {
            throw ValidationError("Give one of --vectors FILE.npy, --vector FILE.json, --text TEXT and --image FILE.")
        }
        guard rows == nil || vectors != nil else { throw ValidationError("--rows goes with --vectors.") }
    }

    func run() async throws {
        let client = try connection.client()
        let options = QueryOptions(
            k: k, excludeImageIDs: excludeImage, dedupe: dedupe, minScore: minScore, prompt: prompt)
        var failures = 0
        if vectors == nil, vector == nil {
            let inputs = try image.map { [try Self.question(image: $0)] } ?? text.map { QueryInput.text($0) }
            let answer = try await client.queryBatch(
                inputs.map { QueryRequest(query: $0, options: options) }, of: domain)
            for (number, item) in answer.answers.enumerated() {
                try show(item, of: answer, heading: text.count > 1 ? text[number] : nil, &failures)
            }
            if failures > 0 { throw ExitCode(1) }
            return
        }
        let questions = try VectorsArgument(npy: vectors, rows: rows, json: vector)
        for start in stride(from: 0, to: questions.count, by: Self.vectorsPerRequest) {
            let part = start..<min(start + Self.vectorsPerRequest, questions.count)
            let answer = try await client.query(
                vectors: questions.values(part), count: part.count, of: domain, options: options)
            for (number, item) in zip(part, answer.answers) {
                let heading = questions.count > 1 ? "vector \(questions.firstRow + number)" : nil
                try show(item, of: answer, heading: heading, &failures)
            }
        }
        if failures > 0 { throw ExitCode(1) }
    }

    private func show(
        _ item: QueryBatchItem, of answer: QueryBatchAnswer, heading: String?, _ failures: inout Int
    ) throws {
        if item.error != nil { failures += 1 }
        if let error = item.error, !connection.json {
            let place = heading.map { "\($0): " } ?? ""
            return StandardError.write("capstan: \(place)\(printable(error.detail)) (\(error.code))")
        }
        let line = AnswerLine(domain: answer.domain, revision: answer.revision, item: item)
        try connection.show(line) { line in heading.map { "\($0)\n\(line.text)\n" } ?? line.text }
    }

    private static func question(image path: String) throws -> QueryInput {
        do {
            return .image(try QueryImage(data: Data(contentsOf: URL(filePath: path))).dataURI)
        } catch let error as CocoaError {
            throw DatastoreError(.sourceUnreadable, "\(path): cannot be read: \(error.localizedDescription)")
        }
    }
}

/// The answer to one vector: a `QueryAnswer`, or the error of that vector alone.
private struct AnswerLine: Encodable {
    let domain: String
    let revision: Int
    let item: QueryBatchItem

    func encode(to encoder: any Swift.Encoder) throws {
        if let error = item.error {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(domain, forKey: .domain)
            try container.encode(revision, forKey: .revision)
            try container.encode(error, forKey: .error)
        } else {
            try QueryAnswer(
                domain: domain, revision: revision, results: item.results ?? [], shortfall: item.shortfall,
                prompt: item.prompt
            ).encode(to: encoder)
        }
    }

    private enum CodingKeys: String, CodingKey {
        case domain, revision, error
    }

    var text: String {
        var parts: [String] = []
        let results = item.results ?? []
        if !results.isEmpty {
            parts.append(
                Table(
                    heading: ["SCORE", "TEXT", "IMAGE", "ENTRY"],
                    rows: results.map { result in
                        [
                            String(format: "%.4f", result.score), result.text, result.imageID ?? "-",
                            "\(result.datastore)@\(result.version) #\(result.id)",
                        ]
                    },
                    numbers: ["SCORE"]
                ).text)
        }
        if let shortfall = item.shortfall {
            let reasons = shortfall.reasons.map(\.rawValue).joined(separator: ", ")
            parts.append("\(shortfall.returned) of \(shortfall.requested) results: \(reasons)")
        }
        if let prompt = item.prompt {
            let lines = prompt.split(separator: "\n", omittingEmptySubsequences: false)
            parts.append("\nprompt:\n" + lines.map { printable(String($0)) }.joined(separator: "\n"))
        }
        return parts.joined(separator: "\n")
    }
}
