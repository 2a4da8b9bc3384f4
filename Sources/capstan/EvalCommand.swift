import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// `capstan eval`
struct EvalCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval",
        abstract: "Measure how well a domain finds what it should: recall at 1, 5 and 10, in either direction.",
        discussion: """
            Labels have one JSON object a line, the nth for the nth vector: {"relevant": ["id", …]} names entries by the \
            ids that they were given, {"image_id": "…"} the image whose entries are right. A row without either is not \
            asked, and counted.

              capstan eval coco --images images.npy --image-labels images.jsonl
              capstan eval coco --images images.npy --image-labels images.jsonl \\
                --texts texts.npy --text-labels texts.jsonl --json
            """
    )

    /// Questions of one request: more are no faster.
    private static let questionsPerRequest = 64

    @Argument(help: "The domain.")
    var domain: String

    @OptionGroup(title: "Image to text") var images: ImageFlags

    @OptionGroup(title: "Text to image") var texts: TextFlags

    @Option(help: ArgumentHelp("Results of each question; a median rank beyond is not known.", valueName: "n"))
    var depth = 10

    @OptionGroup var filter: FilterFlags

    @OptionGroup var connection: Connection

    struct ImageFlags: ParsableArguments {
        @Option(
            help: ArgumentHelp("A NumPy file with a vector of an image in each row.", valueName: "file.npy"),
            completion: .file(extensions: ["npy"]))
        var images: String?

        @Option(
            help: ArgumentHelp("The texts that are right for each.", valueName: "file.jsonl"),
            completion: .file(extensions: ["jsonl", "ndjson"]))
        var imageLabels: String?

        @Option(help: ArgumentHelp("The key that images are looked up by.", valueName: "key"))
        var textKey = "text"

        func validate() throws {
            guard (images == nil) == (imageLabels == nil) else {
                throw ValidationError("--images and --image-labels go together.")
            }
        }
    }

    struct TextFlags: ParsableArguments {
        @Option(
            help: ArgumentHelp("A NumPy file with a vector of a text in each row.", valueName: "file.npy"),
            completion: .file(extensions: ["npy"]))
        var texts: String?

        @Option(
            help: ArgumentHelp("The images that are right for each.", valueName: "file.jsonl"),
            completion: .file(extensions: ["jsonl", "ndjson"]))
        var textLabels: String?

        @Option(help: ArgumentHelp("The key that texts are looked up by.", valueName: "key"))
        var imageKey = "image"

        func validate() throws {
            guard (texts == nil) == (textLabels == nil) else {
                throw ValidationError("--texts and --text-labels go together.")
            }
        }
    }

    func validate() throws {
        guard images.images != nil || texts.texts != nil else {
            throw ValidationError(
                "Give --images FILE.npy --image-labels FILE.jsonl, --texts FILE.npy --text-labels FILE.jsonl, or both.")
        }
        guard depth > 0 else { throw ValidationError("--depth: got \(depth), expected a number above 0.") }
    }

    func run() async throws {
        let client = try connection.client()
        var revisions: Set<Int> = []
        var imageToText: RetrievalEvaluation?
        var textToImage: RetrievalEvaluation?
        if let vectors = images.images, let labels = images.imageLabels {
            // Each text counts, equal ones too.
            imageToText = try await evaluate(
                vectors: vectors, labels: labels, using: images.textKey, dedupe: .none, client, &revisions)
        }
        if let vectors = texts.texts, let labels = texts.textLabels {
            // Places are places of images, however many texts one has.
            textToImage = try await evaluate(
                vectors: vectors, labels: labels, using: texts.imageKey, dedupe: .image, client, &revisions)
        }
        let report = RetrievalReport(
            domain: domain, revisions: revisions, depth: depth, imageToText: imageToText, textToImage: textToImage)
        try connection.show(report) { $0.text }
        if !connection.json, revisions.count > 1 {
            StandardError.write("note: the domain was switched meanwhile; revisions \(report.revisions) answered")
        }
    }

    private func evaluate(
        vectors path: String, labels labelsPath: String, using key: String, dedupe: Dedupe, _ client: CaptionerClient,
        _ revisions: inout Set<Int>
    ) async throws -> RetrievalEvaluation {
        let vectors = try VectorsArgument(npy: path, rows: nil, json: nil)
        let labels = try RelevanceLabels.read(try InputFile(labelsPath).data(), name: labelsPath)
        guard vectors.count == labels.count else {
            throw DatastoreError(
                .rowsVectorsMismatch,
                "\(path) has \(vectors.count) vectors and \(labelsPath) \(labels.count) rows, expected one row for each"
            )
        }
        let rows = labels.indices.filter { !labels[$0].isEmpty }
        guard !rows.isEmpty else {
            throw DatastoreError(
                .missingField, "\(labelsPath): none of the \(labels.count) rows has \"relevant\" or \"image_id\"")
        }
        var evaluation = RetrievalEvaluation(depth: depth)
        evaluation.skipped = labels.count - rows.count
        let options = QueryOptions(k: depth, using: key, filter: try filter.value(), dedupe: dedupe)
        let progress = connection.json ? nil : ProgressLine(key)
        defer { progress?.end() }
        for start in stride(from: 0, to: rows.count, by: Self.questionsPerRequest) {
            let part = rows[start..<min(start + Self.questionsPerRequest, rows.count)]
            let values = try part.flatMap { try vectors.values($0..<$0 + 1) }
            let answer = try await client.query(vectors: values, count: part.count, of: domain, options: options)
            revisions.insert(answer.revision)
            for (row, item) in zip(part, answer.answers) {
                if let error = item.error {
                    throw JobFailure(code: error.code, detail: "\(path), row \(row): \(error.detail)")
                }
                evaluation.add(rank: labels[row].rank(in: item.results ?? []))
            }
            progress?.update(start + part.count, of: rows.count, "questions")
        }
        return evaluation
    }
}

extension RetrievalReport {
    fileprivate var text: String {
        func percent(_ share: Double?) -> String { share.map { String(format: "%.1f", $0 * 100) } ?? "-" }
        let directions = [("image to text", imageToText), ("text to image", textToImage)]
        let table = Table(
            heading: ["DIRECTION", "R@1", "R@5", "R@10", "MEAN", "MEDIAN", "QUERIES", "SKIPPED"],
            rows: directions.compactMap { name, direction in
                direction.map { direction in
                    [
                        name, percent(direction.recallAt1), percent(direction.recallAt5), percent(direction.recallAt10),
                        percent(direction.mean),
                        direction.medianRank.map { String(format: "%g", $0) }
                            ?? (direction.queries > 0 ? "> \(depth)" : "-"),
                        String(direction.queries), String(direction.skipped),
                    ]
                }
            },
            numbers: ["R@1", "R@5", "R@10", "MEAN", "MEDIAN", "QUERIES", "SKIPPED"])
        return "\(table.text)\n\nmean recall: \(percent(meanRecall))"
    }
}
