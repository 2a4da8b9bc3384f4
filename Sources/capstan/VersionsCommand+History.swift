import ArgumentParser
import CaptionerClient
import DatastoreCore

extension VersionsCommand {
    struct Diff: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what changed from one version to another.",
            discussion: """
                Entries are the same when all their fields and all their vectors are, bit by bit.

                  capstan versions diff coco@6 coco@7
                  capstan versions diff coco@gold coco --samples 20 --json
                """
        )

        @Argument(help: ArgumentHelp("The one before.", valueName: "name@version"))
        var from: VersionArgument

        @Argument(help: ArgumentHelp("The one after, of the same datastore.", valueName: "name@version"))
        var to: VersionArgument

        @Option(help: "Entries of each kind to show.")
        var samples = 5

        @OptionGroup var connection: Connection

        func validate() throws {
            guard from.datastore == to.datastore else {
                throw ValidationError("Give two versions of one datastore, for example coco@6 coco@7.")
            }
        }

        func run() async throws {
            let diff = try await connection.client().diff(
                of: from.datastore, from: from.reference, to: to.reference, samples: samples)
            try connection.show(diff, as: \.text)
        }
    }

    struct Verify: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Compare a version's files with their checksums, and its indexes with its vectors.",
            discussion: """
                Reads every byte of the version again. One that differs is marked damaged and is served no more; one that \
                was marked and is right again is served.

                  capstan versions verify coco@7
                  capstan versions verify coco

                Exit codes: 0 all is right, 6 damaged, 1 could not be verified, 3 capstand not reachable.
                """
        )

        @Argument(help: ArgumentHelp("The version.", valueName: "name[@version]"))
        var version: VersionArgument

        @Flag(name: .customLong("no-wait"), help: "Leave as soon as the job is taken.")
        var noWait = false

        @OptionGroup var connection: Connection

        func run() async throws {
            let client = try connection.client()
            let job = try await client.verifyVersion(version.reference, of: version.datastore)
            if noWait {
                return try connection.show(job) {
                    "job \($0.id) is \($0.state.rawValue); see: capstan jobs show \($0.id)"
                }
            }
            let progress = connection.json ? nil : ProgressLine(version.datastore)
            let done = try await ProgressLine.follow(job, client: client, progress: progress)
            if done.state == .succeeded || connection.json {
                try connection.show(done) {
                    "\(version.datastore)@\(version.reference): \($0.verifyReport?.sentence ?? "")"
                }
            }
            if done.error?.code == ErrorCode.versionDamaged.rawValue {
                if !connection.json {
                    StandardError.write("capstan: \(printable(done.error?.detail ?? "")) (version_damaged)")
                }
                throw ExitCode(Self.damaged)
            }
            try done.throwUnlessSucceeded()
        }

        private static let damaged: Int32 = 6
    }

    struct Tag: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a version a name, which keeps it.",
            discussion: """
                A tag stands wherever a version's number does: capstan domain set street coco@gold.

                  capstan versions tag coco@7 gold
                  capstan versions tag coco@9 gold --move
                """
        )

        @Argument(help: ArgumentHelp("The version.", valueName: "name@version"))
        var version: VersionArgument

        @Argument(help: "The name: letters, digits, - _ and dots, and not a number.")
        var tag: String

        @Flag(help: "Take the name from the version that has it.")
        var move = false

        @OptionGroup var connection: Connection

        func run() async throws {
            let tagged = try await connection.client().tagVersion(
                version.reference, of: version.datastore, as: tag, move: move)
            try connection.show(tagged) { "\($0.datastore)@\($0.version) is tagged \($0.tags.joined(separator: ", "))" }
        }
    }

    struct Untag: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a name from a version.", discussion: "  capstan versions untag coco@7 gold")

        @Argument(help: ArgumentHelp("The version.", valueName: "name@version"))
        var version: VersionArgument

        @Argument(help: "The name.")
        var tag: String

        @OptionGroup var connection: Connection

        func run() async throws {
            try await connection.client().untagVersion(version.reference, of: version.datastore, tag: tag)
            try connection.show(["untagged": tag]) { _ in
                "\(version.datastore)@\(version.reference) is not tagged \(tag) now"
            }
        }
    }

    struct Remove: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a version for good.",
            discussion: """
                Refused for the newest version, a tagged one, and one that a domain answers from.

                  capstan versions remove coco@3
                """
        )

        @Argument(help: ArgumentHelp("The version.", valueName: "name@version"))
        var version: VersionArgument

        @OptionGroup var connection: Connection

        func run() async throws {
            let report = try await connection.client().removeVersion(version.reference, of: version.datastore)
            try connection.show(report, as: \.text)
        }
    }
}

extension VersionDiff {
    fileprivate var text: String {
        var lines = [
            "\(datastore)@\(from) to \(datastore)@\(to): \(added) added, \(replaced) replaced, \(removed) removed, "
                + "\(unchanged) unchanged"
        ]
        func name(_ id: Int64, _ externalID: String?) -> String { externalID.map { "\(id) (\($0))" } ?? "\(id)" }
        lines += samples.added.map { "+ \(name($0.id, $0.externalID)): \(printable($0.text))" }
        lines += samples.removed.map { "- \(name($0.id, $0.externalID)): \(printable($0.text))" }
        lines += samples.replaced.map { entry in
            let changes = entry.fields + entry.keys.map { "vector of \($0)" }
            let texts = entry.before == entry.after ? entry.after : "\(entry.before) -> \(entry.after)"
            return "~ \(name(entry.id, entry.externalID)): \(printable(texts)) [\(changes.joined(separator: ", "))]"
        }
        return lines.joined(separator: "\n")
    }
}

extension VerifyReport {
    /// For example `5 files, 12.3 MB and 500 entries are right; 20 of 20 sampled vectors found`.
    var sentence: String {
        "\(files) files, \(bytes.shownAsBytes) and \(entries) entries are right; \(foundThemselves) of \(sampled) sampled "
            + "vectors found themselves, \(agreed) agree with exact search"
    }
}

extension GCReport {
    var text: String {
        let verb = dryRun ? "would remove" : "removed"
        let lines = items.map { item in
            let what =
                switch item.kind {
                case .version: "\(item.datastore ?? "")@\(item.version ?? 0)"
                case .staging: "staging/\(item.job ?? "")"
                case .output: "the output of job \(item.job ?? "") on \(item.datastore ?? "")"
                case .rejects: "the rejected rows of job \(item.job ?? "") on \(item.datastore ?? "")"
                }
            let held = item.isHeld ? "; questions have it open, its files go later" : ""
            return "\(verb) \(what), \(item.bytes.shownAsBytes): \(item.reason)\(held)"
        }
        let sum =
            items.isEmpty
            ? "nothing to remove"
            : "\(dryRun ? "would free" : "freed") \(freedBytes.shownAsBytes)"
                + (heldBytes > 0 ? ", \(heldBytes.shownAsBytes) more when they are not open any more" : "")
        return (lines + [sum]).joined(separator: "\n")
    }
}
