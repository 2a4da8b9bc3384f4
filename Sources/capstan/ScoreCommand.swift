import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// `capstan score`
struct ScoreCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "score",
        abstract: "Say how near candidates are to a vector, a text or a picture (ZeroCap).",
        discussion: """
            Each candidate gets its cosine, and its share of the softmax of cosine / temperature. Texts and pictures need \
            a domain, whose datastores name the encoder.

              capstan score --vector image.json --candidates candidates.npy
              capstan score street --image photo.jpg --candidates captions.txt --temperature 0.01
            """
    )

    @Argument(help: "The domain whose encoder makes the vectors; not needed for vectors alone.")
    var domain: String?

    @Option(
        help: ArgumentHelp("A JSON file with one vector; - is standard input.", valueName: "file.json"),
        completion: .file(extensions: ["json"]))
    var vector: String?

    @Option(help: "A text.")
    var text: String?

    @Option(
        help: ArgumentHelp("A picture.", valueName: "file"),
        completion: .file(extensions: ["png", "jpg", "jpeg", "webp"]))
    var image: String?

    @Option(
        help: ArgumentHelp(
            "A NumPy file (.npy) with a vector in each row, or a file with one text a line.", valueName: "file"),
        completion: .file())
    var candidates: String

    @Option(
        help: ArgumentHelp("The key of the datastores whose encoder it is; else the first dense one.", valueName: "key")
    )
    var using: String?

    @Option(help: "Of the softmax.")
    var temperature = ScoreRequest.defaultTemperature

    @OptionGroup var connection: Connection

    func validate() throws {
        guard [vector, text, image].count(where: { $0 != nil }) == 1 else {
            throw ValidationError("Give one of --vector FILE.json, --text TEXT and --image FILE.")
        }
    }

    func run() async throws {
        let request = ScoreRequest(
            query: try query(), domain: domain, using: using, candidates: try scoreCandidates(),
            temperature: temperature)
        try connection.show(try await connection.client().score(request)) { answer in
            let ranked = answer.order.compactMap { answer.scores.indices.contains($0) ? answer.scores[$0] : nil }
            return Table(
                heading: ["RANK", "PROBABILITY", "COSINE", "TEXT"],
                rows: ranked.enumerated().map { place, score in
                    [
                        String(place + 1), String(format: "%.4f", score.probability),
                        String(format: "%.4f", score.cosine), score.text ?? "#\(score.index)",
                    ]
                },
                numbers: ["RANK", "PROBABILITY", "COSINE"]
            ).text
        }
    }

    private func query() throws -> QueryInput {
        if let text { return .text(text) }
        if let image { return try InputFile(image).picture() }
        let vectors = try VectorsArgument(npy: nil, rows: nil, json: vector)
        guard vectors.count == 1 else {
            throw DatastoreError(.invalidValue, "--vector: got \(vectors.count) vectors, expected one")
        }
        return .vectorBase64(QueryVectors.base64(try vectors.values(0..<1)))
    }

    private func scoreCandidates() throws -> ScoreCandidates {
        if candidates.hasSuffix(".npy") {
            let vectors = try VectorsArgument(npy: candidates, rows: nil, json: nil)
            return .vectorsBase64(try (0..<vectors.count).map { QueryVectors.base64(try vectors.values($0..<$0 + 1)) })
        }
        // Not `split(separator: "\n")`: to Swift, CRLF is one character.
        let lines = try InputFile(candidates).text().split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        return .texts(lines.map(String.init).filter { line in line.contains { !$0.isWhitespace } })
    }
}
