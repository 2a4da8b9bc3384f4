import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// A command that talks to the daemon: all but help.
protocol DaemonCommand: AsyncParsableCommand {
    var connection: Connection { get }
}

/// The options of every command.
struct Connection: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where capstand is; else CAPSTAN_URL, else http://127.0.0.1:7411.", valueName: "url"))
    var url: String?

    @Flag(help: "Answer with one JSON value, or one per line where there are many; errors too.")
    var json = false

    var daemonURL: String {
        url ?? ProcessInfo.processInfo.environment["CAPSTAN_URL"] ?? "http://127.0.0.1:7411"
    }

    /// - Parameter isPatient: whether the answer may take minutes to begin, as one does for which files are read first.
    func client(isPatient: Bool = false) throws -> CaptionerClient {
        var configuration = CaptionerClient.Configuration()
        if isPatient { configuration.timeout = .seconds(600) }
        configuration.userAgent = "capstan/\(Release.version) (\(NSUserName())@\(ProcessInfo.processInfo.hostName))"
        return try CaptionerClient(url: daemonURL, configuration: configuration)
    }

    /// Prints `value` as JSON, or as `text` shows it.
    func show<Value: Encodable>(_ value: Value, as text: (Value) -> String) throws {
        try StandardOutput.write(json ? Self.line(value) : text(value))
    }

    /// Prints `values` as JSON, one per line, or all of them as `text` shows them.
    func show<Value: Encodable>(each values: [Value], as text: ([Value]) -> String) throws {
        guard json else { return try StandardOutput.write(text(values)) }
        for value in values { try StandardOutput.write(Self.line(value)) }
    }

    private static func line(_ value: some Encodable) throws -> String {
        String(decoding: try WireJSON.encode(value), as: UTF8.self)
    }
}
