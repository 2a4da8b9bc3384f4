import Foundation

extension DatastoreError {
    /// Says in the API's words what a `DecodingError` found in `data`.
    init(decoding error: DecodingError, data: Data) {
        let document = try? JSONDecoder().decode(JSONValue.self, from: data)
        switch error {
        case .keyNotFound(let key, let context):
            self = .field(.missingField, (context.codingPath + [key]).fieldPath, "required and not given")
        case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
            let got = document?[context.codingPath].map { "got \($0.summary), " } ?? ""
            self = .field(.invalidValue, context.codingPath.fieldPath, "\(got)expected \(Self.words(for: type))")
        case .dataCorrupted(let context) where document == nil:
            let cause = context.underlyingError.map { " (\($0))" } ?? ""
            self = DatastoreError(.invalidJSON, "not valid JSON: \(context.debugDescription)\(cause)")
        case .dataCorrupted(let context):
            // Valid JSON with a number that does not fit; the decoder does not always say where.
            let path = context.codingPath.isEmpty ? document?.pathOfHugeNumber() ?? [] : context.codingPath
            let got = document?[path].map { "got \($0.summary), " } ?? ""
            self = .field(.invalidValue, path.fieldPath, "\(got)expected a number of this field's range")
        @unknown default:
            self = DatastoreError(.invalidJSON, "not valid JSON")
        }
    }

    private static func words(for type: any Any.Type) -> String {
        switch type {
        case is Float.Type, is Double.Type, is any FixedWidthInteger.Type: "a number"
        case is String.Type: "a string"
        case is Bool.Type: "true or false"
        case is [String: Any].Type: "an object"
        case is [Any].Type, is [Float].Type: "an array"
        default: String(describing: type).hasPrefix("Array<") ? "an array" : "an object"
        }
    }
}

extension JSONValue {
    fileprivate subscript(path: [any CodingKey]) -> JSONValue? {
        path.reduce(self as JSONValue?) { value, key in
            switch value {
            case .array(let items): key.intValue.flatMap { items.indices.contains($0) ? items[$0] : nil }
            case .object(let members): members[key.stringValue]
            default: nil
            }
        }
    }

    /// Short enough for a message.
    fileprivate var summary: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let value): "\"\(value.prefix(40))\""
        case .array(let items): "an array of \(items.count)"
        case .object(let members): "an object of \(members.count)"
        }
    }

    /// Where the first number is that no 32-bit float holds.
    fileprivate func pathOfHugeNumber() -> [any CodingKey]? {
        switch self {
        case .number(let value): abs(value) > Double(Float.greatestFiniteMagnitude) ? [] : nil
        case .array(let items):
            items.enumerated().lazy.compactMap { index, item in
                item.pathOfHugeNumber().map { [AnyCodingKey(intValue: index)] + $0 }
            }.first
        case .object(let members):
            members.sorted { $0.key < $1.key }.lazy.compactMap { name, member in
                member.pathOfHugeNumber().map { [AnyCodingKey(stringValue: name)] + $0 }
            }.first
        default: nil
        }
    }
}
