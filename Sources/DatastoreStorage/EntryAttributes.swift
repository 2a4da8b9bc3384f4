package import DatastoreCore

/// What filters ask of all entries of a version: origin, language and source, as small numbers.
///
/// Thread-safe: it never changes.
package struct EntryAttributes: Sendable {
    /// One attribute of all entries.
    package struct Column: Sendable {
        /// For each row the number of its value, 0 for none.
        package fileprivate(set) var codes: [UInt32] = []
        private var numbers: [ExactText: UInt32] = [:]
        private var last: (value: String, code: UInt32)?

        /// The number of a value; nil when no entry has it.
        package func code(_ value: String) -> UInt32? { numbers[ExactText(value)] }

        mutating func append(_ value: String?) {
            guard let value else { return codes.append(0) }
            // Equal values often come one after the other.
            if let last, last.value.utf8.elementsEqual(value.utf8) { return codes.append(last.code) }
            let text = ExactText(value)
            let code = numbers[text] ?? UInt32(numbers.count + 1)
            numbers[text] = code
            last = (value, code)
            codes.append(code)
        }
    }

    package internal(set) var origins = Column()
    package internal(set) var langs = Column()
    package internal(set) var sources = Column()
}
