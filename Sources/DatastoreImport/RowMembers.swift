import DatastoreCore

/// The members of a row's JSON object, taken out one by one; those that no one takes go to the payload.
///
/// | field | meaning |
/// | --- | --- |
/// | `text` or `caption` | required; surrounding white space is taken off |
/// | `id`, `image_id` | a string, or an integer that is kept as its decimal digits |
/// | `origin` | `human`, `web` or `synthetic` |
/// | `lang`, `source` | strings |
/// | `payload` | an object |
/// | any other | kept in the payload under its own name |
///
/// A field that is `null` counts as not given.
struct RowMembers {
    private var members = JSONMembers()
    /// The vectors that stand in the row; nil where they are fields as any other.
    private(set) var vectors: InlineVectors?

    /// - Parameter keys: what `InlineVectors.names` are read for; nil when those are fields as any other.
    /// - Throws: `invalid_utf8`, `invalid_json`, or `invalid_value` for a number that would be changed.
    init(_ bytes: UnsafeRawBufferPointer, vectorsOf keys: InlineKeys? = nil) throws(RowFault) {
        try RowText.checkUTF8(bytes)
        var members = JSONMembers()
        var vectors = keys.map { InlineVectors(of: $0) }
        var scanner = JSONScanner(bytes)
        scanner.skipWhitespace()
        try scanner.object { (name, scanner) throws(RowFault) in
            var value = JSONValue.null
            switch name {
            case "id", "image_id":
                value = try scanner.integerAsStringOrValue(depth: 1)
            case _ where vectors != nil && InlineVectors.names.contains(name):
                // The null holds the name's place.
                try vectors?.read(name, from: &scanner)
            default:
                value = try scanner.value(depth: 1)
            }
            guard members.insert(value, for: name) else { throw scanner.duplicate(name) }
        }
        try scanner.end()
        if vectors != nil {
            for name in InlineVectors.names { _ = members.remove(name) }
        }
        self.members = members
        self.vectors = vectors
    }

    /// Members that were read already.
    init(_ members: [String: JSONValue]) {
        self.members = JSONMembers(members)
    }

    /// All that is left; names that no one knows go to the payload.
    mutating func takeFields() throws(RowFault) -> EntryFields {
        let externalID = try takeID("id")
        return try takeFields(externalID: externalID, imageID: try takeID("image_id"), text: try takeText())
    }

    /// The fields that a row has besides those given.
    mutating func takeFields(externalID: String?, imageID: String?, text: String) throws(RowFault) -> EntryFields {
        EntryFields(
            externalID: externalID, text: text, imageID: imageID,
            origin: try takeString("origin").map { (name) throws(RowFault) in try RowText.origin(name) },
            lang: try takeString("lang"), source: try takeString("source"), payload: try takePayload())
    }

    /// A string or an integer; nil when it is not given.
    mutating func takeID(_ name: String) throws(RowFault) -> String? {
        if case .integer(let number)? = members[name] {
            _ = members.remove(name)
            return String(number)
        }
        let id = try takeString(name, expected: "a string or an integer")
        guard id != "" else { throw RowFault(.invalidValue, "\(name): got an empty string") }
        return id
    }

    /// The first of `names` that is given.
    mutating func takeFirstID(of names: [String]) throws(RowFault) -> String? {
        for name in names {
            if let id = try takeID(name) { return id }
        }
        return nil
    }

    mutating func takeText() throws(RowFault) -> String {
        let text = try takeString("text").map(RowText.trimmed)
        let caption = try takeString("caption").map(RowText.trimmed)
        if let text, let caption, text != caption {
            throw RowFault(.invalidValue, "got \"text\" and \"caption\" that differ, expected one of them")
        }
        guard let text = text ?? caption else {
            throw RowFault(.missingText, "expected \"text\" or \"caption\"")
        }
        return try RowText.caption(text)
    }

    mutating func takeString(_ name: String, expected: String = "a string") throws(RowFault) -> String? {
        switch take(name) {
        case .null: return nil
        case .string(let string): return try RowText.withoutNUL(string, field: name)
        case let other: throw RowFault(.invalidValue, "\(name): got \(other.kindName), expected \(expected)")
        }
    }

    /// `null` when it is not given.
    mutating func take(_ name: String) -> JSONValue {
        members.remove(name) ?? .null
    }

    /// Everything that is left, as an object; nil when nothing is.
    mutating func takePayload() throws(RowFault) -> JSONValue? {
        var payload: [String: JSONValue]?
        switch take("payload") {
        case .null: break
        case .object(let object): payload = object
        case let other: throw RowFault(.invalidValue, "payload: got \(other.kindName), expected an object")
        }
        for (name, value) in members.removeAll() {
            if let existing = payload?[name], existing != value {
                throw RowFault(
                    .invalidValue, "the row and its payload both have \"\(name.prefix(80))\", and the values differ")
            }
            payload = payload ?? [:]
            payload?[name] = value
        }
        return payload.map(JSONValue.object)
    }
}

extension JSONValue {
    var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer, .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}
