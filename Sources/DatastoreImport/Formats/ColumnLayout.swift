import DatastoreCore

/// Which column of a file holds which field; columns count from 0.
struct ColumnLayout {
    /// Usual names of the columns of captions, in lower case; the first that there is counts.
    static let textNames = [
        "text", "caption", "captions", "comment", "sentence", "raw", "title", "description", "alt_text", "alt",
    ]
    static let idNames = ["id", "caption_id", "sentid", "sent_id", "ann_id", "annotation_id"]
    static let imageNames = [
        "image_id", "imageid", "image", "image_name", "img", "img_id", "imgid", "cocoid", "filename", "file_name",
        "filepath", "file_path", "image_path", "path", "url", "image_url",
    ]
    private static let usualNames = [
        "text": textNames, "id": idNames, "image_id": imageNames, "lang": ["lang", "language"],
        "source": ["source"], "origin": ["origin"],
    ]

    /// Fields that every record has.
    let width: Int
    let hasHeader: Bool
    private let text: Int
    private let id: Int?
    private let imageID: Int?
    private let lang: Int?
    private let source: Int?
    private let origin: Int?
    private let payload: [(column: Int, name: String)]

    /// - Parameters:
    ///   - sample: at least one record.
    ///   - file: the file's name.
    /// - Throws: `unknown_column`, which lists the columns that there are.
    init(sample: DelimitedSample, options: ImportOptions, file: String) throws {
        let first = sample.beginsWithFirst ? sample.records.first : nil
        let namesColumns = options.columns.values.contains { Int($0) == nil }
        hasHeader = options.header ?? (namesColumns || sample.header != nil)
        guard !hasHeader || first != nil else {
            throw DatastoreError(.unknownColumn, "\(file): the first line, which names the columns, cannot be read")
        }
        let names = hasHeader ? first ?? [] : []
        width = hasHeader ? names.count : sample.width
        let known =
            hasHeader
            ? names.map { "\"\($0.prefix(80))\"" }.joined(separator: ", ") : "no header, and \(width) columns"

        var places: [String: Int] = [:]
        for (field, wanted) in options.columns {
            guard let column = Self.column(wanted, names: names, width: width) else {
                throw DatastoreError(
                    .unknownColumn,
                    "\(file): \(field): got the column \"\(wanted.prefix(80))\", expected a column's name or its "
                        + "number from 1 to \(width); the file has \(known)")
            }
            places[field] = column
        }
        let lowercased = names.map { $0.lowercased() }
        let told = Set(places.values)
        for (field, usual) in Self.usualNames where places[field] == nil {
            places[field] = usual.lazy.compactMap { lowercased.firstIndex(of: $0) }.first { !told.contains($0) }
        }
        if !hasHeader { Self.placeByContent(&places, sample: sample, width: width) }
        guard let text = places["text"] else {
            throw DatastoreError(
                .unknownColumn,
                "\(file): got no column that is known to hold the text, expected it to be named, for example "
                    + "columns text:2 (capstan import --column text=2); the file has \(known)")
        }
        self.text = text
        id = places["id"]
        imageID = places["image_id"]
        lang = places["lang"]
        source = places["source"]
        origin = places["origin"]
        let taken = Set(places.values)
        payload = (0..<width).filter { !taken.contains($0) }.map { column in
            let name = column < names.count ? names[column] : ""
            let isName = !name.isEmpty && names.firstIndex(of: name) == column
            return (column, isName ? name : "column_\(column + 1)")
        }
    }

    /// Whether a column of this name is known without being told.
    static func isUsual(_ name: String) -> Bool {
        let name = name.lowercased()
        return usualNames.values.contains { $0.contains(name) }
    }

    /// - Throws: `malformed_row`, `missing_text` or `invalid_value`.
    func fields(of record: [String]) throws(RowFault) -> EntryFields {
        guard record.count == width else {
            throw RowFault(
                .malformedRow,
                "got \(record.count) field\(record.count == 1 ? "" : "s"), expected \(width)"
                    + (hasHeader ? " as in the header" : ""))
        }
        func cell(_ column: Int?, _ field: String) throws(RowFault) -> String? {
            guard let column else { return nil }
            let text = RowText.trimmed(record[column])
            return text.isEmpty ? nil : try RowText.withoutNUL(text, field: field)
        }
        var others: [String: JSONValue] = [:]
        for (column, name) in payload where !record[column].isEmpty {
            others[name] = .string(record[column])
        }
        return EntryFields(
            externalID: try cell(id, "id"), text: try RowText.caption(record[text]),
            imageID: try cell(imageID, "image_id"),
            origin: try cell(origin, "origin").map { (name) throws(RowFault) in try RowText.origin(name) },
            lang: try cell(lang, "lang"), source: try cell(source, "source"),
            payload: others.isEmpty ? nil : .object(others))
    }

    private static func column(_ wanted: String, names: [String], width: Int) -> Int? {
        let lowercased = wanted.lowercased()
        if let named = names.firstIndex(of: wanted) ?? names.firstIndex(where: { $0.lowercased() == lowercased }) {
            return named
        }
        guard let number = Int(wanted), number >= 1, number <= width else { return nil }
        return number - 1
    }

    /// Without a header: one column is the text; of two, the one of URLs or file names is the image.
    private static func placeByContent(_ places: inout [String: Int], sample: DelimitedSample, width: Int) {
        if width == 1, places["text"] == nil { places["text"] = 0 }
        guard width == 2 else { return }
        let free = (0..<2).filter { !places.values.contains($0) }
        if places["image_id"] == nil,
            let image = free.first(where: { sample.shareOfPlaces(inColumn: $0) >= 0.5 })
        {
            places["image_id"] = image
        }
        if places["text"] == nil, let image = places["image_id"], free.contains(1 - image) {
            places["text"] = 1 - image
        }
    }
}
