/// Says of single entries whether a filter lets them through: the same that SQL says of those of a version.
package struct FieldTest: Sendable {
    private let origins: Set<Origin>?
    private let langs: Set<ExactText>?
    private let sources: Set<ExactText>?
    private let images: Set<ExactText>?
    private let payload: [String: JSONValue]

    package init(_ filter: QueryFilter) {
        origins = filter.origin.map(Set.init)
        langs = filter.lang.map { Set($0.map(ExactText.init)) }
        sources = filter.source.map { Set($0.map(ExactText.init)) }
        images = filter.imageIDs.map { Set($0.map(ExactText.init)) }
        payload = filter.payload ?? [:]
    }

    package func passes(_ fields: EntryFields) -> Bool {
        func isIn(_ value: String?, _ wanted: Set<ExactText>?) -> Bool {
            wanted.map { wanted in value.map { wanted.contains(ExactText($0)) } ?? false } ?? true
        }
        guard origins.map({ origins in fields.origin.map(origins.contains) ?? false }) ?? true,
            isIn(fields.lang, langs), isIn(fields.source, sources), isIn(fields.imageID, images)
        else { return false }
        guard !payload.isEmpty else { return true }
        guard case .object(let members) = fields.payload else { return false }
        return payload.allSatisfy { name, wanted in members[name].map { Self.isEqual($0, wanted) } ?? false }
    }

    private static func isEqual(_ one: JSONValue, _ other: JSONValue) -> Bool {
        switch (one, other) {
        case (.integer(let whole), .number(let number)), (.number(let number), .integer(let whole)):
            Int64(exactly: number) == whole
        case (.string(let one), .string(let other)): ExactText(one) == ExactText(other)
        default: one == other
        }
    }
}
