import DatastoreCore

/// The categories of LVIS, `[{"id", "name", "synonyms", "def", …}]`: the text is the name with spaces for underscores,
/// the id is the category's; name, synonyms, definition and counts go to the payload.
struct LvisForm: ElementForm {
    func rows(of element: UnsafeRawBufferPointer) -> [ElementRow] {
        [
            ElementRow { () throws(RowFault) in
                var members = try RowMembers(element)
                let id = try members.takeID("id")
                guard let name = try members.takeString("name") else {
                    throw RowFault(.missingText, "expected \"name\"")
                }
                let text = try RowText.caption(name.replacing("_", with: " "))
                let definition = members.take("def")
                var payload: [String: JSONValue] = [:]
                if case .object(let others)? = try members.takePayload() { payload = others }
                payload["name"] = .string(name)
                if definition != .null { payload["definition"] = definition }
                return RowContent(fields: EntryFields(externalID: id, text: text, payload: .object(payload)))
            }
        ]
    }
}
