import DatastoreCore

/// The members of a JSON object: a list while they are few, as those of rows are, and a dictionary when they are many.
struct JSONMembers {
    /// Beyond this a dictionary is faster.
    private static let fewest = 16

    private var list: [(name: String, value: JSONValue)] = []
    private var dictionary: [String: JSONValue] = [:]

    init() {}

    init(_ members: [String: JSONValue]) {
        dictionary = members
    }

    subscript(name: String) -> JSONValue? {
        list.first { $0.name == name }?.value ?? dictionary[name]
    }

    /// Adds a member.
    ///
    /// - Returns: false, with nothing added, when there is one of this name.
    mutating func insert(_ value: JSONValue, for name: String) -> Bool {
        guard self[name] == nil else { return false }
        if list.count < Self.fewest, dictionary.isEmpty {
            list.append((name, value))
        } else {
            dictionary[name] = value
        }
        return true
    }

    /// Takes a member out; nil when there is none of this name.
    mutating func remove(_ name: String) -> JSONValue? {
        if let index = list.firstIndex(where: { $0.name == name }) { return list.remove(at: index).value }
        return dictionary.isEmpty ? nil : dictionary.removeValue(forKey: name)
    }

    /// Takes all members out.
    mutating func removeAll() -> [(name: String, value: JSONValue)] {
        defer { self = JSONMembers() }
        return list + dictionary.map { ($0.key, $0.value) }
    }
}
