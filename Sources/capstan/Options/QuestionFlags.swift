import ArgumentParser
import DatastoreCore

/// The options that say what `capstan query` asks with.
struct QuestionFlags: ParsableArguments {
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
        help: ArgumentHelp("The rows of --vectors, from START to before END.", valueName: "start:end"),
        transform: { try RowsArgument($0) })
    var rows: RowsArgument?

    @Option(
        help: ArgumentHelp(
            "A text, for the encoder that the datastore names; may be repeated.", valueName: "text"))
    var text: [String] = []

    @Option(
        help: ArgumentHelp("A picture, for the encoder that the datastore names.", valueName: "file"),
        completion: .file(extensions: ["png", "jpg", "jpeg", "webp"]))
    var image: String?

    @Option(
        help: ArgumentHelp(
            "An entry, by its number or else by the id that it was given, in double quotes where that is a number: what "
                + "is like it?", valueName: "id"))
    var entry: String?

    @Option(help: ArgumentHelp("The datastore of --entry, where the domain has several.", valueName: "name"))
    var entryDatastore: String?

    @Option(
        help: ArgumentHelp(
            "A JSON file with weights of terms, by their words or as indices and values; - is standard input. Alone, or "
                + "beside one of the others: both rankings are fused then.", valueName: "file.json"),
        completion: .file(extensions: ["json"]))
    var lexical: String?

    @Flag(help: "Leave out terms that the vocabulary has not; otherwise they are errors.")
    var ignoreUnknownTerms = false

    func validate() throws {
        let dense = [vectors != nil, vector != nil, !text.isEmpty, image != nil, entry != nil].count { $0 }
        guard dense == 1 || dense == 0 && lexical != nil else {
            throw ValidationError(
                "Give one of --vectors FILE.npy, --vector FILE.json, --text TEXT, --image FILE and --entry ID, or "
                    + "--lexical FILE.json alone or beside it.")
        }
        guard rows == nil || vectors != nil else { throw ValidationError("--rows goes with --vectors.") }
        guard entryDatastore == nil || entry != nil else {
            throw ValidationError("--entry-datastore goes with --entry.")
        }
        guard vector != "-" || lexical != "-" else {
            throw ValidationError("--vector and --lexical cannot both be standard input.")
        }
        guard !ignoreUnknownTerms || lexical != nil else {
            throw ValidationError("--ignore-unknown-terms goes with --lexical.")
        }
    }

    /// The vectors of files; nil when it is asked with something else.
    func vectorsArgument() throws -> VectorsArgument? {
        guard vectors != nil || vector != nil else { return nil }
        return try VectorsArgument(npy: vectors, rows: rows, json: vector)
    }

    func lexicalWeights() throws -> LexicalWeights? {
        try lexical.map {
            try InputFile($0).json(
                LexicalWeights.self, "weights by term, {\"dog\": 1.5}, or {\"indices\": […], \"values\": […]}")
        }
    }

    /// What is asked with other than vectors of files: one or several texts, a picture, an entry.
    func otherInputs() throws -> [QueryInput] {
        if let image { return [try InputFile(image).picture()] }
        if let entry {
            return [.entry(Self.reference(to: entry, in: entryDatastore))]
        }
        return text.map { .text($0) }
    }

    /// `88` is the number of an entry; `a-8` and `"88"` are ids that entries were given.
    private static func reference(to entry: String, in datastore: String?) -> EntryReference {
        if let id = Int64(entry) { return EntryReference(id: id, datastore: datastore) }
        let isQuoted = entry.count > 2 && entry.hasPrefix("\"") && entry.hasSuffix("\"")
        return EntryReference(externalID: isQuoted ? String(entry.dropFirst().dropLast()) : entry, datastore: datastore)
    }
}
