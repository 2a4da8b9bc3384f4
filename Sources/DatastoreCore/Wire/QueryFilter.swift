import struct Foundation.Data

/// Which entries a question is asked of, by what is known of them: those for which all that is given holds. An entry
/// without a value is in no list.
///
/// ```json
/// { "origin": ["human", "web"], "lang": ["en"], "payload": { "split": "train" } }
/// ```
///
/// One with nothing given lets all through: in a question it takes the place of the domain's.
public struct QueryFilter: Codable, Sendable, Hashable {
    /// One of these; nil is whatever.
    public var origin: [Origin]?
    /// One of these languages; nil is whatever.
    public var lang: [String]?
    /// One of these sources; nil is whatever.
    public var source: [String]?
    /// One of these images; nil is whatever.
    public var imageIDs: [String]?
    /// Members of the payload, each with a string, a number, true, false or null; numbers are equal by value.
    public var payload: [String: JSONValue]?

    public init(
        origin: [Origin]? = nil, lang: [String]? = nil, source: [String]? = nil, imageIDs: [String]? = nil,
        payload: [String: JSONValue]? = nil
    ) {
        self.origin = origin
        self.lang = lang
        self.source = source
        self.imageIDs = imageIDs
        self.payload = payload
    }

    /// Whether it lets all through.
    public var isEmpty: Bool { self == QueryFilter() }

    /// Images that a filter may name.
    public static let maximumImages = 10_000
    /// Languages and sources that a filter may name.
    public static let maximumValues = 1_000
    /// Members of the payload that a filter may compare.
    public static let maximumMembers = 16

    enum CodingKeys: String, CodingKey, CaseIterable {
        case origin, lang, source, payload
        case imageIDs = "image_ids"
    }

    /// - Throws: `unknown_field`, `invalid_value`.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        self.init(
            origin: try container.decodeIfPresent([Origin].self, forKey: .origin),
            lang: try container.decodeIfPresent([String].self, forKey: .lang),
            source: try container.decodeIfPresent([String].self, forKey: .source),
            imageIDs: try container.decodeIfPresent([String].self, forKey: .imageIDs),
            payload: try container.decodeIfPresent([String: JSONValue].self, forKey: .payload))
    }

    /// - Throws: `invalid_value`.
    package func validate(field: String) throws {
        func check(_ count: Int?, _ name: String, _ limit: Int) throws {
            guard let count, !(1...limit).contains(count) else { return }
            throw DatastoreError.field(
                .invalidValue, "\(field).\(name)",
                count == 0
                    ? "got an empty list, which no entry passes; leave it out to let all through"
                    : "got \(count) values, expected at most \(limit)")
        }
        try check(origin?.count, "origin", Self.maximumValues)
        try check(lang?.count, "lang", Self.maximumValues)
        try check(source?.count, "source", Self.maximumValues)
        try check(imageIDs?.count, "image_ids", Self.maximumImages)
        try check(payload?.count, "payload", Self.maximumMembers)
        for (name, value) in (payload ?? [:]).sorted(by: { $0.key < $1.key }) {
            switch value {
            case .array, .object:
                throw DatastoreError.field(
                    .invalidValue, "\(field).payload.\(name.prefix(80))",
                    "got an array or an object, expected a string, a number, true, false or null")
            case .null, .bool, .integer, .number, .string: break
            }
        }
    }

    // MARK: As text

    public static let forms =
        "origin=…, lang=…, source=…, image_id=… or payload.NAME=…, each as often as wanted, or none"

    /// Reads `NAME=VALUE`, the command line's form and that of a query string: values of one name are alternatives. The
    /// value of a payload is JSON where it can be read as such, else a string. `none` alone lets all through.
    ///
    /// - Throws: `invalid_value`.
    public init(arguments: [String]) throws {
        self.init()
        if arguments == ["none"] { return }
        for argument in arguments {
            guard let equals = argument.firstIndex(of: "=") else {
                throw DatastoreError.field(.invalidValue, "filter", "got \"\(argument)\", expected \(Self.forms)")
            }
            let value = String(argument[argument.index(after: equals)...])
            switch argument[..<equals] {
            case "origin":
                guard let known = Origin(rawValue: value) else {
                    throw DatastoreError.field(
                        .invalidValue, "filter.origin",
                        "got \"\(value)\", expected \(Origin.allCases.map(\.rawValue).joined(separator: " or "))")
                }
                origin = (origin ?? []) + [known]
            case "lang": lang = (lang ?? []) + [value]
            case "source": source = (source ?? []) + [value]
            case "image_id": imageIDs = (imageIDs ?? []) + [value]
            case let name where name.hasPrefix("payload.") && name.count > 8:
                let member = String(name.dropFirst(8))
                guard payload?[member] == nil else {
                    throw DatastoreError.field(
                        .invalidValue, "filter.payload.\(member)", "got two values, expected each member once")
                }
                payload = payload ?? [:]
                payload?[member] = Self.scalar(value)
            default:
                throw DatastoreError.field(.invalidValue, "filter", "got \"\(argument)\", expected \(Self.forms)")
            }
        }
    }

    private static func scalar(_ text: String) -> JSONValue {
        (try? WireJSON.decode(JSONValue.self, from: Data(text.utf8))) ?? .string(text)
    }

    /// What `init(arguments:)` reads as this.
    public var arguments: [String] {
        guard !isEmpty else { return ["none"] }
        var arguments = (origin ?? []).map { "origin=\($0.rawValue)" }
        arguments += (lang ?? []).map { "lang=\($0)" }
        arguments += (source ?? []).map { "source=\($0)" }
        arguments += (imageIDs ?? []).map { "image_id=\($0)" }
        for (name, value) in (payload ?? [:]).sorted(by: { $0.key < $1.key }) {
            let text = (try? WireJSON.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "null"
            arguments.append("payload.\(name)=\(text)")
        }
        return arguments
    }
}
