import CapstanServer
import Configuration
import DatastoreCore
import Foundation
import Logging
import RetrievalEngine
import SystemPackage

/// The daemon's settings, read once: flag, else `CAPSTAN_*`, else file, else default.
struct Settings {
    var listen: String
    var readyFile: String?
    var logLevel: Logger.Level
    /// Where systemd wants to hear of the daemon's state; nil when it was not started so.
    var notifySocket: NotifySocket?
    /// In which systemd expects a sign of life; nil when it expects none.
    var watchdog: Duration?
    var engine: EngineConfiguration
    var server: ServerConfiguration

    init(_ flags: SettingsFlags) async throws {
        var providers: [any ConfigProvider] = [
            InMemoryProvider(
                name: "flags",
                values: Dictionary(
                    uniqueKeysWithValues: flags.values.map { name, value in
                        (AbsoluteConfigKey([name]), ConfigValue(value.content, isSecret: false))
                    })),
            EnvironmentVariablesProvider().prefixKeys(with: "capstan"),
        ]
        if let path = flags.config {
            do {
                providers.append(try await FileProvider<JSONSnapshot>(filePath: FilePath(path)))
            } catch {
                throw DatastoreError(.invalidValue, "--config: \(path) cannot be read as JSON settings: \(error)")
            }
        }
        let config = ConfigReader(providers: providers)

        guard let dataDirectory = config.string(forKey: "data-dir"), !dataDirectory.isEmpty else {
            throw DatastoreError(.missingField, "no data directory; give --data-dir DIR or CAPSTAN_DATA_DIR")
        }
        listen = config.string(forKey: "listen", default: "127.0.0.1:7411")
        let (host, port) = try Self.parse(listen: listen)
        readyFile = config.string(forKey: "ready-file")
        let levelName = config.string(forKey: "log-level", default: "info")
        guard let level = Logger.Level(rawValue: levelName) else {
            throw DatastoreError(
                .invalidValue,
                "--log-level: got \(levelName), expected \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))"
            )
        }
        logLevel = level
        let environment = ProcessInfo.processInfo.environment
        notifySocket = try environment["NOTIFY_SOCKET"].map { try NotifySocket(path: $0) }
        let isForUs = environment["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
        if isForUs, let interval = environment["WATCHDOG_USEC"].flatMap({ Int64($0) }), interval > 0 {
            watchdog = .microseconds(interval)
        }
        func positive(_ name: String, _ fallback: Int) throws -> Int {
            let value = config.int(forKey: ConfigKey([name]), default: fallback)
            guard value > 0 else {
                throw DatastoreError(.invalidValue, "--\(name): got \(value), expected a number above 0")
            }
            return value
        }
        engine = EngineConfiguration(
            dataDirectory: URL(filePath: dataDirectory),
            importRoots: try config.stringArray(forKey: "import-root", default: []).map(Self.importRoot),
            encoders: try Self.encoders(config), rerankers: try Self.rerankers(config),
            indexReader: config.bool(forKey: "allow-index-files", default: false)
                ? Bundle.main.executableURL : nil,
            searchThreads: try positive("threads", ProcessInfo.processInfo.activeProcessorCount),
            maximumPending: try positive("max-pending", 50_000),
            shutdownGrace: .seconds(config.int(forKey: "shutdown-grace", default: 20)),
            onPublishStep: try Self.fault(config.string(forKey: "fault-kill-after")))
        engine.recordedQuestions = config.int(forKey: "record-questions", default: engine.recordedQuestions)
        guard (0...100_000).contains(engine.recordedQuestions) else {
            throw DatastoreError(
                .invalidValue, "--record-questions: got \(engine.recordedQuestions), expected 0 to 100000")
        }
        server = ServerConfiguration(
            host: host, port: port, bodyLimit: try positive("max-body", 16 << 20),
            uploadLimit: try positive("max-upload", 64 << 30))
    }

    /// Host and port of `host:port`, `[v6]:port` included.
    ///
    /// Off loopback there is no listening without keys, and this release has none.
    private static func parse(listen: String) throws -> (host: String, port: Int) {
        guard let colon = listen.lastIndex(of: ":"), let port = Int(listen[listen.index(after: colon)...]),
            (0...65535).contains(port), colon != listen.startIndex
        else {
            throw DatastoreError(
                .invalidValue, "--listen: got \(listen), expected host:port, for example 127.0.0.1:7411")
        }
        let host = listen[..<colon].trimmingCharacters(in: ["[", "]"])
        guard LoopbackHost.contains(host) else {
            throw DatastoreError(
                .listenRefused,
                "--listen: \(host) is not a loopback address, and without API keys nobody gets in from outside; "
                    + "listen on 127.0.0.1 and put an authenticating proxy before it")
        }
        return (host, port)
    }

    /// The encoders, each with its key; keys come from the environment or the file, never from a flag that `ps` shows.
    private static func encoders(_ config: ConfigReader) throws -> [EncoderEndpoint] {
        try servers("encoder", config) { argument, _, key in try EncoderEndpoint(argument: argument, apiKey: key) }
    }

    /// The same of rerankers, each with its model where the server wants to be told.
    private static func rerankers(_ config: ConfigReader) throws -> [RerankerEndpoint] {
        try servers("reranker", config) { argument, name, key in
            try RerankerEndpoint(
                argument: argument, model: config.string(forKey: ConfigKey(["reranker-model-\(name)"])), apiKey: key)
        }
    }

    private static func servers<Endpoint>(
        _ kind: String, _ config: ConfigReader, read: (_ argument: String, _ name: String, String?) throws -> Endpoint
    ) throws -> [Endpoint] {
        var names: Set<String> = []
        return try config.stringArray(forKey: ConfigKey([kind]), default: []).map { argument in
            let name = argument.split(separator: "=").first.map(String.init) ?? ""
            guard names.insert(name).inserted else {
                throw DatastoreError(.invalidValue, "--\(kind): got \(name) twice, expected each name once")
            }
            let key = config.string(forKey: ConfigKey(["\(kind)-key-\(name)"]), isSecret: true)
            return try read(argument, name, key)
        }
    }

    private static func importRoot(_ path: String) throws -> URL {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw DatastoreError(.invalidValue, "--import-root: \(path) is not a folder")
        }
        return URL(filePath: path)
    }

    /// Fault injection for tests of crash safety (`CAPSTAN_FAULT_KILL_AFTER=renamed`): the process kills itself, with
    /// no chance to clean up, after the named step of publishing.
    private static func fault(_ name: String?) throws -> @Sendable (PublishStep) -> Void {
        guard let name else { return { _ in } }
        guard let fatal = PublishStep(rawValue: name) else {
            throw DatastoreError(
                .invalidValue,
                "fault-kill-after: got \(name), expected \(PublishStep.allCases.map(\.rawValue).joined(separator: ", "))"
            )
        }
        return { step in
            if step == fatal { kill(getpid(), SIGKILL) }
        }
    }
}

extension SettingValue {
    fileprivate var content: ConfigContent {
        switch self {
        case .string(let value): .string(value)
        case .strings(let values): .stringArray(values)
        case .integer(let value): .int(value)
        case .flag(let value): .bool(value)
        }
    }
}
