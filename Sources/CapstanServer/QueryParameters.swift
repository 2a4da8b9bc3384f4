import DatastoreCore
import DatastoreStorage
import Foundation
import Hummingbird

/// The query string of a request, read strictly: an unknown name or a value of the wrong form is an error.
struct QueryParameters {
    private let values: [(name: String, value: String)]

    /// - Throws: `unknown_field`.
    init(_ request: Request, allowed: Set<String>) throws {
        values = request.uri.queryParameters.map { (String($0.key), String($0.value)) }
        if let unknown = values.first(where: { !allowed.contains($0.name) }) {
            throw DatastoreError.field(
                .unknownField, unknown.name,
                allowed.isEmpty
                    ? "no options are read here; with a JSON body they are its fields"
                    : "not an option here; expected one of \(allowed.sorted().joined(separator: ", "))")
        }
    }

    func strings(_ name: String) -> [String] {
        values.filter { $0.name == name }.map(\.value)
    }

    /// A value made from its text, nil when it is not given.
    ///
    /// - Throws: `invalid_value`.
    func value<Value>(_ name: String, _ expected: String, _ make: (String) -> Value?) throws -> Value? {
        guard let text = strings(name).last else { return nil }
        guard let value = make(text) else {
            throw DatastoreError.field(.invalidValue, name, "got \"\(text)\", expected \(expected)")
        }
        return value
    }

    func integer(_ name: String) throws -> Int? {
        try value(name, "a whole number") { Int($0) }
    }

    func flag(_ name: String) throws -> Bool? {
        try value(name, "true or false") { Bool($0) }
    }
}

extension PageRequest {
    static let parameters: Set<String> = ["limit", "cursor"]

    /// - Parameter isKey: whether a cursor's content can be a key of the list; another list's would begin it anew.
    /// - Throws: `invalid_value`, `invalid_cursor`.
    init(_ parameters: QueryParameters, isKey: (String) async throws -> Bool = { _ in true }) async throws {
        let limit = try parameters.integer("limit") ?? 100
        guard (1...PageRequest.maximumLimit).contains(limit) else {
            throw DatastoreError.field(
                .invalidValue, "limit", "got \(limit), expected 1 to \(PageRequest.maximumLimit)")
        }
        var after: String?
        if let cursor = parameters.strings("cursor").last {
            guard let data = Data(base64Encoded: cursor), let key = String(data: data, encoding: .utf8),
                try await isKey(key)
            else {
                throw DatastoreError.field(
                    .invalidCursor, "cursor", "got \"\(cursor)\", expected a next_cursor of this list")
            }
            after = key
        }
        self.init(limit: limit, after: after)
    }

    /// One page: `fetch` is asked for one row more than wanted, to know whether another page follows.
    func page<Item>(
        key: (Item) -> String, _ fetch: (PageRequest) async throws -> [Item]
    ) async throws -> Page<Item> {
        let items = try await fetch(PageRequest(limit: limit + 1, after: after))
        guard items.count > limit else { return Page(items: items, nextCursor: nil) }
        let shown = Array(items.prefix(limit))
        return Page(items: shown, nextCursor: shown.last.map { Data(key($0).utf8).base64EncodedString() })
    }
}
