import ArgumentParser
import DatastoreCore

/// Which entries are asked for, by what is known of them.
struct FilterFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Only entries for which this holds: \(QueryFilter.forms). Values of one name are alternatives.",
            valueName: "name=value"))
    var filter: [String] = []

    /// Nil when nothing is said.
    ///
    /// - Throws: `invalid_value`.
    func value() throws -> QueryFilter? {
        filter.isEmpty ? nil : try QueryFilter(arguments: filter)
    }
}
