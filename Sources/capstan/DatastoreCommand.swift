public import ArgumentParser
import CaptionerClient
public import DatastoreCore
import Foundation

/// `capstan datastore`
struct DatastoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "datastore",
        abstract: "Make, list, show and remove datastores.",
        discussion: """
            A datastore is a named set of captions or names, each with a vector that it is found by.

              capstan datastore create coco --kind captions --key text:384:cosine
              capstan datastore show coco
            """,
        subcommands: [Create.self, List.self, Show.self, Delete.self]
    )
}

extension DatastoreCommand {
    struct Create: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an empty datastore.",
            discussion: """
                The key says how many numbers a vector has, and how two are compared: cosine, or ip (inner product).

                  capstan datastore create coco --kind captions --key text:384:cosine
                  capstan datastore create objects --kind names --key text:768:ip --encoder EVA-CLIP@1.0
                """
        )

        @Argument(help: "Its name: letters, digits, - _ and dots.")
        var name: String

        @Option(help: "What its entries are.")
        var kind: DatastoreKind

        @Option(
            help: ArgumentHelp(
                "What entries are found by, for example text:384:cosine.", valueName: "name:dim[:metric]"),
            transform: { try KeySpec(argument: $0) })
        var key: KeySpec

        @OptionGroup var encoder: EncoderOptions

        @Option(help: "The licence of the texts.")
        var licence: String?

        @Option(help: "What it is, for people.")
        var description: String?

        @OptionGroup var connection: Connection

        func run() async throws {
            let request = CreateDatastoreRequest(
                name: name, kind: kind, keys: [encoder.applied(to: key)], description: description, licence: licence)
            let datastore = try await connection.client().createDatastore(request)
            try connection.show(datastore) { "made datastore \($0.name); fill it with: capstan import \($0.name) ROWS" }
        }
    }

    struct List: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the datastores.",
            discussion: """
                  capstan datastore list
                  capstan datastore list --json | jq -r .name
                """
        )

        @OptionGroup var connection: Connection

        func run() async throws {
            let datastores = try await connection.client().datastores()
            try connection.show(each: datastores) { datastores in
                Table(
                    heading: ["NAME", "KIND", "KEYS", "VERSION", "ENTRIES", "PENDING"],
                    rows: datastores.map { datastore in
                        [
                            datastore.name, datastore.kind.rawValue, datastore.keys.map(\.shown).joined(separator: " "),
                            datastore.latestVersion.map(String.init) ?? "-", String(datastore.entries),
                            String(datastore.pendingChanges),
                        ]
                    },
                    numbers: ["VERSION", "ENTRIES", "PENDING"]
                ).text
            }
        }
    }

    struct Show: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one datastore.", discussion: "  capstan datastore show coco")

        @Argument(help: "Its name.")
        var name: String

        @OptionGroup var connection: Connection

        func run() async throws {
            try connection.show(try await connection.client().datastore(name)) { datastore in
                var pairs: [(String, String?)] = [
                    ("name", datastore.name),
                    ("kind", datastore.kind.rawValue),
                    ("description", datastore.description),
                    ("licence", datastore.licence),
                    ("latest version", datastore.latestVersion.map(String.init) ?? "none yet"),
                    ("entries", String(datastore.entries)),
                    ("pending changes", String(datastore.pendingChanges)),
                    ("made at", datastore.createdAt.shown),
                ]
                for key in datastore.keys {
                    pairs.append(("key", key.shown))
                    pairs.append(("encoder", key.encoder?.shown))
                }
                return properties(pairs)
            }
        }
    }

    struct Delete: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a datastore with all its versions; refused while a domain uses it.",
            discussion: "  capstan datastore delete coco"
        )

        @Argument(help: "Its name.")
        var name: String

        @OptionGroup var connection: Connection

        func run() async throws {
            try await connection.client().deleteDatastore(name)
            try connection.show(["deleted": name]) { _ in "removed datastore \(name)" }
        }
    }
}

extension DatastoreKind: ExpressibleByArgument {}

extension KeySpec {
    /// The command line's form, for example `text:384:cosine`.
    fileprivate var shown: String { "\(name):\(dim):\(metric.rawValue)" }
}

extension Encoder {
    /// The command line's form, with the preprocessing when it is known.
    fileprivate var shown: String {
        let name = revision.map { "\(model)@\($0)" } ?? model
        return [name, preprocessing.map { "preprocessing \($0)" }, endpoint.map { "endpoint \($0)" }].compactMap(\.self)
            .joined(separator: ", ")
    }
}
