import DatastoreCore

/// One JSON object per line, with the fields of `RowMembers` and, unless the vectors come from elsewhere, `vector`, an
/// array of numbers, or `vector_base64`, base64 of little-endian 32-bit floats.
struct NDJSONForm: LineForm {
    /// Numbers of a vector that are kept; nil when the vectors come from a file.
    let dim: Int?

    func content(of line: UnsafeRawBufferPointer) throws(RowFault) -> RowContent? {
        var members = try RowMembers(line, keepingNumbers: dim ?? 0)
        if dim == nil, members.carriesVector {
            throw RowFault(.unexpectedVector, "the row carries a vector, but the vectors come from a file")
        }
        let vector = try members.takeVector()
        return RowContent(fields: try members.takeFields(), vector: vector)
    }
}
