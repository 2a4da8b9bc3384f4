import DatastoreCore

/// One caption per line.
struct TextForm: LineForm {
    func content(of line: UnsafeRawBufferPointer) throws(RowFault) -> RowContent? {
        RowContent(fields: EntryFields(text: try RowText.caption(try RowText.string(line))))
    }
}
