import DatastoreCore

/// The annotations of a COCO file, `{"images": […], "annotations": [{"image_id", "id", "caption"}]}`.
///
/// An annotation has the fields of `RowMembers`; what else it says goes to the payload.
struct CocoForm: ElementForm {
    static let member: String? = "annotations"

    func rows(of element: UnsafeRawBufferPointer) -> [ElementRow] {
        [
            ElementRow { () throws(RowFault) in
                var members = try RowMembers(element)
                return RowContent(fields: try members.takeFields())
            }
        ]
    }
}
