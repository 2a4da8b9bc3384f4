import ArgumentParser
import CaptionerClient
import DatastoreCore

/// `capstan versions`
struct VersionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "versions",
        abstract: "List, show, compare, verify, name and remove the versions of a datastore.",
        discussion: """
              capstan versions list coco
              capstan versions show coco@7
              capstan versions diff coco@6 coco@7
              capstan versions tag coco@7 gold
            """,
        subcommands: [List.self, Show.self, Diff.self, Verify.self, Tag.self, Untag.self, Remove.self]
    )
}

extension VersionsCommand {
    struct List: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the versions of a datastore, newest first.", discussion: "  capstan versions list coco")

        @Argument(help: "The datastore.")
        var name: String

        @Option(help: "The newest so many.")
        var limit: Int?

        @OptionGroup var connection: Connection

        func run() async throws {
            let versions = try await connection.client().versions(of: name, limit: limit)
            try connection.show(each: versions) { versions in
                Table(
                    heading: ["VERSION", "STATE", "ENTRIES", "SIZE", "MADE AT", "TAGS", "DETAIL"],
                    rows: versions.map { version in
                        [
                            "\(version.datastore)@\(version.version)", version.state.rawValue, String(version.entries),
                            version.bytes.shownAsBytes, version.createdAt.shown,
                            version.tags.joined(separator: " "), version.detail ?? "",
                        ]
                    },
                    numbers: ["ENTRIES", "SIZE"]
                ).text
            }
        }
    }

    struct Show: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one version with its files.",
            discussion: """
                  capstan versions show coco@7
                  capstan versions show coco@gold
                  capstan versions show coco        the latest
                """
        )

        @Argument(help: ArgumentHelp("The datastore and the version.", valueName: "name[@version]"))
        var version: VersionArgument

        @OptionGroup var connection: Connection

        private static func shown(_ indexes: [VersionKeyIndex]) -> [(String, String?)] {
            indexes.flatMap { index -> [(String, String?)] in
                var pairs: [(String, String?)] = [
                    ("key \(index.key)", index.plan.description), ("because", index.reason),
                ]
                if let recall = index.recall {
                    pairs.append(
                        (
                            "recall",
                            "\(recall.recall) of the \(recall.k) nearest, gate \(recall.gate), "
                                + "\(recall.questions) questions (\(recall.source.rawValue))"
                        ))
                }
                return pairs
            }
        }

        func run() async throws {
            let client = try connection.client()
            try connection.show(try await client.version(version.reference, of: version.datastore)) { version in
                let files = version.files ?? []
                return properties(
                    [
                        ("version", "\(version.datastore)@\(version.version)"),
                        ("state", version.state.rawValue),
                        ("detail", version.detail),
                        ("tags", version.tags.isEmpty ? nil : version.tags.joined(separator: ", ")),
                        ("entries", String(version.entries)),
                        ("size", version.bytes.shownAsBytes),
                        ("made at", version.createdAt.shown),
                        ("made by job", version.jobID),
                    ] + Self.shown(version.indexes ?? [])) + "\n\n"
                    + Table(
                        heading: ["FILE", "BYTES", "SHA-256"],
                        rows: files.map { [$0.name, String($0.bytes), $0.sha256] },
                        numbers: ["BYTES"]
                    ).text
            }
        }
    }
}
