import DatastoreCore
import Foundation

/// Reads one NDJSON line as a row.
struct RowDecoder {
    let key: KeySpec

    /// - Parameter separate: the row's vector, when the vectors come from a file of their own; the row must carry
    ///   none then.
    /// - Throws: what is wrong with the row.
    func decode(
        _ bytes: UnsafeRawBufferPointer, vector separate: [Float]?
    ) throws(RowFault) -> (fields: EntryFields, vector: [Float]) {
        try Self.checkUTF8(bytes)
        var row = try RowMembers(bytes, keeping: separate == nil ? key.dim : 0)
        let vector: [Float]
        if let separate {
            guard !row.carriesVector else {
                throw RowFault(.unexpectedVector, "the row carries a vector, but the vectors come from a file")
            }
            vector = try checked(separate, count: separate.count)
        } else {
            let (values, count) = try row.takeVector()
            vector = try checked(values, count: count)
        }
        return (try row.takeFields(), vector)
    }

    private func checked(_ vector: [Float], count: Int) throws(RowFault) -> [Float] {
        guard count == key.dim else {
            throw RowFault(.vectorDimMismatch, "vector: got \(count) numbers, expected \(key.dim)")
        }
        if let fault = VectorFault.find(in: vector[...], metric: key.metric) {
            throw RowFault(fault.code, "vector: \(fault.message)")
        }
        return vector
    }

    private static func checkUTF8(_ bytes: UnsafeRawBufferPointer) throws(RowFault) {
        guard bytes.contains(where: { $0 >= 0x80 }), String(validating: bytes, as: UTF8.self) == nil else { return }
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        var valid = 0
        while case .scalarValue(let scalar) = decoder.decode(&iterator) { valid += UTF8.width(scalar) }
        throw RowFault(.invalidUTF8, "byte \(valid) does not begin a valid UTF-8 character")
    }
}

/// The members of a row's object, taken out one by one.
private struct RowMembers {
    private var members: [String: JSONValue] = [:]
    private var vector: JSONScanner.Floats?

    /// - Parameter limit: numbers of `vector` that are kept.
    init(_ bytes: UnsafeRawBufferPointer, keeping limit: Int) throws(RowFault) {
        var members: [String: JSONValue] = [:]
        var vector: JSONScanner.Floats?
        var scanner = JSONScanner(bytes)
        scanner.skipWhitespace()
        try scanner.object { (name, scanner) throws(RowFault) in
            let value: JSONValue
            switch name {
            case "vector" where scanner.current == UInt8(ascii: "["):
                vector = try scanner.floats(keeping: limit)
                // Holds the name's place.
                value = .array([])
            case "id", "image_id":
                value = try scanner.integerAsStringOrValue(depth: 1)
            default:
                value = try scanner.value(depth: 1)
            }
            guard members.updateValue(value, forKey: name) == nil else { throw scanner.duplicate(name) }
        }
        try scanner.end()
        self.members = members
        self.vector = vector
    }

    var carriesVector: Bool {
        ["vector", "vector_base64"].contains { members[$0, default: .null] != .null }
    }

    /// The first numbers of the vector that the row carries in one form or the other, and how many it has.
    mutating func takeVector() throws(RowFault) -> (values: [Float], count: Int) {
        let array = members.removeValue(forKey: "vector") ?? .null
        let base64 = try takeString("vector_base64")
        guard array == .null || base64 == nil else {
            throw RowFault(.invalidValue, "got both \"vector\" and \"vector_base64\", expected one of them")
        }
        if let base64 {
            do {
                let values = try QueryVectors.floats(base64: base64, field: "vector_base64")
                return (values, values.count)
            } catch {
                throw RowFault(.invalidBase64, (error as? DatastoreError)?.detail ?? "vector_base64: \(error)")
            }
        }
        guard array != .null else {
            throw RowFault(.missingVector, "expected \"vector\" or \"vector_base64\", or a file of vectors")
        }
        guard let vector else {
            throw RowFault(.invalidValue, "vector: got \(array.kindName), expected an array of numbers")
        }
        if let position = vector.firstOther {
            throw RowFault(.invalidValue, "vector: got something else than a number at position \(position)")
        }
        return (vector.values, vector.count)
    }

    /// All that is left; names that no one knows go to the payload.
    mutating func takeFields() throws(RowFault) -> EntryFields {
        members.removeValue(forKey: "vector")
        members.removeValue(forKey: "vector_base64")
        let externalID = try takeString("id", expected: "a string or an integer")
        guard externalID != "" else { throw RowFault(.invalidValue, "id: got an empty string") }
        let imageID = try takeString("image_id", expected: "a string or an integer")
        var origin: Origin?
        if let name = try takeString("origin") {
            origin = Origin(rawValue: name)
            guard origin != nil else {
                let known = Origin.allCases.map(\.rawValue).joined(separator: ", ")
                throw RowFault(.invalidValue, "origin: got \"\(name.prefix(80))\", expected one of \(known)")
            }
        }
        return EntryFields(
            externalID: externalID, text: try takeText(), imageID: imageID, origin: origin,
            lang: try takeString("lang"), source: try takeString("source"), payload: try takePayload())
    }

    private mutating func takeText() throws(RowFault) -> String {
        let text = try takeString("text").map(trimmed)
        let caption = try takeString("caption").map(trimmed)
        if let text, let caption, text != caption {
            throw RowFault(.invalidValue, "got \"text\" and \"caption\" that differ, expected one of them")
        }
        guard let text = text ?? caption else {
            throw RowFault(.missingText, "expected \"text\" or \"caption\"")
        }
        guard !text.isEmpty else { throw RowFault(.missingText, "the text is empty") }
        return text
    }

    private mutating func takePayload() throws(RowFault) -> JSONValue? {
        var payload: [String: JSONValue]?
        switch members.removeValue(forKey: "payload") ?? .null {
        case .null: break
        case .object(let object): payload = object
        case let other: throw RowFault(.invalidValue, "payload: got \(other.kindName), expected an object")
        }
        for (name, value) in members {
            if let existing = payload?[name], existing != value {
                throw RowFault(
                    .invalidValue, "the row and its payload both have \"\(name.prefix(80))\", and the values differ")
            }
            payload = payload ?? [:]
            payload?[name] = value
        }
        members = [:]
        return payload.map(JSONValue.object)
    }

    private mutating func takeString(_ name: String, expected: String = "a string") throws(RowFault) -> String? {
        switch members.removeValue(forKey: name) ?? .null {
        case .null: return nil
        case .string(let string):
            // SQLite's strings end at a NUL, so that what follows it would be lost.
            guard !string.utf8.contains(0) else { throw RowFault(.invalidValue, "\(name): got a NUL character") }
            return string
        case let other: throw RowFault(.invalidValue, "\(name): got \(other.kindName), expected \(expected)")
        }
    }

    private func trimmed(_ text: String) -> String {
        text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

extension JSONValue {
    fileprivate var kindName: String {
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
