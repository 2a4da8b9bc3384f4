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
        try refuseFields(outside: Keys.allCases.map(\.stringValue))
        return try container(keyedBy: Keys.self)
    }

    /// - Throws: `unknown_field`.
    func refuseFields(outside names: [String]) throws {
        let known = Set(names)
        let present = try container(keyedBy: AnyCodingKey.self).allKeys.map(\.stringValue)
        if let unknown = present.filter({ !known.contains($0) }).min() {
            throw DatastoreError.field(
                .unknownField, (codingPath + [AnyCodingKey(stringValue: unknown)]).fieldPath,
                "not a field here; expected one of \(known.sorted().joined(separator: ", "))")
        }
    }
}

extension KeyedDecodingContainer {
    /// A whole number, nil when it is absent or null.
    ///
    /// - Throws: `invalid_value` for a fraction and for what is beyond 64 bits.
    func decodeWholeIfPresent(forKey key: Key) throws -> Int? {
        guard let number = try decodeIfPresent(Double.self, forKey: key) else { return nil }
        guard let whole = Int(exactly: number) else {
            throw DatastoreError.field(
                .invalidValue, (codingPath + [key]).fieldPath, "got \(number), expected a whole number")
        }
        return whole
    }
}

/// A request field that takes one of a few words.
public protocol WireChoice: RawRepresentable, CaseIterable, Codable, Sendable, Hashable where RawValue == String {}

extension WireChoice {
    /// - Throws: `invalid_value`, which lists the words.
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let choice = Self(rawValue: text) else {
            throw DatastoreError.field(
                .invalidValue, decoder.codingPath.fieldPath,
                "got \"\(text)\", expected \(Self.allCases.map(\.rawValue).joined(separator: " or "))")
        }
        self = choice
    }
}

extension [any CodingKey] {
    /// The path of a field as the API writes it, for example `queries[0].query.vector`.
    var fieldPath: String {
        reduce(into: "") { path, key in
            if let index = key.intValue {
                path += "[\(index)]"
            } else {
                path += path.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
    }
}
