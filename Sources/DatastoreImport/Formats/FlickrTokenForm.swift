import DatastoreCore

/// Captions of Flickr8k and Flickr30k, `NAME.jpg#0<TAB>CAPTION` per line: `NAME.jpg#0` is the id, `NAME.jpg` the image.
struct FlickrTokenForm: LineForm {
    func content(of line: UnsafeRawBufferPointer) throws(RowFault) -> RowContent? {
        let line = try RowText.string(line)
        guard let tab = line.utf8.firstIndex(of: UInt8(ascii: "\t")) else {
            throw RowFault(.malformedRow, "got a line without a tab, expected NAME#n, a tab and a caption")
        }
        let id = try RowText.withoutNUL(RowText.trimmed(String(line[..<tab])), field: "NAME#n")
        guard let mark = id.utf8.lastIndex(of: UInt8(ascii: "#")), mark > id.startIndex else {
            throw RowFault(
                .malformedRow, "got \"\(id.prefix(80))\" before the tab, expected an image's name, # and a number")
        }
        let caption = String(line[line.utf8.index(after: tab)...])
        return RowContent(
            fields: EntryFields(externalID: id, text: try RowText.caption(caption), imageID: String(id[..<mark])))
    }
}
