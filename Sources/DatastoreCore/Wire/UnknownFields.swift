/// Refuses request fields that no one reads, so that a misspelt option is an error and not a silent default.
struct AnyCodingKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(stringValue: String) {
        self.stringValue = stringValue
        self.intValue = nil
    }

    init(intValue: Int) {
        self.stringValue = String(intValue)
        self.intValue = intValue
    }
}

extension Decoder {
    /// The container of a request object, after a check that it has no field outside `Keys`.
    ///
    /// - Throws: `unknown_field`.
    func strictContainer<Keys: CodingKey & CaseIterable>(keyedBy: Keys.Type) throws -> KeyedDecodingContainer<Keys> {
        let known = Set(Keys.allCases.map(\.stringValue))
        let present = try container(keyedBy: AnyCodingKey.self).allKeys.map(\.stringValue)
        if let unknown = present.filter({ !known.contains($0) }).min() {
            let path = (codingPath.map(\.stringValue) + [unknown]).joined(separator: ".")
            throw DatastoreError.field(
                .unknownField, path, "not a field here; expected one of \(known.sorted().joined(separator: ", "))")
        }
        return try container(keyedBy: Keys.self)
    }
}

extension DatastoreError {
    /// Says in the API's words what a `DecodingError` found.
    package init(decoding error: DecodingError) {
        func path(_ context: DecodingError.Context, _ key: (any CodingKey)? = nil) -> String {
            let keys = context.codingPath + (key.map { [$0] } ?? [])
            return keys.reduce(into: "") { path, key in
                if let index = key.intValue {
                    path += "[\(index)]"
                } else {
                    path += path.isEmpty ? key.stringValue : ".\(key.stringValue)"
                }
            }
        }
        switch error {
        case .keyNotFound(let key, let context):
            self = .field(.missingField, path(context, key), "required and not given")
        case .typeMismatch(let type, let context):
            self = .field(.invalidValue, path(context), "expected \(type)")
        case .valueNotFound(let type, let context):
            self = .field(.invalidValue, path(context), "got null, expected \(type)")
        case .dataCorrupted(let context) where context.codingPath.isEmpty:
            let cause = context.underlyingError.map { " (\($0))" } ?? ""
            self = DatastoreError(.invalidJSON, "not valid JSON: \(context.debugDescription)\(cause)")
        case .dataCorrupted(let context):
            self = .field(.invalidValue, path(context), context.debugDescription)
        @unknown default:
            self = DatastoreError(.invalidJSON, "not valid JSON: \(error)")
        }
    }
}
