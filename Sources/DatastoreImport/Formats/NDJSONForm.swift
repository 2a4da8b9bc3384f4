import DatastoreCore

/// One JSON object per line, with the fields of `RowMembers` and the vectors of `InlineVectors`.
struct NDJSONForm: LineForm {
    let keys: InlineKeys

    func content(of line: UnsafeRawBufferPointer) throws(RowFault) -> RowContent? {
        var members = try RowMembers(line, vectorsOf: keys)
        return RowContent(fields: try members.takeFields(), vectors: members.vectors)
    }
}
