import ArgumentParser
import DatastoreCore

/// The options of `capstan query` that say which results count, and how they are given.
struct AnswerFlags: ParsableArguments {
    @Option(name: .shortAndLong, help: "Results for each question; else the domain's default.")
    var k: Int?

    @Option(
        help: ArgumentHelp("The key that is searched; else the first of its kind.", valueName: "key"))
    var using: String?

    @Option(help: ArgumentHelp("Leave out the entries of this image; may be repeated.", valueName: "id"))
    var excludeImage: [String] = []

    @OptionGroup var filter: FilterFlags

    @Option(help: ArgumentHelp("Which results count as the same: \(Dedupe.forms).", valueName: "what"))
    var dedupe: Dedupe?

    @Option(parsing: .unconditional, help: "Leave out results below.")
    var minScore: Float?

    @Flag(inversion: .prefixedNo, help: "Whether pending changes count; else the domain's default.")
    var includePending: Bool?

    @Flag(help: "With the prompt that a captioner reads.")
    var prompt = false

    @Option(
        help: ArgumentHelp(
            "A file with the prompt's template, taken byte for byte; || stands for the captions.", valueName: "file"),
        completion: .file())
    var template: String?

    /// - Throws: when the template cannot be read.
    func options() throws -> QueryOptions {
        try QueryOptions(
            k: k, using: using, excludeImageIDs: excludeImage, filter: filter.value(), dedupe: dedupe,
            minScore: minScore, includePending: includePending, prompt: prompt || template != nil,
            template: template.map { try InputFile($0).text() })
    }
}
