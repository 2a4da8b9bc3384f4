import ArgumentParser
import CaptionerClient
import DatastoreCore

/// How a datastore is searched.
struct SearchSettings: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How it is searched: exact, hnsw, ivf_flat, ivf_sq4, ivf_sq8, ivf_pq+refine or auto, with settings behind a colon, for "
                + "example hnsw:links=32,ef_search=128 or auto:latency_ms=5. `capstan plan` shows what each takes.",
            valueName: "plan"),
        transform: { try IndexPlan(argument: $0) })
    var plan: IndexPlan?

    @Option(
        help: ArgumentHelp(
            "The share of the 10 nearest entries that an index must find to be published. (default: 0.95)",
            valueName: "share"))
    var recallGate: Double?
}

extension DatastoreCommand {
    struct Set: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change how a datastore is described and searched, and which versions it keeps.",
            discussion: """
                What is not given stays. A plan holds from the next build on: capstan reindex builds now.

                A datastore keeps all its versions until it is told otherwise: what has gone cannot be got back. With \
                --keep-last or --keep-days, each build and capstan gc remove versions that neither rule keeps; those that \
                are tagged, bound to a domain, or needed to roll a domain back to one of its newest so many revisions, or \
                one younger than so many days, stay. Both rules are set together: one that is not given is none.

                  capstan datastore set coco --licence CC-BY-4.0
                  capstan datastore set coco --plan auto --recall-gate 0.97
                  capstan datastore set coco --keep-last 7 --keep-days 30
                  capstan datastore set coco --keep-all
                """
        )

        @Argument(help: "The datastore.")
        var name: String

        @Option(help: "The licence of the texts.")
        var licence: String?

        @Option(help: "What it is, for people.")
        var description: String?

        @Option(help: "Keep the newest so many versions.")
        var keepLast: Int?

        @Option(help: "Keep versions younger than so many days.")
        var keepDays: Int?

        @Flag(help: "Keep all versions, as at first.")
        var keepAll = false

        @OptionGroup var search: SearchSettings

        @OptionGroup var connection: Connection

        func validate() throws {
            if keepAll, keepLast != nil || keepDays != nil {
                throw ValidationError("Give --keep-all, or --keep-last and --keep-days.")
            }
        }

        func run() async throws {
            let retention =
                keepAll || keepLast != nil || keepDays != nil ? Retention(keepLast: keepLast, keepDays: keepDays) : nil
            let change = UpdateDatastoreRequest(
                description: description, licence: licence, plan: search.plan, recallGate: search.recallGate,
                retention: retention)
            guard change != UpdateDatastoreRequest() else { throw ValidationError("Give what to change.") }
            try connection.show(try await connection.client().updateDatastore(name, with: change)) {
                "changed datastore \($0.name), which keeps \($0.retention.shown)"
            }
        }
    }

    struct SetQuestions: DaemonCommand {
        static let configuration = CommandConfiguration(
            commandName: "questions",
            abstract: "Give the questions that the recall of indexes is measured with.",
            discussion: """
                Real ones, such as vectors of pictures that will be captioned, tell more than entries do. Without them \
                recall is measured with questions that the daemon was asked, and with entries where those are few.

                  capstan datastore questions coco text images.npy
                  capstan datastore questions coco text --remove
                """
        )

        @Argument(help: "The datastore.")
        var name: String

        @Argument(help: "Its dense key.")
        var key: String

        @Argument(help: "A NumPy file, one vector a row.", completion: .file(extensions: ["npy"]))
        var file: String?

        @Flag(help: "Forget those that were given.")
        var remove = false

        @OptionGroup var connection: Connection

        func validate() throws {
            guard remove == (file == nil) else { throw ValidationError("Give a file, or --remove.") }
        }

        func run() async throws {
            let client = try connection.client()
            guard let file else {
                try await client.removeQuestions(ofKey: key, of: name)
                return try connection.show(["datastore": name, "key": key]) { _ in
                    "forgot the questions of \(name)'s key \(key)"
                }
            }
            let info = try await client.setQuestions(npy: try InputFile(file).data(), ofKey: key, of: name)
            try connection.show(info) {
                "recall of \($0.datastore)'s key \($0.key) is measured with \($0.questions) questions"
            }
        }
    }
}

extension Retention? {
    /// For example `the newest 7 versions`.
    var shown: String {
        let rules = [
            self?.keepLast.map { "the newest \($0) versions" },
            self?.keepDays.map { "versions younger than \($0) days" },
        ].compactMap { $0 ?? nil }
        return rules.isEmpty ? "all versions" : rules.joined(separator: " and ")
    }
}
