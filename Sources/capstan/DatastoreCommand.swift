public import ArgumentParser
import CaptionerClient
public import DatastoreCore
import Foundation

/// `capstan datastore`
struct DatastoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "datastore",
        abstract: "Make, list, show, change and remove datastores.",
        discussion: """
            A datastore is a named set of captions or names, each with a vector that it is found by.

              capstan datastore create coco --kind captions --key text:384:cosine
              capstan datastore show coco
            """,
        subcommands: [
            Create.self, List.self, Show.self, Set.self, SetVocabulary.self, SetQuestions.self, Delete.self,
        ]
    )
}

extension DatastoreCommand {
    struct Create: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an empty datastore.",
            discussion: """
                A key says how many numbers a vector has, and how two are compared: cosine, or ip (inner product). A \
                sparse key has weights of terms, whose words a vocabulary gives.

                  capstan datastore create coco --kind captions --key text:384:cosine
                  capstan datastore create objects --kind names --key text:768:ip --encoder EVA-CLIP@1.0
                  capstan datastore create pairs --kind captions --key image:256 --key text:256
                  capstan datastore create shop --kind captions --key text:384 --key lexical:sparse:17149:top=512 \\
                    --vocabulary lexical=terms.txt
                """
        )

        @Argument(help: "Its name: letters, digits, - _ and dots.")
        var name: String

        @Option(help: "What its entries are.")
        var kind: DatastoreKind

        @Option(
            name: .customLong("key"),
            help: ArgumentHelp(
                "What entries are found by, for example text:384:cosine, or lexical:sparse:17149; may be repeated.",
                valueName: "name:dim[:metric]"),
            transform: { try KeySpec(argument: $0) })
        var keys: [KeySpec]

        @OptionGroup var encoder: EncoderOptions

        @Option(
            name: .customLong("vocabulary"),
            help: ArgumentHelp(
                "The words of a sparse key's terms, one a line; may be repeated.", valueName: "key=file"),
            transform: { try VocabularyArgument($0) })
        var vocabularies: [VocabularyArgument] = []

        @Option(help: "The licence of the texts.")
        var licence: String?

        @Option(help: "What it is, for people.")
        var description: String?

        @OptionGroup var search: SearchSettings

        @OptionGroup var connection: Connection

        func validate() throws {
            let sparse = keys.filter { $0.kind == .sparse }.map(\.name)
            guard let other = vocabularies.first(where: { !sparse.contains($0.key) }) else { return }
            throw ValidationError("--vocabulary \(other.key)=…: there is no --key \(other.key):sparse:TERMS.")
        }

        func run() async throws {
            let words = try vocabularies.map { ($0.key, try $0.file.data()) }
            let client = try connection.client()
            let request = CreateDatastoreRequest(
                name: name, kind: kind, keys: keys.map { encoder.applied(to: $0) }, description: description,
                licence: licence, plan: search.plan, recallGate: search.recallGate)
            let datastore = try await client.createDatastore(request)
            for (key, terms) in words {
                do {
                    try await client.setVocabulary(terms, ofKey: key, of: name)
                } catch {
                    StandardError.write(
                        "datastore \(name) is made, without this vocabulary; capstan datastore vocabulary \(name) \(key) "
                            + "FILE sets it, capstan datastore delete \(name) removes it all")
                    throw error
                }
            }
            try connection.show(datastore) { "made datastore \($0.name); fill it with: capstan import \($0.name) ROWS" }
        }
    }

    struct SetVocabulary: DaemonCommand {
        static let configuration = CommandConfiguration(
            commandName: "vocabulary",
            abstract: "Give the terms of a sparse key their words.",
            discussion: """
                The nth line of the file is the word of the nth term.

                  capstan datastore vocabulary shop lexical terms.txt
                """
        )

        @Argument(help: "The datastore.")
        var name: String

        @Argument(help: "Its sparse key.")
        var key: String

        @Argument(help: "The words, one a line; - is standard input.", completion: .file())
        var file: String

        @OptionGroup var connection: Connection

        func run() async throws {
            try await connection.client().setVocabulary(InputFile(file).data(), ofKey: key, of: name)
            try connection.show(["datastore": name, "key": key]) { _ in "set the vocabulary of \(name)'s key \(key)" }
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
                    ("plan", datastore.plan.description),
                    ("recall gate", datastore.plan.method == .exact ? nil : "\(datastore.recallGate)"),
                    ("keeps", datastore.retention.shown),
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
    fileprivate var shown: String {
        guard kind == .sparse else { return "\(name):\(dim):\(metric.rawValue)" }
        let top = pruning?.top.map { ":top=\($0)" } ?? ""
        return "\(name):sparse:\(dim)\(top)"
    }
}

extension Encoder {
    /// The command line's form, with the preprocessing when it is known.
    fileprivate var shown: String {
        let name = revision.map { "\(model)@\($0)" } ?? model
        return [name, preprocessing.map { "preprocessing \($0)" }, endpoint.map { "endpoint \($0)" }].compactMap(\.self)
            .joined(separator: ", ")
    }
}

/// `--vocabulary KEY=FILE`.
struct VocabularyArgument {
    let key: String
    let file: InputFile

    init(_ argument: String) throws {
        let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2 else {
            throw ValidationError("got \"\(argument)\", expected KEY=FILE, for example lexical=terms.txt")
        }
        key = parts[0]
        file = InputFile(parts[1])
    }
}
