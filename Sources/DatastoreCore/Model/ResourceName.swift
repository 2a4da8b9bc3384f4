/// The rule for names of datastores and domains: they become folder names and URL segments.
package enum ResourceName {
    package static let maximumLength = 64

    /// Returns `name` when it is a letter or digit followed by letters, digits, `-`, `_` or `.`, at most 64 in all.
    ///
    /// - Throws: `invalid_name`.
    @discardableResult
    package static func validate(_ name: String, field: String = "name") throws -> String {
        let bytes = Array(name.utf8)
        let isWord: (UInt8) -> Bool = { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        }
        let isInner: (UInt8) -> Bool = { isWord($0) || $0 == 0x2D || $0 == 0x5F || $0 == 0x2E }
        guard let first = bytes.first, isWord(first), bytes.count <= maximumLength, bytes.allSatisfy(isInner) else {
            throw DatastoreError.field(
                .invalidName, field,
                "got \"\(name.prefix(80))\", expected 1 to \(maximumLength) of A-Z a-z 0-9 - _ . "
                    + "with a letter or digit first"
            )
        }
        return name
    }
}
