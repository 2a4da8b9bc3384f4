/// The rule for names of versions: no number and no word that names a version already can be one.
package enum TagName {
    /// Whether it is a letter followed by letters, digits, `-`, `_` or `.`, at most 64 in all, and not `latest`.
    package static func isValid(_ tag: String) -> Bool {
        guard let first = tag.first, first.isLetter, tag.lowercased() != "latest" else { return false }
        return (try? ResourceName.validate(tag)) != nil
    }

    /// - Throws: `invalid_name`.
    package static func validate(_ tag: String) throws {
        guard isValid(tag) else {
            throw DatastoreError.field(
                .invalidName, "tag",
                "got \"\(tag.prefix(80))\", expected a letter and then A-Z a-z 0-9 - _ . up to "
                    + "\(ResourceName.maximumLength) in all, and not latest")
        }
    }
}
