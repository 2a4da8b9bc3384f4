import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// `capstan entries`
struct EntriesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "entries",
        abstract: "Look at the entries of a datastore, add some and delete some.",
        discussion: """
              capstan entries list objects --pending --filter origin=human
              capstan entries get objects 1204 --vectors --json
              capstan entries add objects new.jsonl
              capstan entries delete objects n-1 n-2
            """,
        subcommands: [List.self, Get.self, Add.self, Delete.self]
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
            if !connection.json, let warning = changes.warning { StandardError.write("warning: \(printable(warning))") }
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

    struct Delete: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete entries: pending changes that are durable at once, in a version with the next build.",
            discussion: """
                Entries are named by the ids that they were given, or with --ids by the daemon's numbers. What is not \
                there is told, and is no error. capstan reindex makes a version without them; versions made before keep \
                them. Leaves with 1 when a line of the file was refused; the others are deleted.

                  capstan entries delete objects n-1 n-2
                  capstan entries delete objects --ids 1204 1205
                  capstan entries delete objects --file gone.jsonl        {"external_id": "n-1"} a line
                """
        )

        @Argument(help: "The datastore.")
        var name: String

        @Argument(help: "The entries.")
        var entries: [String] = []

        @Flag(help: "The entries are named by the daemon's numbers.")
        var ids = false

        @Option(
            help: ArgumentHelp(
                "A file with {\"external_id\": …} or {\"id\": …} a line; - is standard input.", valueName: "file"),
            completion: .file())
        var file: String?

        @OptionGroup var connection: Connection

        func validate() throws {
            guard entries.isEmpty != (file == nil) else { throw ValidationError("Give entries, or --file FILE.") }
            if ids, let wrong = entries.first(where: { Int64($0) == nil }) {
                throw ValidationError("--ids: got \(wrong), expected numbers.")
            }
        }

        func run() async throws {
            let client = try connection.client()
            let deletions: EntryDeletions
            if let file {
                deletions = try await client.deleteEntries(ndjson: InputFile(file).data(), of: name)
            } else {
                let names = entries.map { entry in
                    ids ? Int64(entry).map(EntryName.id) ?? .externalID(entry) : .externalID(entry)
                }
                deletions = try await client.deleteEntries(names, of: name)
            }
            try connection.show(deletions) { deletions in
                let counts = deletions.counts
                return "\(name): \(counts.deleted) deleted, \(counts.unknown) unknown, \(counts.rejected) rejected; "
                    + "\(deletions.pendingChanges) pending changes"
            }
            if !connection.json {
                for (number, entry) in deletions.entries.enumerated() {
                    if let error = entry.error {
                        StandardError.write("line \(number + 1): \(error.code): \(printable(error.detail))")
                    }
                }
                if let warning = deletions.warning { StandardError.write("warning: \(printable(warning))") }
            }
            if deletions.counts.rejected > 0 { throw ExitCode(1) }
        }
    }

    struct List: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "List entries in the order of their ids.",
            discussion: """
                  capstan entries list objects --limit 20
                  capstan entries list objects --pending --filter lang=en --filter lang=de
                  capstan entries list objects --version 7 --json
                """
        )

        @Argument(help: "The datastore.")
        var name: String

        @Option(help: "The version; else the newest.")
        var version: Int?

        @Flag(help: "With what is pending beside the newest version.")
        var pending = false

        @OptionGroup var filter: FilterFlags

        @Option(help: ArgumentHelp("How many; 0 is all of them.", valueName: "n"))
        var limit = 100

        @OptionGroup var connection: Connection

        func run() async throws {
            let entries = try await connection.client().entries(
                of: name, version: version, pending: pending, filter: filter.value(), limit: limit > 0 ? limit : nil)
            try connection.show(each: entries) { entries in
                Table(
                    heading: ["ID", "EXTERNAL_ID", "TEXT", "IMAGE", "ORIGIN", "LANG", "SOURCE", "VERSION"],
                    rows: entries.map { entry in
                        [
                            String(entry.id), entry.externalID ?? "-", entry.text, entry.imageID ?? "-",
                            entry.origin?.rawValue ?? "-", entry.lang ?? "-", entry.source ?? "-",
                            entry.version.map(String.init) ?? "pending",
                        ]
                    },
                    numbers: ["ID"]
                ).text
            }
        }
    }

    struct Get: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one entry as it is now, or as a version has it.",
            discussion: """
                  capstan entries get objects 1204
                  capstan entries get objects 1204 --version 7 --vectors --json
                """
        )

        @Argument(help: "The datastore.")
        var name: String

        @Argument(help: "The daemon's number of the entry.")
        var id: Int64

        @Option(help: "The version; else what is pending, else the newest.")
        var version: Int?

        @Flag(help: "With its original vectors.")
        var vectors = false

        @OptionGroup var connection: Connection

        func run() async throws {
            let entry = try await connection.client().entry(id, of: name, version: version, vectors: vectors)
            try connection.show(entry) { entry in
                var pairs: [(String, String?)] = [
                    ("id", String(entry.id)),
                    ("external id", entry.externalID),
                    ("text", entry.text),
                    ("image", entry.imageID),
                    ("origin", entry.origin?.rawValue),
                    ("lang", entry.lang),
                    ("source", entry.source),
                    ("payload", entry.payload.map(Self.json)),
                    ("version", entry.version.map(String.init) ?? "pending"),
                ]
                for (key, vector) in (entry.vectors ?? [:]).sorted(by: { $0.key < $1.key }) {
                    pairs.append(("vector \(key)", Self.json(vector)))
                }
                return properties(pairs)
            }
        }

        private static func json(_ value: some Encodable) -> String {
            (try? WireJSON.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "-"
        }
    }
}
