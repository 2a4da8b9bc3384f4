import DatastoreCore

/// The captions of a list of images, `[{"image", "caption"}]`, in which a caption is a string or a list of strings, one
/// row each.
///
/// The image is `image_id`, else `image`, else `url` or another usual name. An `id` is the row's when there is one
/// caption; of a list, caption n has `ID#n`. What else an element says goes to the payload of each of its rows.
struct CaptionListForm: ElementForm {
    static let hasManyRows = true
    /// The members that may hold a caption or a list of them.
    static let captionNames = ["caption", "captions", "text"]

    func rows(of element: UnsafeRawBufferPointer) -> [ElementRow] {
        do throws(RowFault) {
            var members = try RowMembers(element)
            let (name, caption) = Self.takeCaption(&members)
            guard case .array(let captions) = caption else {
                return [ElementRow { () throws(RowFault) in try Self.row(members, try Self.text(caption, name)) }]
            }
            return captions.enumerated().map { index, caption in
                ElementRow { () throws(RowFault) in
                    try Self.row(members, try Self.text(caption, name), index: index)
                }
            }
        } catch {
            return [ElementRow(unreadable: error)]
        }
    }

    private static func takeCaption(_ members: inout RowMembers) -> (name: String, value: JSONValue) {
        for name in captionNames {
            let value = members.take(name)
            if value != .null { return (name, value) }
        }
        return (captionNames[0], .null)
    }

    private static func text(_ caption: JSONValue, _ name: String) throws(RowFault) -> String {
        switch caption {
        case .string(let text): return try RowText.caption(text)
        case .null: throw RowFault(.missingText, "expected \"caption\", a string or a list of strings")
        default:
            throw RowFault(.invalidValue, "\(name): got \(caption.kindName), expected a string or a list of strings")
        }
    }

    /// - Parameter index: place of the caption in its list.
    private static func row(_ members: RowMembers, _ text: String, index: Int? = nil) throws(RowFault) -> RowContent {
        var members = members
        let id = try members.takeID("id")
        let externalID = index.map { index in id.map { "\($0)#\(index)" } } ?? id
        let imageID = try members.takeFirstID(of: ColumnLayout.imageNames)
        return RowContent(fields: try members.takeFields(externalID: externalID, imageID: imageID, text: text))
    }
}
