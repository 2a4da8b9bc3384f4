import ArgumentParser
import Bundles
import CaptionerClient
import DatastoreCore
import Foundation

/// `capstan import`
struct ImportCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Add rows to a datastore, and make a version of it.",
        discussion: """
            ROWS is a file in one of the forms below, plain or gzip; the form is found out from its content. Vectors are \
            in a NumPy file with one row for each, in the rows themselves, in a FAISS index (where the daemon reads \
            them), or made by the encoder that the datastore names. Files are uploaded, and capstan waits until the \
            import has ended.

              capstan import coco captions.ndjson --vectors captions.npy
              capstan import coco captions_train2017.json --vectors train.npy --max-words 25
              capstan import karpathy dataset_coco.json --split train --vectors train.npy
              capstan import web cc3m.tsv --origin web --create text:384:cosine \\
                --encoder all-MiniLM-L6-v2 --encoder-endpoint minilm
              capstan import names lvis_categories.json --vectors names.npy --kind names --create text:512:cosine
              capstan import smallcap coco_index_captions.json --vectors coco_index
              capstan import evcap rows.ndjson --vectors image=queries.npy --vectors text=text.npy --pool mean
              capstan import coco rows.csv --column text=comment --column image_id=1 --dry-run
              capstan import coco /srv/sets/a.ndjson --vectors /srv/sets/a.npy --server-paths
              capstan import coco-7.capstan              a bundle of capstan export: the version as it was

            Forms: NDJSON rows; COCO annotations; Karpathy splits; Flickr8k tokens and Flickr30k results; CSV and TSV; \
            BLIP's JSON lists; SmallCap's caption files; one caption a line; LVIS categories. Tools/python/capstan-convert \
            makes rows of EVCap's memory, clip-retrieval's folders and HDF5 files.

            Rows that are refused do not stop the others, unless --strict; capstan jobs rejects ID shows them all.
            """
    )

    @Argument(help: "The datastore; a bundle names its own.")
    var name: String

    @Argument(help: ArgumentHelp("The file of rows, or a bundle.", valueName: "rows"), completion: .file())
    var rows: String?

    @Option(
        help: ArgumentHelp(
            "A NumPy file, or a FAISS index, with one vector per row, for the first dense key or the one that is named; "
                + "may be repeated.", valueName: "[key=]file"),
        completion: .file(extensions: ["npy"]), transform: { KeyVectorsArgument($0) })
    var vectors: [KeyVectorsArgument] = []

    @OptionGroup(title: "Reading options") var reading: ImportOptionFlags

    @Option(
        help: ArgumentHelp(
            "Make the datastore first when there is none, found by this key.", valueName: "name:dim[:metric]"),
        transform: { try KeySpec(argument: $0) })
    var create: KeySpec?

    @Option(help: "With --create: what the entries are. (default: captions)")
    var kind: DatastoreKind?

    @OptionGroup var encoder: EncoderOptions

    @Flag(help: "Read and check everything, say what would happen, and change nothing.")
    var dryRun = false

    @Flag(name: .customLong("no-build"), help: "Keep the rows as pending changes; capstan reindex makes the version.")
    var noBuild = false

    @Flag(help: "Fail, and keep nothing, when one row is refused.")
    var strict = false

    @Flag(help: "The files are the daemon's, under one of its import roots: nothing is uploaded.")
    var serverPaths = false

    @Flag(name: .customLong("no-wait"), help: "Leave as soon as the job is taken.")
    var noWait = false

    @Option(
        help: ArgumentHelp(
            "The same import under the same key is done once, for a week; a retry after a failure of a script, say.",
            valueName: "key"))
    var idempotencyKey: String?

    @OptionGroup var connection: Connection

    func validate() throws {
        guard rows != nil || BundleHeader.begins(URL(filePath: name)) else {
            throw ValidationError("ROWS is missing: expected NAME and ROWS, or a bundle that capstan export made.")
        }
        guard create != nil || (encoder.encoder == nil && kind == nil) else {
            throw ValidationError(
                "--encoder and --kind go with --create NAME:DIM; a datastore that exists has its own.")
        }
        let keys = vectors.map(\.key)
        if let twice = keys.first(where: { key in keys.count { $0 == key } > 1 }) {
            let key = twice.map { "key \($0)" } ?? "the first dense key"
            throw ValidationError("--vectors is given twice for \(key), expected KEY=FILE for each other key.")
        }
    }

    func run() async throws {
        let start = ContinuousClock.now
        let client = try connection.client()
        if let bundle { return try await restore(bundle, client, start) }
        let isNew = if let create { try await makeDatastore(found: create, client) } else { false }
        let progress = connection.json ? nil : ProgressLine(name)
        defer { progress?.end() }
        let job = try await startJob(client, progress: progress)
        if idempotencyKey != nil, job.state.isFinal {
            progress?.end()
            StandardError.write("this import was done before under this key, at \(job.createdAt.shown)")
        }
        if noWait {
            progress?.end()
            return try connection.show(job) { "job \($0.id) is \($0.state.rawValue); see: capstan jobs show \($0.id)" }
        }
        let done = try await ProgressLine.follow(job, client: client, progress: progress)
        try connection.show(done) { dryRun ? $0.details : $0.summary(duration: start.duration(to: .now)) }
        if !connection.json { for note in done.report?.notes ?? [] { StandardError.write("note: \(printable(note))") } }
        if !connection.json, done.counts.rejected > 0 { try await sayFirstRejects(of: done, client: client) }
        // A dry run changes nothing: a datastore that was made for it goes again.
        if isNew, dryRun { try await client.deleteDatastore(name) }
        try done.throwUnlessSucceeded()
    }

    /// The bundle that is given in the place of rows; it is told by its content.
    private var bundle: URL? {
        let file = URL(filePath: rows ?? name)
        return !serverPaths && BundleHeader.begins(file) ? file : nil
    }

    private func restore(_ bundle: URL, _ client: CaptionerClient, _ start: ContinuousClock.Instant) async throws {
        let header = try BundleHeader(of: bundle)
        guard rows == nil || name == header.datastore else {
            throw DatastoreError.field(
                .invalidValue, "name",
                "the bundle is of \(header.name); it can be restored as datastore \"\(header.datastore)\" only: capstan import "
                    + bundle.lastPathComponent)
        }
        guard create == nil, vectors.isEmpty, !dryRun, !noBuild, !strict else {
            throw DatastoreError(
                .invalidValue,
                "a bundle is taken in as it is: no --create, --vectors, --dry-run, --no-build or --strict")
        }
        let progress = connection.json ? nil : ProgressLine(header.name)
        defer { progress?.end() }
        let job = try await client.restoreBundle(
            file: bundle, into: header.datastore, idempotencyKey: idempotencyKey, progress: { progress?.update($0) })
        if noWait {
            progress?.end()
            return try connection.show(job) { "job \($0.id) is \($0.state.rawValue); see: capstan jobs show \($0.id)" }
        }
        let done = try await ProgressLine.follow(job, client: client, progress: progress)
        try connection.show(done) { $0.summary(duration: start.duration(to: .now)) }
        try done.throwUnlessSucceeded()
    }

    /// Makes the datastore unless there is one of this name, which must be as it would be made.
    ///
    /// - Returns: whether it was made.
    private func makeDatastore(found key: KeySpec, _ client: CaptionerClient) async throws -> Bool {
        let wanted = encoder.applied(to: key)
        do {
            _ = try await client.createDatastore(
                CreateDatastoreRequest(name: name, kind: kind ?? .captions, keys: [wanted]))
            return true
        } catch let error as CaptionerError where error.code == .datastoreExists {
            let there = try await client.datastore(name)
            guard let key = there.keys.first else { return false }
            var differences: [String] = []
            if let kind, kind != there.kind { differences.append("kind \(there.kind.rawValue)") }
            if (key.name, key.dim, key.metric) != (wanted.name, wanted.dim, wanted.metric) {
                differences.append("key \(key.name):\(key.dim):\(key.metric.rawValue)")
            }
            if let encoder = wanted.encoder,
                encoder.model != key.encoder?.model || encoder.endpoint != key.encoder?.endpoint
                    || (encoder.revision != nil && encoder.revision != key.encoder?.revision)
            {
                let endpoint = key.encoder?.endpoint.map { " at endpoint \($0)" } ?? ""
                differences.append("encoder \(key.encoder?.model ?? "none")\(endpoint)")
            }
            guard differences.isEmpty else {
                throw DatastoreError(
                    .datastoreExists,
                    "datastore \"\(name)\" exists with \(differences.joined(separator: ", ")); import without --create, "
                        + "choose another name, or remove it: capstan datastore delete \(name)")
            }
            return false
        }
    }

    private func startJob(_ client: CaptionerClient, progress: ProgressLine?) async throws -> JobInfo {
        guard let rows else { throw DatastoreError(.sourceUnreadable, "\(name) is no bundle any more") }
        let options = try reading.options(build: !noBuild, strict: strict, dryRun: dryRun)
        let first = vectors.first { $0.key == nil }?.path
        let others = Dictionary(vectors.compactMap { file in file.key.map { ($0, file.path) } }) { $1 }
        if serverPaths {
            return try await client.importFromServerPath(
                ImportRequest(rowsPath: rows, vectorsPath: first, vectorsPaths: others, options: options), into: name,
                idempotencyKey: idempotencyKey)
        }
        return try await client.importRows(
            file: URL(filePath: rows), vectors: first.map { URL(filePath: $0) },
            keyVectors: others.mapValues { URL(filePath: $0) }, into: name, options: options,
            idempotencyKey: idempotencyKey, progress: { progress?.update($0) })
    }

    private func sayFirstRejects(of job: JobInfo, client: CaptionerClient) async throws {
        var shown = 0
        for try await row in client.rejects(of: job.id) {
            StandardError.write("\(row.place): \(row.code.rawValue): \(printable(row.detail))")
            shown += 1
            if shown == 5 { break }
        }
        if job.counts.rejected > shown { StandardError.write("… and \(job.counts.rejected - shown) more") }
        StandardError.write("all of them: capstan jobs rejects \(job.id)")
    }
}

/// `--vectors [KEY=]FILE`.
struct KeyVectorsArgument {
    /// Nil for the first dense key.
    let key: String?
    let path: String

    /// A file of which the name has a "=" is a file all the same, when it is there.
    init(_ argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
        let isKey = parts.count == 2 && (try? ResourceName.validate(parts[0])) != nil
        if isKey, !FileManager.default.fileExists(atPath: argument) {
            (key, path) = (parts[0], parts[1])
        } else {
            (key, path) = (nil, argument)
        }
    }
}
