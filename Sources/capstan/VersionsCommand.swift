import ArgumentParser
import CaptionerClient
import DatastoreCore

/// `capstan versions`
struct VersionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "versions",
        abstract: "List and show the versions of a datastore.",
        discussion: """
              capstan versions list coco
              capstan versions show coco@7
            """,
        subcommands: [List.self, Show.self]
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
                    heading: ["VERSION", "STATE", "ENTRIES", "SIZE", "MADE AT", "DETAIL"],
                    rows: versions.map { version in
                        [
                            "\(version.datastore)@\(version.version)", version.state.rawValue, String(version.entries),
                            version.bytes.shownAsBytes, version.createdAt.shown, version.detail ?? "",
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
                  capstan versions show coco        the latest
                """
        )

        @Argument(
            help: ArgumentHelp("The datastore and the version.", valueName: "name[@version]"),
            transform: { try DatastoreBinding(argument: $0) })
        var version: DatastoreBinding

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
            let name = version.name
            var number = version.version
            if number == nil { number = try await client.datastore(name).latestVersion }
            guard let number else { throw DatastoreError(.noVersion, "\(name) has no version yet") }
            try connection.show(try await client.version(number, of: name)) { version in
                let files = version.files ?? []
                return properties(
                    [
                        ("version", "\(version.datastore)@\(version.version)"),
                        ("state", version.state.rawValue),
                        ("detail", version.detail),
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
