public import ArgumentParser
public import DatastoreCore

/// The options of `capstan import` that say how the rows are read.
struct ImportOptionFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The form of the rows; auto finds out from the content. "
                + ImportFormat.allCases.map(\.rawValue).joined(separator: ", ") + ".", valueName: "form"))
    var format = ImportFormat.auto

    @Option(
        name: .customLong("split"),
        help: ArgumentHelp(
            "Karpathy files: read this split only; may be repeated. restval counts as train.", valueName: "split"))
    var splits: [String] = []

    @Option(help: "Karpathy files: take the raw sentence, or its tokens.")
    var captionText = CaptionText.raw

    @Option(
        name: .customLong("column"),
        help: ArgumentHelp(
            "CSV and TSV: where a field is, by the column's name or its number from 1, for example text=caption; may be "
                + "repeated. Fields are \(ImportOptions.columnFields.joined(separator: ", ")).",
            valueName: "field=column"),
        transform: { try ColumnArgument($0) })
    var columns: [ColumnArgument] = []

    @Flag(inversion: .prefixedNo, help: "CSV and TSV: whether the first line names the columns; else found out.")
    var header: Bool?

    @Option(
        help:
            "What becomes of several vectors of one row: refused, or their mean. For NumPy files of three axes (EVCap)."
    )
    var pool = VectorPooling.none

    @Option(help: "Where the texts come from, for rows that do not say.")
    var origin: Origin?

    @Option(help: ArgumentHelp("The language of rows that do not say theirs.", valueName: "tag"))
    var lang: String?

    @Option(help: ArgumentHelp("The source of rows that do not say theirs.", valueName: "text"))
    var source: String?

    @Option(help: ArgumentHelp("Refuse captions of more words.", valueName: "n"))
    var maxWords: Int?

    @Option(
        help: ArgumentHelp("Refuse captions of more tokens, as CLIP splits them before its merges.", valueName: "n"))
    var maxTokens: Int?

    @Option(help: ArgumentHelp("Refuse texts of fewer letters and digits.", valueName: "n"))
    var minLetters: Int?

    @Option(
        name: .customLong("language"),
        help: ArgumentHelp("Refuse rows that say another language; may be repeated.", valueName: "tag"))
    var languages: [String] = []

    @Flag(help: "Refuse a row of which image and text came before in the same import.")
    var dropDuplicates = false

    func validate() throws {
        let fields = columns.map(\.field)
        if let twice = fields.first(where: { field in fields.count { $0 == field } > 1 }) {
            throw ValidationError("--column \(twice) is given twice, expected each field once.")
        }
    }

    func options(build: Bool, strict: Bool, dryRun: Bool) throws -> ImportOptions {
        let options = ImportOptions(
            build: build, strict: strict, dryRun: dryRun, format: format, splits: splits, captionText: captionText,
            columns: Dictionary(columns.map { ($0.field, $0.column) }) { _, last in last }, header: header,
            pool: pool, origin: origin, lang: lang, source: source,
            filters: ImportFilters(
                maxWords: maxWords, maxTokens: maxTokens, minLetters: minLetters, languages: languages,
                dropDuplicates: dropDuplicates))
        try options.validate()
        return options
    }
}

/// `--column FIELD=COLUMN`.
struct ColumnArgument {
    let field: String
    let column: String

    init(_ argument: String) throws {
        let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2 else {
            throw ValidationError("got \"\(argument)\", expected FIELD=COLUMN, for example text=caption")
        }
        field = parts[0]
        column = parts[1]
    }
}

extension ImportFormat: ExpressibleByArgument {}
extension VectorPooling: ExpressibleByArgument {}
extension CaptionText: ExpressibleByArgument {}
extension Origin: ExpressibleByArgument {}
