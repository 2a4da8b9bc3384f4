import DatastoreCore

/// A JSON array of texts.
struct TextsForm: ElementForm {
    func rows(of element: UnsafeRawBufferPointer) -> [ElementRow] {
        [
            ElementRow { () throws(RowFault) in
                switch try JSONScanner.wholeValue(element) {
                case .string(let text): return RowContent(fields: EntryFields(text: try RowText.caption(text)))
                case .null: throw RowFault(.missingText, "got null, expected a string")
                case let other: throw RowFault(.invalidValue, "got \(other.kindName), expected a string")
                }
            }
        ]
    }
}

/// A JSON object of texts keyed by row number: `{"0": "…", "1": {"caption": "…"}}`. The key is the row's id.
///
/// The keys must be 0, 1, 2 and so on, in this order: a vector belongs to a row's number, and an object that leaves
/// numbers out or mixes them would give rows the vectors of others.
final class KeyedTextRows: RowSource {
    private let stream: JSONStream
    private let maximumRowBytes: Int
    private var rows = 0
    private var isStarted = false
    private var isEnded = false

    init(window: ByteWindow, maximumRowBytes: Int) {
        stream = JSONStream(window: window, maximumValueBytes: maximumRowBytes)
        self.maximumRowBytes = maximumRowBytes
    }

    func next() throws -> SourceRow? {
        guard !isEnded else { return nil }
        if !isStarted {
            guard try stream.enter("{") else { throw stream.unexpected("'{'") }
            isStarted = true
        }
        guard let key = try stream.nextMember() else {
            isEnded = true
            try stream.finish()
            return nil
        }
        let expected = String(rows)
        rows += 1
        return try stream.withValue { value in
            guard key == expected else {
                throw DatastoreError(
                    .formatMismatch,
                    "\(stream.name): byte \(value.byte), line \(value.line): got the key \"\(key.prefix(80))\", "
                        + "expected \"\(expected)\": keys must be the rows' numbers from 0, in the order of numbers, not "
                        + "of texts as sort_keys=True writes them")
            }
            let content = Result { () throws(RowFault) in try self.content(of: value, key: key) }
            return SourceRow(line: value.line, byte: value.byte, bytes: value.bytes, content: content)
        }
    }

    private func content(of value: RawRow, key: String) throws(RowFault) -> RowContent {
        try value.checkLength(maximum: maximumRowBytes)
        switch try JSONScanner.wholeValue(value.bytes) {
        case .string(let text):
            return RowContent(fields: EntryFields(externalID: key, text: try RowText.caption(text)))
        case .object(let object):
            var members = RowMembers(object)
            let imageID = try members.takeID("image_id")
            let text = try members.takeText()
            return RowContent(fields: try members.takeFields(externalID: key, imageID: imageID, text: text))
        case .null:
            throw RowFault(.missingText, "got null, expected a string or an object")
        case let other:
            throw RowFault(.invalidValue, "got \(other.kindName), expected a string or an object")
        }
    }
}

extension JSONScanner {
    /// The one value that `bytes` is.
    ///
    /// - Throws: `invalid_utf8`, `invalid_json`, or `invalid_value` for a number that would be changed.
    static func wholeValue(_ bytes: UnsafeRawBufferPointer) throws(RowFault) -> JSONValue {
        try RowText.checkUTF8(bytes)
        var scanner = JSONScanner(bytes)
        let value = try scanner.value()
        try scanner.end()
        return value
    }
}
