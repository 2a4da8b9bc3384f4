import DatastoreCore
import Foundation
import HTTPTypes
import TestSupport
import Yams

/// `openapi.yaml`, and what it says of an answer.
struct OpenAPI: Sendable {
    let root: JSONValue
    let schemas: SchemaChecker
    let operations: [Operation: JSONValue]

    static let file = TestData.package.appending(path: "openapi.yaml")
    private static let loaded = Result { try OpenAPI(contentsOf: file) }

    /// Read once.
    static func document() throws -> OpenAPI { try loaded.get() }

    private init(contentsOf url: URL) throws {
        root = JSONValue(yaml: try Yams.load(yaml: String(contentsOf: url, encoding: .utf8)) as Any)
        schemas = SchemaChecker(document: root)
        var operations: [Operation: JSONValue] = [:]
        for (path, item) in root["paths"].members {
            for (name, operation) in item.members where Self.methods.contains(name) {
                operations[Operation(method: name.uppercased(), path: path)] = operation
            }
        }
        self.operations = operations
    }

    /// An operation: `GET /v1/jobs/{job}`.
    struct Operation: Hashable, Comparable, CustomStringConvertible {
        let method: String
        let path: String

        var description: String { "\(method) \(path)" }
        static func < (a: Operation, b: Operation) -> Bool { a.description < b.description }
    }

    private static let methods = ["get", "put", "post", "patch", "delete", "head", "options", "trace"]

    func schema(_ name: String) -> JSONValue { root["components"]["schemas"][name] }

    /// The operation that answers a request; nil when there is none.
    func operation(_ method: HTTPRequest.Method, _ path: String) -> JSONValue? {
        let segments = path.prefix { $0 != "?" }.split(separator: "/", omittingEmptySubsequences: false)
        return operations.first { operation, _ in
            let template = operation.path.split(separator: "/", omittingEmptySubsequences: false)
            return operation.method == method.rawValue && template.count == segments.count
                && zip(template, segments).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }?.value
    }

    /// What an answer has that the document does not say, or lacks that it says.
    func faults(of answer: Answer, to method: HTTPRequest.Method, _ path: String) -> [String] {
        guard let operation = operation(method, path) else {
            return answer.status == 404 ? [] : ["status \(answer.status) where the document has no operation"]
        }
        let response = schemas.resolved(operation["responses"][String(answer.status)])
        guard response != .null else { return ["status \(answer.status) is not in the document: \(answer)"] }
        var faults: [String] = []
        for (name, header) in response["headers"].members {
            guard let value = HTTPField.Name(name).flatMap({ answer.headers[$0] }) else {
                faults.append("no header \(name)")
                continue
            }
            let schema = schemas.resolved(header)["schema"]
            let typed = schema["type"] == .string("integer") ? Int64(value).map(JSONValue.integer) : .string(value)
            faults += schemas.faults(of: typed ?? .string(value), schema, at: name)
        }
        let contents = response["content"].members
        guard !contents.isEmpty else { return faults + (answer.body.isEmpty ? [] : ["a body where none is described"]) }
        let type = answer.headers[.contentType] ?? ""
        guard let content = contents[type] else { return faults + ["content type \(type) is not in the document"] }
        let isLines = type == "application/x-ndjson"
        guard isLines || type.hasSuffix("json") else { return faults }
        for text in isLines ? answer.text.split(separator: "\n") : [Substring(answer.text)] {
            guard let value = try? WireJSON.decode(JSONValue.self, from: Data(text.utf8)) else {
                return faults + ["not JSON: \(text)"]
            }
            faults += schemas.faults(of: value, isLines ? schema("RejectedRow") : content["schema"], at: "body")
        }
        return faults
    }
}

/// Checks values against the part of JSON Schema that the document uses; an unknown keyword is a fault of its own.
///
/// An object has no properties beyond those described, unless its schema says `additionalProperties: true`: for
/// clients answers are open, for tests they are not.
struct SchemaChecker: Sendable {
    let document: JSONValue

    private static let annotations: Set<String> = [
        "description", "default", "example", "examples", "contentEncoding",
    ]

    /// Follows `$ref`.
    func resolved(_ value: JSONValue) -> JSONValue {
        guard case .string(let reference) = value["$ref"] else { return value }
        return resolved(
            reference.dropFirst(2).split(separator: "/").reduce(document) { node, name in node[String(name)] })
    }

    func faults(of value: JSONValue, _ schema: JSONValue, at path: String) -> [String] {
        let schema = resolved(schema)
        guard case .object(let keywords) = schema else { return ["\(path): no schema"] }
        return keywords.sorted { $0.key < $1.key }.flatMap { name, expected -> [String] in
            switch name {
            case _ where Self.annotations.contains(name): []
            case "type": faults(type: expected, value, path)
            case "enum": expected.items.contains(value) ? [] : ["\(path): \(value) is none of \(expected.items)"]
            case "const": expected == value ? [] : ["\(path): \(value) is not \(expected)"]
            case "pattern": faults(pattern: expected, value, path)
            case "format": faults(format: expected, value, path)
            case "minimum":
                (value.double ?? .infinity) >= (expected.double ?? 0) ? [] : ["\(path): \(value) is too small"]
            case "maximum": (value.double ?? 0) <= (expected.double ?? 0) ? [] : ["\(path): \(value) is too large"]
            case "minItems": Double(value.items.count) >= (expected.double ?? 0) ? [] : ["\(path): too few items"]
            case "maxItems": Double(value.items.count) <= (expected.double ?? 0) ? [] : ["\(path): too many items"]
            case "items":
                value.items.enumerated().flatMap { faults(of: $1, expected, at: "\(path)[\($0)]") }
            case "required":
                expected.items.compactMap { name -> String? in
                    guard case .object(let members) = value, case .string(let name) = name else { return nil }
                    return members[name] == nil ? "\(path): no \(name)" : nil
                }
            case "properties":
                value.members.flatMap { name, member -> [String] in
                    if let schema = expected.members[name] { return faults(of: member, schema, at: "\(path).\(name)") }
                    return schema["additionalProperties"] == .bool(true) ? [] : ["\(path): \(name) is not described"]
                }
            case "additionalProperties": []
            case "oneOf", "anyOf": faults(alternatives: expected.items, isExclusive: name == "oneOf", value, path)
            default: ["\(path): the checker knows no keyword \(name)"]
            }
        }
    }

    private func faults(type: JSONValue, _ value: JSONValue, _ path: String) -> [String] {
        let names: [JSONValue] = type.items.isEmpty ? [type] : type.items
        let matches = names.contains { name in
            switch (name, value) {
            case (.string("null"), .null), (.string("boolean"), .bool), (.string("integer"), .integer),
                (.string("number"), .integer), (.string("number"), .number), (.string("string"), .string),
                (.string("array"), .array), (.string("object"), .object):
                true
            default: false
            }
        }
        return matches ? [] : ["\(path): \(value) is not of type \(names)"]
    }

    private func faults(pattern: JSONValue, _ value: JSONValue, _ path: String) -> [String] {
        guard case .string(let pattern) = pattern, case .string(let text) = value else { return [] }
        return text.range(of: pattern, options: .regularExpression) == nil ? ["\(path): \(text) is not \(pattern)"] : []
    }

    private func faults(format: JSONValue, _ value: JSONValue, _ path: String) -> [String] {
        switch (format, value) {
        case (.string("date-time"), .string(let text)):
            (try? Date(text, strategy: .iso8601)) == nil ? ["\(path): \(text) is no date-time"] : []
        case (.string("date-time"), _), (.string("int64"), _), (.string("uri-reference"), _): []
        default: ["\(path): the checker knows no format \(format)"]
        }
    }

    private func faults(
        alternatives: [JSONValue], isExclusive: Bool, _ value: JSONValue, _ path: String
    ) -> [String] {
        let faults = alternatives.map { self.faults(of: value, $0, at: path) }
        let matching = faults.count(where: \.isEmpty)
        if matching == 1 || (matching > 1 && !isExclusive) { return [] }
        return ["\(path): \(matching) alternatives match \(value): \(faults.joined().sorted())"]
    }
}

extension JSONValue {
    /// What Yams gives.
    init(yaml: Any) {
        switch yaml {
        case let value as Bool: self = .bool(value)
        case let value as Int: self = .integer(Int64(value))
        case let value as Double: self = .number(value)
        case let value as String: self = .string(value)
        case let value as [Any]: self = .array(value.map(JSONValue.init(yaml:)))
        case let value as [AnyHashable: Any]:
            self = .object(
                Dictionary(value.map { ("\($0.key.base)", JSONValue(yaml: $0.value)) }) { first, _ in first })
        default: self = .null
        }
    }

    /// A member of an object, null where there is none.
    subscript(name: String) -> JSONValue { members[name] ?? .null }

    var members: [String: JSONValue] {
        if case .object(let members) = self { members } else { [:] }
    }

    var items: [JSONValue] {
        if case .array(let items) = self { items } else { [] }
    }

    var string: String? {
        if case .string(let string) = self { string } else { nil }
    }

    var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
}
