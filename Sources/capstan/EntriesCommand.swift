import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// `capstan entries`
struct EntriesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "entries",
        abstract: "Add single entries to a datastore.",
        discussion: "  capstan entries add objects new.jsonl",
        subcommands: [Add.self]
    )
}

extension EntriesCommand {
    struct Add: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add entries as pending changes: durable at once, in a version with the next build.",
            discussion: """
                The file has one JSON object a line, as capstan import takes them. Domains that include pending changes \
                answer with the entries at once; capstan reindex makes a version of them. Leaves with 1 when a row was \
                refused; the others are added.

                  capstan entries add objects new.jsonl
                  echo '{"text": "teapot", "vector": [0.1, 0.2]}' | capstan entries add objects -
                """
        )

        @Argument(help: "The datastore.")
        var name: String

        @Argument(help: "The rows; - is standard input.", completion: .file())
        var file: String

        @OptionGroup var connection: Connection

        func run() async throws {
            let rows = try InputFile(file).data()
            let client = try connection.client()
            // One object may be written over several lines.
            let isOne = if case .object? = try? WireJSON.decode(JSONValue.self, from: rows) { true } else { false }
            let changes =
                isOne
                ? try await client.addEntry(json: rows, to: name) : try await client.addEntries(ndjson: rows, to: name)
            try connection.show(changes) { changes in
                "\(name): \(changes.counts.shown); \(changes.pendingChanges) pending changes"
            }
            guard changes.counts.rejected > 0 else { return }
            if !connection.json { Self.sayRejected(changes) }
            throw ExitCode(1)
        }

        private static func sayRejected(_ changes: EntryChanges) {
            for (number, change) in changes.entries.enumerated() where change.outcome == .rejected {
                let id = change.externalID.map { " (\(printable($0)))" } ?? ""
                let reason = change.error.map { "\($0.code): \(printable($0.detail))" } ?? "refused"
                StandardError.write("row \(number + 1)\(id): \(reason)")
            }
        }
    }
}
