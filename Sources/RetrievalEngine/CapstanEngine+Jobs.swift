package import DatastoreCore
import DatastoreImport
package import DatastoreStorage
package import Foundation
import Logging
import Synchronization
import VectorIndex

extension CapstanEngine {
    /// A name for a job that is not used yet.
    package static func newJobID() -> String {
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Where the files of an upload go before its job is submitted.
    ///
    /// - Throws: `unknown_datastore`.
    package func stageUpload(job: String, datastore: String) async throws -> URL {
        try await control { [self] in
            _ = try catalog.datastore(datastore)
            let folder = directory.staging(job: job)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            return folder
        }
    }

    /// Removes what an upload that failed has left.
    package func discardUpload(job: String) async {
        try? await control { [self] in try DurableFiles.remove(directory.staging(job: job)) }
    }

    /// Queues an import of files that were uploaded to `stageUpload`'s folder.
    ///
    /// - Parameters:
    ///   - rows: synced to disk already, as `vectors` are.
    ///   - vectors: by the names of their keys; "" stands for the first dense one.
    ///   - digests: of the files, for the fingerprint of the request.
    ///   - idempotencyKey: the same upload under the same key is one import: the job that was made first is returned,
    ///     and the files that came again go.
    /// - Throws: `unknown_datastore`, `idempotency_conflict`.
    package func submitUpload(
        job: String, datastore: String, rows: URL, vectors: [String: URL], digests: [String], options: ImportOptions,
        by: String? = nil, idempotencyKey: String? = nil
    ) async throws -> JobInfo {
        try await control { [self] in
            let submission = try Submission(by: by, idempotencyKey) {
                try WireJSON.encode(UploadFingerprint(files: digests, options: options))
            }
            try DurableFiles.sync(directory.staging(job: job))
            try DurableFiles.sync(directory.staging)
            var others = vectors.mapValues(\.lastPathComponent)
            let first = others.removeValue(forKey: "")
            let request = JobRequest.importUpload(
                rows: rows.lastPathComponent, vectors: first, keyVectors: others.isEmpty ? nil : others,
                options: options)
            let info = try submit(job, datastore, request, submission)
            if info.id != job { try DurableFiles.remove(directory.staging(job: job)) }
            return info
        }
    }

    /// What makes two uploads the same.
    private struct UploadFingerprint: Encodable {
        var files: [String]
        var options: ImportOptions
    }

    /// Queues an import of files below an import root.
    ///
    /// - Throws: `unknown_datastore`, `import_by_path_disabled`, `path_outside_import_roots`, `source_unreadable`,
    ///   `idempotency_conflict`.
    package func submitImport(
        _ request: ImportRequest, into datastore: String, by: String? = nil, idempotencyKey: String? = nil
    ) async throws -> JobInfo {
        try await control { [self] in
            for key in request.vectorsPaths.keys.sorted() { try ResourceName.validate(key, field: "vectors_paths") }
            let (rows, vectors, others) = try resolve(request.rowsPath, request.vectorsPath, request.vectorsPaths)
            return try submit(
                Self.newJobID(), datastore,
                .importPaths(
                    rows: rows, vectors: vectors, keyVectors: others.isEmpty ? nil : others, options: request.options),
                Submission(by: by, idempotencyKey) { try WireJSON.encode(request) })
        }
    }

    private func resolve(
        _ rows: String, _ vectors: String?, _ others: [String: String]
    ) throws -> (rows: String, vectors: String?, others: [String: String]) {
        let roots = ImportRoots(configuration.importRoots)
        return (
            try roots.resolve(rows, field: "rows_path"),
            try vectors.map { try roots.resolve($0, field: "vectors_path") },
            try Dictionary(
                uniqueKeysWithValues: others.sorted { $0.key < $1.key }.map { key, path in
                    (key, try roots.resolve(path, field: "vectors_paths.\(key)"))
                })
        )
    }

    /// Queues the building of a version from the newest one and what is pending.
    ///
    /// Whether something is pending, and whether another job works on the datastore, is decided as the job is made: of two
    /// calls at once that want both, one gets a job.
    ///
    /// - Throws: `unknown_datastore`, `invalid_value`, `nothing_to_build` when nothing is pending and that is wanted or
    ///   there is no version yet, `datastore_busy`.
    package func submitBuild(
        of datastore: String, _ request: BuildVersionRequest = BuildVersionRequest(), by: String? = nil
    ) async throws -> JobInfo {
        try Self.validate(request.plan, request.recallGate)
        return try await control { [self] in
            _ = try catalog.datastore(datastore)
            let job = JobRequest.build(
                plan: request.plan, recallGate: request.recallGate, ifChanged: request.ifChanged ? true : nil)
            return try submit(Self.newJobID(), datastore, job, Submission(by: by)) {
                if request.ifIdle { try refuseWhileBusy(datastore) }
                let latest = try catalog.latestVersion(of: datastore)
                let isChanged = try waitingChanges(datastore, latest) > 0
                guard isChanged || !request.ifChanged && latest != nil else {
                    throw DatastoreError(.nothingToBuild, "datastore \"\(datastore)\" has no pending changes")
                }
            }
        }
    }

    private func refuseWhileBusy(_ datastore: String) throws {
        let jobs = try catalog.unfinishedJobs().filter { $0.datastore == datastore && !$0.kind.runsBeside }
        guard let job = jobs.first else { return }
        let others = jobs.count > 1 ? ", and \(jobs.count - 1) more wait" : ""
        throw DatastoreError(
            .datastoreBusy,
            "job \"\(job.id)\" (\(job.kind.rawValue)) is \(job.state.rawValue) on datastore \"\(datastore)\"\(others); "
                + "ask again when it has ended")
    }

    /// - Parameter check: called as the job is made, while no other can be; throws to refuse it.
    func submit(
        _ id: String, _ datastore: String, _ request: JobRequest, _ submission: Submission,
        check: () throws -> Void = {}
    ) throws -> JobInfo {
        // Queued in the order of their numbers, in which they go on after a restart: a job that has read a part must not
        // be overtaken by one that came after it.
        try submitting.withLock { _ in
            try check()
            let info = try catalog.createJob(
                id: id, datastore: datastore, request: request, submission: submission, at: Date())
            if info.id == id { jobs.submit(JobQueue.Job(id: id, datastore: datastore, kind: info.kind)) }
            return info
        }
    }

    /// Asks a job to stop: at once when it waits, else within moments. What it has read is dropped, and the datastore
    /// stays as it was; a version that is being published by then is published.
    ///
    /// - Throws: `unknown_job`, `job_ended`.
    package func cancelJob(_ id: String) async throws -> JobInfo {
        try await control { [self] in
            let job = try catalog.cancel(job: id, at: Date())
            if job.state == .cancelled {
                try DurableFiles.remove(directory.staging(job: id))
            } else {
                cancelled.withLock { _ = $0.insert(id) }
            }
            return job
        }
    }

    // MARK: Looking

    /// - Throws: `unknown_job`.
    package func job(_ id: String) async throws -> JobInfo {
        try await control { [self] in settled(try catalog.job(id)) }
    }

    /// Newest first.
    package func jobs(datastore: String?, state: JobState?, _ page: PageRequest) async throws -> [JobInfo] {
        try await control { [self] in settled(try catalog.jobs(datastore: datastore, state: state, page)) }
    }

    /// The file of a job's rejected rows, nil when it rejected none.
    ///
    /// - Throws: `unknown_job`.
    package func rejects(ofJob id: String) async throws -> URL? {
        try await control { [self] in
            let job = try catalog.job(id)
            let file = directory.rejects(job: id, datastore: job.datastore)
            return FileManager.default.fileExists(atPath: file.path) ? file : nil
        }
    }

    // MARK: Doing

    /// Runs a job to its end and records how it ended.
    func perform(_ job: JobQueue.Job) async {
        await runJob { [self] in
            let started = ContinuousClock.now
            defer {
                cancelled.withLock { _ = $0.remove(job.id) }
                removeWhatFailed(job)
            }
            do {
                let now = try catalog.job(job.id)
                guard !now.state.isFinal else { return }
                if now.cancelRequested { return drop(job.id, of: job.datastore) }
                let request = try catalog.request(ofJob: job.id)
                try perform(request, of: job)
                try? DurableFiles.remove(directory.staging(job: job.id))
                // Who brings a version back wants it, and has not bound or tagged it yet.
                if request.kind != .restore, try catalog.job(job.id).version != nil { applyRetention(job.datastore) }
                logger.info(
                    "job ended",
                    metadata: [
                        "job": "\(job.id)", "datastore": "\(job.datastore)",
                        "seconds": "\(ContinuousClock.now - started)",
                    ])
            } catch is CancellationError {
                // The daemon stops. The job is in the catalog with its request, its sources stay: it goes on later.
                try? catalog.requeue(job: job.id)
                logger.notice("job put off until the next start", metadata: ["job": "\(job.id)"])
            } catch let error as DatastoreError where error.code == .cancelled {
                drop(job.id, of: job.datastore)
                logger.notice("job cancelled", metadata: ["job": "\(job.id)", "datastore": "\(job.datastore)"])
            } catch {
                let failure = failure(error, of: job)
                // What an earlier run has read and not committed.
                try? pendingChanges(job.datastore).discard(job: job.id)
                try? DurableFiles.remove(directory.staging(job: job.id))
                try? catalog.finish(job: job.id, state: .failed, error: failure, at: Date())
                logger.warning(
                    "job failed",
                    metadata: [
                        "job": "\(job.id)", "datastore": "\(job.datastore)", "code": "\(failure.code)",
                        "detail": "\(failure.detail)",
                    ])
            }
        }
    }

    /// Removes the datastore that was made for a job which came to nothing.
    private func removeWhatFailed(_ job: JobQueue.Job) {
        guard let ended = try? catalog.job(job.id), ended.state == .failed || ended.state == .cancelled,
            case .restore(bundle: _, creates: true)? = try? catalog.request(ofJob: job.id)
        else { return }
        removeUnused(job.datastore)
    }

    /// Ends a job that was asked to stop; nothing of it is kept.
    func drop(_ job: String, of datastore: String) {
        let steps: [() throws -> Void] = [
            { [self] in try pendingChanges(datastore).discard(job: job, evenCommitted: true) },
            { [self] in try DurableFiles.remove(directory.staging(job: job)) },
            // Whatever the others did: nobody waits for ever.
            { [self] in try catalog.finish(job: job, state: .cancelled, error: nil, at: Date()) },
        ]
        for step in steps {
            do {
                try step()
            } catch {
                logger.error("a cancelled job left something", metadata: ["job": "\(job)", "error": "\(error)"])
            }
        }
    }

    private func perform(_ request: JobRequest, of job: JobQueue.Job) throws {
        switch request {
        case .importUpload(let rows, let vectors, let others, let options):
            let folder = directory.staging(job: job.id)
            try performImport(
                job, rows: folder.appending(path: rows).path,
                vectors: Self.byKey(
                    vectors.map { folder.appending(path: $0).path },
                    (others ?? [:]).mapValues { folder.appending(path: $0).path }), options: options)
        case .importPaths(let rows, let vectors, let others, let options):
            // Once more: links and roots may be others than when the job was submitted.
            let (rows, vectors, others) = try resolve(rows, vectors, others ?? [:])
            try performImport(job, rows: rows, vectors: Self.byKey(vectors, others), options: options)
        case .build(let plan, let gate, let ifChanged):
            try build(job, plan: plan, recallGate: gate, ifChanged: ifChanged ?? false)
        case .filter(let filter): try performFilter(job, filter)
        case .verify(let version): try performVerification(job, version: version)
        case .dump(let domain, let revision, let queries, let ids, let options):
            let folder = directory.staging(job: job.id)
            try performDump(
                job, domain: domain, revision: revision, queries: folder.appending(path: queries),
                ids: folder.appending(path: ids), options: options)
        case .restore(let bundle, _): try performRestore(job, bundle: bundle)
        }
    }

    /// Files of vectors by key; "" stands for the first dense key.
    private static func byKey(_ first: String?, _ others: [String: String]) -> [String: String] {
        var files = others
        if let first { files[""] = first }
        return files
    }

    private func performImport(
        _ job: JobQueue.Job, rows: String, vectors: [String: String], options: ImportOptions
    ) throws {
        let datastore = try catalog.datastore(job.datastore)
        let pending = try pendingChanges(job.datastore)
        // After a restart the rows may be durable already, and only the version is missing.
        if try !pending.isCommitted(job: job.id) {
            try readRows(job, datastore, pending, rows: rows, vectors: vectors, options: options)
        }
        guard options.build, !options.dryRun, try pending.count() > 0 else {
            try catalog.finish(job: job.id, state: .succeeded, error: nil, at: Date())
            return
        }
        try build(job, ifChanged: true)
    }

    private func readRows(
        _ job: JobQueue.Job, _ datastore: DatastoreRecord, _ pending: PendingChanges, rows: String,
        vectors: [String: String], options: ImportOptions
    ) throws {
        try catalog.start(job: job.id, phase: .reading, at: Date())
        let base = try catalog.latestVersion(of: job.datastore).map { try open($0.id) }
        let vectors = try datastore.byKey(vectors)
        var report = ImportReport(
            format: options.format, vectors: .rows, dim: datastore.keys[0].dim, dryRun: options.dryRun)
        var numpy: [String: String] = [:]
        for key in vectors.keys.sorted() {
            let file = try numpyFile(of: vectors[key] ?? "", job: job.id)
            numpy[key] = file.path
            report.vectors = file.origin
            report.notes += file.notes
        }
        let encoders = try rowEncoders(of: datastore, except: Set(vectors.keys))
        let outcome = try ImportReading(
            job: job.id, keys: datastore.keys, rows: rows, vectors: numpy, options: options,
            sources: { try ([rows] + vectors.keys.sorted().compactMap { vectors[$0] }).map(SourceStamp.init(path:)) },
            pending: pending, base: base, encoders: encoders, termIndex: try termIndex(of: datastore),
            wordless: wordless(of: datastore),
            rejects: directory.rejects(job: job.id, datastore: job.datastore)
        ) { [self] format in
            report.format = format
            try catalog.update(job: job.id, report: report)
        } beforeCommit: { [self] in
            try keepRevisions(of: encoders, datastore)
        } checkpoint: { [self] in
            try checkpoint(job.id)
        } onProgress: { [self] tally, progress in
            try catalog.update(job: job.id, tally: tally, progress: progress)
        }.run()
        if outcome.vectors == .encoder { report.vectors = .encoder }
        if let base, outcome.withoutID > 0 {
            report.notes.append(
                "\(outcome.withoutID) rows have no id: they were added beside the \(base.manifest.entries) entries that "
                    + "were there, and would be once more by the same import")
        }
        if options.dryRun {
            report.estimate(outcome, keys: datastore.keys, base: base, waiting: try pending.count())
        }
        try catalog.update(job: job.id, report: report)
    }

    /// The encoders that make vectors of rows, by the position of their key.
    ///
    /// - Parameter patient: whether they wait minutes for an encoder that is away, as imports do.
    /// - Throws: `encoder_not_configured` when the daemon does not know one that a key names.
    func rowEncoders(
        of datastore: DatastoreRecord, except given: Set<String> = [], patient: Bool = true
    ) throws -> [Int: RowEncoder] {
        var encoders: [Int: RowEncoder] = [:]
        for (position, key) in datastore.keys.enumerated() where !given.contains(key.name) {
            guard let encoder = key.encoder, let name = encoder.endpoint else { continue }
            let client = try patient ? rowEncoder(name) : questionEncoder(name)
            encoders[position] = RowEncoder(client, key: key, encoder: encoder)
        }
        return encoders
    }

    /// Keeps the revisions that encoders have answered with.
    func keepRevisions(of encoders: [Int: RowEncoder], _ datastore: DatastoreRecord) throws {
        for (position, encoder) in encoders {
            guard let revision = encoder.revision else { continue }
            try catalog.setEncoderRevision(revision, ofKey: datastore.keys[position].name, of: datastore.name)
        }
    }

    /// The vectors of an import as a NumPy file: the file itself, or what a FAISS index holds.
    ///
    /// - Throws: `index_files_disabled`, `index_file_invalid`, `lfs_pointer`, `html_page`, `npy_not_numpy`.
    private func numpyFile(
        of vectors: String, job: String
    ) throws -> (path: String, origin: VectorOrigin, notes: [String]) {
        switch try VectorsFileKind(path: vectors) {
        case .numpy: return (vectors, .file, [])
        case .faissIndex:
            guard let executable = configuration.indexReader else {
                throw DatastoreError(
                    .indexFilesDisabled,
                    "\(URL(filePath: vectors).lastPathComponent) is a FAISS index, and this daemon reads none: a hostile "
                        + "one can harm it. Start capstand with --allow-index-files where they are trusted, or save "
                        + "the vectors as .npy (index.reconstruct_n)")
            }
            let folder = directory.staging(job: job)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            // A name of its own for each attempt: the process of one that was killed may still write.
            let numpy = folder.appending(path: "index-\(Self.newJobID()).npy")
            let summary = try IndexExtraction(executable: executable).run(index: vectors, output: numpy.path) {
                try checkpoint(job)
            }
            let note = summary.isExact ? [] : ["the index \(summary.kind) holds rounded vectors, not the original ones"]
            return (numpy.path, .index, note)
        }
    }

    private func build(
        _ job: JobQueue.Job, plan: IndexPlan? = nil, recallGate: Double? = nil, ifChanged: Bool
    ) throws {
        let latest = try catalog.latestVersion(of: job.datastore)
        let isChanged = try waitingChanges(job.datastore, latest) > 0
        // A job before this one may have built what was pending when it was asked for.
        guard isChanged || !ifChanged && latest != nil else {
            try catalog.finish(job: job.id, state: .succeeded, error: nil, at: Date())
            return
        }
        try build(job, pendingChanges(job.datastore), plan: plan, recallGate: recallGate)
    }

    /// Builds and publishes a version of the newest one and what is pending.
    ///
    /// - Parameters:
    ///   - plan: how dense keys are searched; nil is as the datastore has it, as is the recall gate.
    ///   - keeps: says which entries stay; nil keeps all.
    func build(
        _ job: JobQueue.Job, _ pending: PendingChanges, plan: IndexPlan? = nil, recallGate: Double? = nil,
        keeps: ((Entry, [KeyVector]) throws -> Bool)? = nil, beforePublishing: () throws -> Void = {}
    ) throws {
        let staged = directory.staging(job: job.id).appending(path: "version")
        // What an earlier attempt has left; it was never published.
        try DurableFiles.remove(staged)
        let builder = try versionBuilder(
            job, pending, folder: staged, plan: plan, recallGate: recallGate, keeps: keeps)
        try DurableFiles.remove(directory.version(builder.id))
        let manifest = try builder.build()
        guard manifest.entries > 0 else {
            throw DatastoreError(
                .noRowsAccepted,
                "the version would have no entry: "
                    + (keeps == nil ? "all are deleted" : "the filter and deletions leave none")
                    + "; the newest version stays as it is, and what is pending stays pending. Add entries and build "
                    + "again, or delete the datastore")
        }
        try beforePublishing()
        try catalog.start(job: job.id, phase: .publishing, at: Date())
        let publisher = VersionPublisher(directory: directory, onStep: configuration.onPublishStep)
        let record = try publisher.place(staged, manifest: manifest) { [self] in try checkpoint(job.id) }
        // Its files were compared with nothing but themselves: their checksums are of what was read back.
        let folder = try VersionFolder(written: directory.version(record.id), manifest: self.manifest(record.id))
        try publish(record, publisher, folder)
        try keepingStamps(of: folder) { try pending.consume(through: builder.through) }
    }

    /// What makes the next version of a job's datastore, with the job's progress.
    func versionBuilder(
        _ job: JobQueue.Job, _ pending: PendingChanges, folder: URL, plan: IndexPlan? = nil,
        recallGate: Double? = nil, keeps: ((Entry, [KeyVector]) throws -> Bool)?
    ) throws -> VersionBuilder {
        let datastore = try catalog.datastore(job.datastore)
        try catalog.start(job: job.id, phase: .building, at: Date())
        let base = try catalog.latestVersion(of: job.datastore).map { try open($0.id) }
        let entries = max(1, (base?.manifest.entries ?? 0) + (try pending.count()))
        var pace = Pace()
        return VersionBuilder(
            folder: folder,
            id: VersionID(datastore: job.datastore, number: try catalog.nextVersionNumber(of: job.datastore)),
            datastore: datastore, base: base, pending: pending,
            // Not while single entries are written: theirs would be taken for built before they count.
            through: max(
                try pending.serially { try pending.lastSequence() }, base?.manifest.lineage.pendingThrough ?? 0),
            jobID: job.id,
            vocabularies: vocabularies(of: datastore),
            indexing: indexBuild(job, plan: plan ?? datastore.plan, recallGate: recallGate ?? datastore.recallGate),
            keeps: keeps
        ) { [self] seen in
            try checkpoint(job.id)
            if let progress = pace.progress(rows: seen, fraction: min(1, Double(seen) / Double(entries))) {
                try catalog.update(job: job.id, progress: progress)
            }
        }
    }

    /// Names a placed version in the catalog and moves the domains that follow it.
    ///
    /// - Parameter checked: its folder, when its files were compared with the manifest already.
    func publish(_ record: VersionRecord, _ publisher: VersionPublisher, _ checked: VersionFolder? = nil) throws {
        do {
            // Opened before it exists for anyone: what cannot be opened is not published.
            let folder =
                try checked
                ?? VersionFolder(
                    verifying: directory.version(record.id), id: record.id, manifestSHA256: record.manifestSHA256)
            let version = try OpenVersion(folder)
            let moved = try changes.withLock { _ in
                let moved = try catalog.publish(record, at: Date())
                publisher.onStep(.cataloged)
                // Another one of this number may have been removed while somebody held it.
                cache.drop(record.id)
                cache.insert(version)
                let domains = moved.map(open)
                swap { snapshot in
                    for domain in domains { snapshot.domains[domain.info.domain] = domain }
                }
                return moved
            }
            publisher.onStep(.switched)
            remember(folder)
            logger.info(
                "version published",
                metadata: [
                    "version": "\(record.id)", "entries": "\(record.entries)",
                    "domains": "\(moved.map(\.domain).joined(separator: " "))",
                ])
        } catch {
            let isNamed = try catalog.versionNumbers(of: record.id.datastore).contains(record.id.number)
            if !isNamed { try DurableFiles.remove(directory.version(record.id)) }
            throw error
        }
    }

    /// Runs what takes names of a version's files away, which gives the files other times of change: they are known to be
    /// what they were all the same, when they were until then.
    private func keepingStamps(of folder: VersionFolder, _ body: () throws -> Void) throws {
        let isUntouched = try folder.isUntouched()
        try body()
        if isUntouched, let folder = try folder.afterRenaming() { remember(folder) }
    }

    private func failure(_ error: any Error, of job: JobQueue.Job) -> JobFailure {
        let code: ErrorCode
        var detail: String
        switch error {
        case let error as DatastoreError: (code, detail) = (error.code, error.detail)
        case let error as FaissError: (code, detail) = (.indexFailed, error.description)
        default: (code, detail) = (.storageFailed, "\(error)")
        }
        if let isKept = try? pendingChanges(job.datastore).isCommitted(job: job.id), isKept {
            detail += "; its rows are kept as pending changes, `capstan reindex \(job.datastore)` builds again"
        }
        return JobFailure(code: code.rawValue, detail: detail)
    }
}

extension Submission {
    /// - Parameter request: what is asked, in bytes that are equal for equal requests.
    /// - Throws: `invalid_value` for a key that cannot be one.
    init(by: String?, _ idempotencyKey: String?, _ request: () throws -> Data) throws {
        self.init(by: by)
        guard let idempotencyKey else { return }
        guard (1...255).contains(idempotencyKey.utf8.count),
            idempotencyKey.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            throw DatastoreError.field(
                .invalidValue, "Idempotency-Key", "expected 1 to 255 visible ASCII characters, for example a UUID")
        }
        idempotency = Idempotency(key: idempotencyKey, fingerprint: FileDigest.sha256(try request()))
    }
}

extension SourceStamp {
    /// - Throws: `source_unreadable`.
    init(path: String) throws {
        let url = URL(filePath: path)
        var info = stat()
        guard stat(path, &info) == 0 else {
            throw DatastoreError(
                .sourceUnreadable, "\(url.lastPathComponent): cannot be read: \(String(cString: strerror(errno)))")
        }
        self.init(
            name: url.lastPathComponent, bytes: Int64(info.st_size),
            modifiedAt: Int64(info.st_mtim.tv_sec) * 1_000_000_000 + Int64(info.st_mtim.tv_nsec),
            changedAt: Int64(info.st_ctim.tv_sec) * 1_000_000_000 + Int64(info.st_ctim.tv_nsec),
            inode: UInt64(info.st_ino))
    }
}

extension ImportReport {
    /// What a version with these rows would take, by what its files hold for each entry.
    mutating func estimate(_ outcome: ImportReading.Outcome, keys: [KeySpec], base: OpenVersion?, waiting: Int) {
        let counts = outcome.tally.counts
        let fresh = counts.accepted + waiting
        let entries = (base?.manifest.entries ?? 0) + fresh
        let existing = base?.manifest.files.first { $0.name == VersionFolder.entriesFile }?.bytes ?? 0
        // Originals and ids, and compact codes. What an index takes says the plan; weights of terms are left out: how many an
        // entry has is not known.
        let dense = keys.filter { $0.kind == .dense }
        let vectorBytes = dense.reduce(0) { $0 + $1.dim * 4 } + 8 * keys.count
        let codeBytes = dense.reduce(0) { $0 + CompactCodes.rowSize(dim: $1.dim) }
        self.entries = entries
        diskBytes = existing + outcome.textBytes + Int64(entries) * Int64(vectorBytes + codeBytes)
        memoryBytes = Int64(entries) * Int64(vectorBytes + codeBytes)
    }
}
