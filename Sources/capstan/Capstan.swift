import ArgumentParser
import DatastoreCore
import Foundation

/// The client of `capstand`, for people and for scripts.
@main
struct Capstan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capstan",
        abstract: "Manage and ask the datastores that retrieval-augmented captioners read from.",
        discussion: """
            A client of capstand. A first session:

              capstan datastore create coco --kind captions --key text:384:cosine
              capstan import coco captions.ndjson --vectors captions.npy
              capstan domain set street coco
              capstan query street --vectors images.npy -k 4 --prompt

            Exit codes: 0 done, 1 refused or failed, 2 not a command that capstan knows, 3 capstand not reachable; \
            reindex and versions verify have more.
            """,
        version: Release.version,
        subcommands: [
            DatastoreCommand.self, ImportCommand.self, EntriesCommand.self, FilterCommand.self, VersionsCommand.self,
            ReindexCommand.self, PlanCommand.self, GCCommand.self, DomainCommand.self, QueryCommand.self,
            ScoreCommand.self, DumpCommand.self, EvalCommand.self, JobsCommand.self, ExportCommand.self,
            BackupCommand.self, RestoreCommand.self, StatusCommand.self,
        ]
    )

    static func main() async {
        var connection: Connection?
        var isJSON = false
        do {
            var command = try parseAsRoot()
            isJSON = (command as? RestoreCommand)?.json ?? false
            if var command = command as? any DaemonCommand {
                connection = command.connection
                isJSON = command.connection.json
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            Foundation.exit(leave(with: error, connection: connection, isJSON: isJSON))
        }
    }

    /// Says what went wrong, and returns the exit code.
    private static func leave(with error: any Error, connection: Connection?, isJSON: Bool) -> Int32 {
        switch exitCode(for: error) {
        case .success:
            print(fullMessage(for: error))
            return 0
        case .validationFailure:
            StandardError.write(fullMessage(for: error))
            return 2
        default:
            if let code = error as? ExitCode { return code.rawValue }
            let failure = CommandFailure(error, connection: connection)
            StandardError.write(isJSON ? failure.json : failure.text)
            return failure.exitCode
        }
    }
}
