public import ArgumentParser
import CaptionerClient
public import DatastoreCore

/// `capstan domain`
struct DomainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "domain",
        abstract: "Bind domains to datastores, switch them, and go back.",
        discussion: """
            A domain is what a captioner asks. Each change of it is a numbered revision; a question is answered by \
            exactly one.

              capstan domain set street coco@7 web
              capstan domain revisions street
              capstan domain rollback street
            """,
        subcommands: [Set.self, Show.self, List.self, Revisions.self, Rollback.self, Delete.self]
    )
}

extension DomainCommand {
    struct Set: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bind a domain to datastores, or switch it to others.",
            discussion: """
                NAME follows the latest version; NAME@VERSION stays with that one. :limit=N behind it lets at most N of \
                its entries into an answer, :weight=W multiplies its scores where several datastores are ordered. What \
                is given here is the whole domain: defaults that are left out are unset.

                  capstan domain set street coco
                  capstan domain set street coco@7 web:limit=2:weight=0.9 --k 4 --dedupe text
                  capstan domain set street coco --template template.txt --include-pending
                  capstan domain set street coco@8 --if-revision 12
                """
        )

        @Argument(help: "The domain.")
        var domain: String

        @Argument(
            help: ArgumentHelp(
                "The datastores that it asks.", valueName: "name[@version][:limit=n][:weight=w]"),
            transform: { try DatastoreBinding(argument: $0) })
        var datastores: [DatastoreBinding]

        @Option(name: .shortAndLong, help: "Results of a question that does not say how many.")
        var k: Int?

        @Option(parsing: .unconditional, help: "Results below are left out.")
        var minScore: Float?

        @Option(help: ArgumentHelp("Which results count as the same: \(Dedupe.forms).", valueName: "what"))
        var dedupe: Dedupe?

        @Flag(inversion: .prefixedNo, help: "Whether pending changes count. (default: no)")
        var includePending: Bool?

        @OptionGroup var filter: FilterFlags

        @Option(
            help: ArgumentHelp(
                "A file with the template of prompts, taken byte for byte; || stands for the captions. (default: SmallCap's)",
                valueName: "file"),
            completion: .file())
        var template: String?

        @Option(help: "Only if the domain is at this revision.")
        var ifRevision: Int?

        @OptionGroup var connection: Connection

        func run() async throws {
            let defaults = try QueryDefaults(
                k: k, minScore: minScore, dedupe: dedupe, includePending: includePending,
                filter: filter.value(), template: template.map { try InputFile($0).text() })
            let info = try await connection.client().setDomain(
                domain, to: SetDomainRequest(datastores: datastores, defaults: defaults), ifRevision: ifRevision)
            try connection.show(info, as: \.sentence)
        }
    }

    struct Show: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what a domain is bound to.", discussion: "  capstan domain show street")

        @Argument(help: "The domain.")
        var domain: String

        @OptionGroup var connection: Connection

        func run() async throws {
            try connection.show(try await connection.client().domain(domain)) { info in
                properties([
                    ("domain", info.domain),
                    ("revision", String(info.revision)),
                    ("made by", info.reasonShown),
                    ("made at", info.createdAt.shown),
                    ("datastores", info.datastoresShown),
                    ("k", info.defaults.k.map(String.init)),
                    ("min score", info.defaults.minScore.map { "\($0)" }),
                    ("dedupe", info.defaults.dedupe?.rawValue),
                    ("include pending", info.defaults.includePending.map { $0 ? "yes" : "no" }),
                    ("filter", info.defaults.filter?.arguments.joined(separator: " ")),
                    ("template", info.defaults.template.map(\.debugDescription)),
                ])
            }
        }
    }

    struct List: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the domains.", discussion: "  capstan domain list")

        @OptionGroup var connection: Connection

        func run() async throws {
            let domains = try await connection.client().domains()
            try connection.show(each: domains) { domains in
                Table(
                    heading: ["DOMAIN", "REVISION", "DATASTORES"],
                    rows: domains.map { [$0.domain, String($0.revision), $0.datastoresShown] },
                    numbers: ["REVISION"]
                ).text
            }
        }
    }

    struct Revisions: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the revisions of a domain, newest first.",
            discussion: "  capstan domain revisions street --limit 5")

        @Argument(help: "The domain.")
        var domain: String

        @Option(help: "The newest so many.")
        var limit: Int?

        @OptionGroup var connection: Connection

        func run() async throws {
            let revisions = try await connection.client().revisions(of: domain, limit: limit)
            try connection.show(each: revisions) { revisions in
                Table(
                    heading: ["REVISION", "MADE BY", "MADE AT", "DATASTORES"],
                    rows: revisions.map {
                        [String($0.revision), $0.reasonShown, $0.createdAt.shown, $0.datastoresShown]
                    },
                    numbers: ["REVISION"]
                ).text
            }
        }
    }

    struct Rollback: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Return a domain to an earlier revision, as a new one.",
            discussion: """
                  capstan domain rollback street            to the one before the current
                  capstan domain rollback street --to 3
                """
        )

        @Argument(help: "The domain.")
        var domain: String

        @Option(help: ArgumentHelp("The revision to return to.", valueName: "revision"))
        var to: Int?

        @OptionGroup var connection: Connection

        func run() async throws {
            try connection.show(try await connection.client().rollback(domain, to: to), as: \.sentence)
        }
    }

    struct Delete: DaemonCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a domain; its datastores stay.", discussion: "  capstan domain delete street")

        @Argument(help: "The domain.")
        var domain: String

        @OptionGroup var connection: Connection

        func run() async throws {
            try await connection.client().deleteDomain(domain)
            try connection.show(["deleted": domain]) { _ in "removed domain \(domain)" }
        }
    }
}

extension Dedupe: ExpressibleByArgument {
    public init?(argument: String) {
        self.init(rawValue: argument)
    }
}

extension DomainInfo {
    fileprivate var sentence: String { "\(domain) is at revision \(revision): \(datastoresShown)" }

    fileprivate var datastoresShown: String {
        datastores.map(\.shown).joined(separator: ", ")
    }

    fileprivate var reasonShown: String {
        restoredRevision.map { "\(reason.rawValue) to \($0)" } ?? reason.rawValue
    }
}

extension BoundDatastore {
    /// For example `web@3:limit=2:weight=0.9 (follows the latest)`.
    fileprivate var shown: String {
        "\(name)@\(version)" + (limit.map { ":limit=\($0)" } ?? "") + (weight == 1 ? "" : ":weight=\(weight)")
            + (followsLatest ? " (follows the latest)" : "")
    }
}
