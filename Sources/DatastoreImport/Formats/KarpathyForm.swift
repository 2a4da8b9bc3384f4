import DatastoreCore

/// The sentences of a Karpathy split file, image by image:
/// `{"images": [{"cocoid", "filename", "imgid", "split", "sentences": [{"raw", "tokens", "sentid"}]}]}`.
///
/// `sentid` is the id; `cocoid`, else `filename`, else `imgid`, is the image. Split and file name go to the payload.
struct KarpathyForm: ElementForm {
    static let member: String? = "images"
    static let hasManyRows = true

    /// Splits that are read; all when empty.
    let splits: Set<String>
    let text: CaptionText
    private var splitsSeen: Set<String> = []

    init(splits: [String], text: CaptionText) {
        self.splits = Set(splits)
        self.text = text
    }

    mutating func rows(of element: UnsafeRawBufferPointer) -> [ElementRow] {
        do throws(RowFault) {
            let image = try KarpathyImage(element)
            // Names of splits are few; a file that says otherwise must not fill the memory.
            if let split = image.split, splitsSeen.count < 1000 { splitsSeen.insert(split) }
            guard try isWanted(image.split) else { return [] }
            return image.sentences.map { sentence in
                ElementRow(range: sentence.range) { () throws(RowFault) in
                    RowContent(fields: try image.fields(of: sentence.value, text: text))
                }
            }
        } catch {
            return [ElementRow(unreadable: error)]
        }
    }

    /// - Throws: `unknown_split` when nothing was read for the name of a split that the file does not have.
    func finish(name: String, rows: Int) throws {
        guard rows == 0, let unknown = splits.sorted().first(where: { !isSeen($0) }) else { return }
        let known = splitsSeen.sorted().map { "\"\($0.prefix(80))\"" }.joined(separator: ", ")
        throw DatastoreError(
            .unknownSplit,
            "\(name): got the split \"\(unknown.prefix(80))\", expected one of those in the file: "
                + (known.isEmpty ? "it has none" : known))
    }

    private func isWanted(_ split: String?) throws(RowFault) -> Bool {
        if splits.isEmpty { return true }
        guard let split else {
            throw RowFault(.malformedRow, "the image has no \"split\", so that it cannot be told whether it is wanted")
        }
        return splits.contains(split) || (split == "restval" && splits.contains("train"))
    }

    private func isSeen(_ split: String) -> Bool {
        splitsSeen.contains(split) || (split == "train" && splitsSeen.contains("restval"))
    }
}

/// One image of a Karpathy file.
private struct KarpathyImage {
    struct Sentence {
        /// Where it stands in the image's bytes.
        let range: Range<Int>
        let value: JSONValue
    }

    let split: String?
    let imageID: String?
    let payload: JSONValue?
    private(set) var sentences: [Sentence] = []

    init(_ bytes: UnsafeRawBufferPointer) throws(RowFault) {
        try RowText.checkUTF8(bytes)
        var members: [String: JSONValue] = [:]
        var sentences: [Sentence]?
        var scanner = JSONScanner(bytes)
        try scanner.object { (name, scanner) throws(RowFault) in
            guard name == "sentences", scanner.current == UInt8(ascii: "[") else {
                guard members.updateValue(try scanner.value(depth: 1), forKey: name) == nil else {
                    throw scanner.duplicate(name)
                }
                return
            }
            guard sentences == nil else { throw scanner.duplicate(name) }
            var found: [Sentence] = []
            try scanner.array(depth: 1) { (scanner) throws(RowFault) in
                let start = scanner.offset
                let value = try scanner.value(depth: 2)
                found.append(Sentence(range: start..<scanner.offset, value: value))
            }
            sentences = found
        }
        try scanner.end()
        guard let sentences else {
            let got = members["sentences"]?.kindName ?? "none"
            throw RowFault(.malformedRow, "sentences: got \(got), expected an array")
        }
        self.sentences = sentences
        var row = RowMembers(members)
        split = try row.takeString("split")
        let cocoID = try row.takeID("cocoid")
        let filename = try row.takeID("filename")
        let number = try row.takeID("imgid")
        imageID = cocoID ?? filename ?? number
        var payload: [String: JSONValue] = [:]
        payload["split"] = split.map { .string($0) }
        if filename != imageID { payload["filename"] = filename.map { .string($0) } }
        self.payload = payload.isEmpty ? nil : .object(payload)
    }

    func fields(of sentence: JSONValue, text: CaptionText) throws(RowFault) -> EntryFields {
        guard case .object(let members) = sentence else {
            throw RowFault(.malformedRow, "got a sentence that is \(sentence.kindName), expected an object")
        }
        var row = RowMembers(members)
        let raw = try row.takeString("raw")
        let tokens = try Self.joined(row.take("tokens"))
        guard let caption = text == .raw ? raw ?? tokens : tokens ?? raw else {
            throw RowFault(.missingText, "expected \"raw\" or \"tokens\"")
        }
        return EntryFields(
            externalID: try row.takeID("sentid"), text: try RowText.caption(caption), imageID: imageID,
            payload: payload)
    }

    private static func joined(_ tokens: JSONValue) throws(RowFault) -> String? {
        if tokens == .null { return nil }
        guard case .array(let values) = tokens else {
            throw RowFault(.invalidValue, "tokens: got \(tokens.kindName), expected an array of strings")
        }
        var words: [String] = []
        for value in values {
            guard case .string(let word) = value else {
                throw RowFault(.invalidValue, "tokens: got \(value.kindName) in the array, expected strings")
            }
            words.append(word)
        }
        return words.joined(separator: " ")
    }
}
