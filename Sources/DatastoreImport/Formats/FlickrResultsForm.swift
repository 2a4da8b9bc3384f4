import DatastoreCore

/// Captions of Flickr30k, `image_name|comment_number|comment` per line, with or without that header and with or without
/// spaces around the pipes: `image_name#comment_number` is the id.
struct FlickrResultsForm: LineForm {
    static let header = ["image_name", "comment_number", "comment"]

    private var isFirst = true

    mutating func content(of line: UnsafeRawBufferPointer) throws(RowFault) -> RowContent? {
        let mayBeHeader = isFirst
        isFirst = false
        let fields = Self.fields(of: try RowText.string(line))
        if mayBeHeader, fields.map({ $0.lowercased() }) == Self.header { return nil }
        guard fields.count == 3 else {
            throw RowFault(
                .malformedRow,
                "got \(fields.count) field\(fields.count == 1 ? "" : "s"), expected 3 with | between "
                    + "them: \(Self.header.joined(separator: "|"))")
        }
        let (name, number) = (try RowText.withoutNUL(fields[0], field: "image_name"), fields[1])
        guard !name.isEmpty else { throw RowFault(.malformedRow, "image_name: got an empty string") }
        guard Int(number) != nil else {
            throw RowFault(.malformedRow, "comment_number: got \"\(number.prefix(80))\", expected a number")
        }
        return RowContent(
            fields: EntryFields(
                externalID: "\(name)#\(number)", text: try RowText.caption(fields[2]), imageID: name))
    }

    /// The fields of a line, three at most: a comment may hold pipes.
    static func fields(of line: String) -> [String] {
        line.split(separator: "|", maxSplits: 2, omittingEmptySubsequences: false).map { RowText.trimmed(String($0)) }
    }
}
