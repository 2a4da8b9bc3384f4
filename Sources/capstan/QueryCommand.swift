import ArgumentParser
import CaptionerClient
import DatastoreCore

/// `capstan query`
struct QueryCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "query",
        abstract: "Ask a domain which entries are nearest to vectors, texts, a picture, an entry or weights of terms.",
        discussion: """
            With --json each question is answered on a line of its own, in order; one that is refused by an "error".

              capstan query street --vectors images.npy --rows 0:100 -k 4 --json
              capstan query street --vector one.json -k 4 --prompt
              echo '[0.1, 0.2, 0.3]' | capstan query street --vector - --exclude-image 391895
              capstan query street --text "a dog on a beach" -k 4 --rerank bge
              capstan query street --image photo.jpg -k 4 --template template.txt
              capstan query street --entry 391895 --dedupe text,similarity=0.95
              capstan query street --vector one.json --filter origin=human --filter lang=en --filter payload.split=train
              capstan query street --vector one.json --select top_and_sample --order permute --seed 7
              capstan query objects --vectors tokens.npy --rows 0:32 --merge -k 10
              capstan query shop --lexical weights.json --vector one.json --fusion rrf
            """
    )

    /// Questions of one request: more are no faster.
    private static let questionsPerRequest = 64

    @Argument(help: "The domain.")
    var domain: String

    @OptionGroup(title: "The question") var question: QuestionFlags

    @OptionGroup(title: "The answer") var answer: AnswerFlags

    @OptionGroup(title: "Effort") var effort: EffortFlags

    @OptionGroup(title: "Several vectors, one answer") var merge: MergeFlags

    @OptionGroup(title: "Two rankings, one answer") var fusion: FusionFlags

    @OptionGroup(title: "A second stage") var rerank: RerankFlags

    @OptionGroup(title: "Variety") var mmr: MMRFlags

    @OptionGroup(title: "Selection") var selection: SelectionFlags

    @OptionGroup var connection: Connection

    func validate() throws {
        guard !merge.merge || (question.vectors ?? question.vector) != nil && question.lexical == nil else {
            throw ValidationError("--merge goes with --vectors or --vector, and not with --lexical.")
        }
        guard fusion.value == nil || question.lexical != nil else {
            throw ValidationError("--fusion and what belongs to it go with --lexical.")
        }
    }

    func run() async throws {
        let client = try connection.client()
        let options = try options()
        var printer = AnswerPrinter(connection: connection)
        if let vectors = try question.vectorsArgument(), question.lexical == nil {
            if merge.merge {
                let answer = try await client.query(
                    merging: try vectors.values(0..<vectors.count), count: vectors.count, of: domain, options: options)
                return try printer.show(answer)
            }
            try await Self.inParts(of: vectors.count) { part in
                let answer = try await client.query(
                    vectors: try vectors.values(part), count: part.count, of: domain, options: options)
                try printer.show(answer) {
                    vectors.count > 1 ? "vector \(vectors.firstRow + part.lowerBound + $0)" : nil
                }
            }
        } else {
            let inputs = try inputs()
            try await Self.inParts(of: inputs.count) { part in
                let requests = inputs[part].map { QueryRequest(query: $0, options: options) }
                let answer = try await client.queryBatch(requests, of: domain)
                let texts = question.text
                try printer.show(answer) { texts.count > 1 ? texts[part.lowerBound + $0] : nil }
            }
        }
        if printer.failures > 0 { throw ExitCode(1) }
    }

    private func options() throws -> QueryOptions {
        var options = try answer.options()
        options.effort = effort.value
        options.merge = merge.value
        options.fusion = fusion.value
        options.rerank = rerank.value
        options.mmr = mmr.value
        options.select = selection.selection
        options.ignoreUnknownTerms = question.ignoreUnknownTerms
        return options
    }

    /// What goes as JSON: anything but vectors alone.
    private func inputs() throws -> [QueryInput] {
        let weights = try question.lexicalWeights()
        var dense = try question.otherInputs()
        if let vectors = try question.vectorsArgument() {
            dense = try (0..<vectors.count).map {
                .vectorBase64(QueryVectors.base64(try vectors.values($0..<$0 + 1)))
            }
        }
        guard let weights else { return dense }
        return dense.isEmpty ? [.lexical(weights)] : dense.map { .fused($0, weights) }
    }

    private static func inParts(of count: Int, _ body: (Range<Int>) async throws -> Void) async throws {
        for start in stride(from: 0, to: count, by: questionsPerRequest) {
            try await body(start..<min(start + questionsPerRequest, count))
        }
    }
}
