import ArgumentParser

/// The flags. Each is optional here: what is not given comes from the environment, a file or a default.
struct SettingsFlags: ParsableArguments {
    @Option(help: "The folder that holds everything. Made when it is not there.")
    var dataDir: String?

    @Option(help: "host:port to listen on, loopback only; port 0 takes a free one. (default: 127.0.0.1:7411)")
    var listen: String?

    @Option(help: "A file to write the bound address to, once questions are answered.")
    var readyFile: String?

    @Option(name: .customLong("import-root"), help: "A folder below which imports by path may read. Repeatable.")
    var importRoots: [String] = []

    @Option(
        name: .customLong("encoder"),
        help: ArgumentHelp(
            "An encoder that datastores may name, with OpenAI's /embeddings below URL; openai+, infinity+ or vllm+ before "
                + "the URL says how it takes pictures. Its key, if it needs one, is CAPSTAN_ENCODER_KEY_NAME. Repeatable.",
            valueName: "name=url"))
    var encoders: [String] = []

    @Option(
        name: .customLong("reranker"),
        help: ArgumentHelp(
            "A reranker that questions may name, with /rerank below URL as Jina, Cohere, vLLM and infinity have it. Its key "
                + "is CAPSTAN_RERANKER_KEY_NAME, the model it is asked for CAPSTAN_RERANKER_MODEL_NAME, if it needs them. "
                + "Repeatable.",
            valueName: "name=url"))
    var rerankers: [String] = []

    @Flag(
        inversion: .prefixedNo,
        help: "Whether imports may bring FAISS index files; each is read in a process of its own. (default: no)")
    var allowIndexFiles: Bool?

    @Option(help: "Threads that search. (default: one per core)")
    var threads: Int?

    @Option(
        help:
            "Questions kept of each key, vectors alone, to measure the recall of indexes with; 0 keeps none. (default: 512)"
    )
    var recordQuestions: Int?

    @Option(
        help:
            "Pending changes of a datastore that questions may count; a warning is given from half of it on. (default: 50000)"
    )
    var maxPending: Int?

    @Option(help: "Bytes of one question's body. (default: 16777216)")
    var maxBody: Int?

    @Option(help: "Bytes of one upload. (default: 68719476736)")
    var maxUpload: Int?

    @Option(help: "Seconds that running jobs may go on after SIGTERM. (default: 20)")
    var shutdownGrace: Int?

    @Option(help: "trace, debug, info, notice, warning, error or critical. (default: info)")
    var logLevel: String?

    @Option(help: "A JSON file of settings.")
    var config: String?

    /// The flags that were given, under the names of the settings.
    var values: [String: SettingValue] {
        var values: [String: SettingValue] = [:]
        values["data-dir"] = dataDir.map { .string($0) }
        values["listen"] = listen.map { .string($0) }
        values["ready-file"] = readyFile.map { .string($0) }
        values["import-root"] = importRoots.isEmpty ? nil : .strings(importRoots)
        values["encoder"] = encoders.isEmpty ? nil : .strings(encoders)
        values["reranker"] = rerankers.isEmpty ? nil : .strings(rerankers)
        values["allow-index-files"] = allowIndexFiles.map { .flag($0) }
        values["threads"] = threads.map { .integer($0) }
        values["record-questions"] = recordQuestions.map { .integer($0) }
        values["max-pending"] = maxPending.map { .integer($0) }
        values["max-body"] = maxBody.map { .integer($0) }
        values["max-upload"] = maxUpload.map { .integer($0) }
        values["shutdown-grace"] = shutdownGrace.map { .integer($0) }
        values["log-level"] = logLevel.map { .string($0) }
        return values
    }
}

enum SettingValue {
    case string(String)
    case strings([String])
    case integer(Int)
    case flag(Bool)
}
