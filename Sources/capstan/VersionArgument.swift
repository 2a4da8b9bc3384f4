import ArgumentParser
import DatastoreCore

/// `NAME`, `NAME@VERSION` or `NAME@TAG`.
struct VersionArgument: ExpressibleByArgument {
    let datastore: String
    /// A number, a tag, or `latest`, which it is when none is given.
    let reference: String

    init?(argument: String) {
        let parts = argument.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.allSatisfy({ !$0.isEmpty }), let name = parts.first else { return nil }
        datastore = name
        reference = parts.count == 2 ? parts[1] : "latest"
    }
}
