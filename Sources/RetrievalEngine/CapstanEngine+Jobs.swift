package import DatastoreCore
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
    /// - Throws: `unknown_datastore`.
    package func submitUpload(
        job: String, datastore: String, rows: URL, vectors: URL?, options: ImportOptions
    ) async throws -> JobInfo {
        try await control { [self] in
            for file in [rows, vectors].compactMap(\.self) { try DurableFiles.sync(file) }
            try DurableFiles.sync(directory.staging(job: job))
            try DurableFiles.sync(directory.staging)
            let request = JobRequest.importUpload(
                rows: rows.lastPathComponent, vectors: vectors?.lastPathComponent, options: options)
            return try submit(job, datastore, request)
        }
    }

    /// Queues an import of files below an import root.
    ///
    /// - Throws: `unknown_datastore`, `import_by_path_disabled`, `path_outside_import_roots`, `source_unreadable`.
    package func submitImport(_ request: ImportRequest, into datastore: String) async throws -> JobInfo {
        try await control { [self] in
            let (rows, vectors) = try resolve(request.rowsPath, request.vectorsPath)
            return try submit(
                Self.newJobID(), datastore, .importPaths(rows: rows, vectors: vectors, options: request.options))
        }
    }

    private func resolve(_ rows: String, _ vectors: String?) throws -> (rows: String, vectors: String?) {
        let roots = ImportRoots(configuration.importRoots)
        return (
            try roots.resolve(rows, field: "rows_path"),
            try vectors.map { try roots.resolve($0, field: "vectors_path") }
        )
    }

    /// Queues the building of a version from what is pending.
    ///
    /// - Throws: `unknown_datastore`, `nothing_to_build`.
    package func submitBuild(of datastore: String) async throws -> JobInfo {
        try await control { [self] in
            _ = try catalog.datastore(datastore)
            guard try waitingChanges(datastore, catalog.latestVersion(of: datastore)) > 0 else {
                throw DatastoreError(.nothingToBuild, "datastore \"\(datastore)\" has no pending changes")
            }
            return try submit(Self.newJobID(), datastore, .build)
        }
    }

    private func submit(_ id: String, _ datastore: String, _ request: JobRequest) throws -> JobInfo {
        let info = try catalog.createJob(id: id, datastore: datastore, request: request, at: Date())
        jobs.submit(JobQueue.Job(id: id, datastore: datastore))
        return info
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
            do {
                switch try catalog.request(ofJob: job.id) {
                case .importUpload(let rows, let vectors, let options):
                    let folder = directory.staging(job: job.id)
                    try performImport(
                        job, rows: folder.appending(path: rows).path,
                        vectors: vectors.map { folder.appending(path: $0).path }, options: options)
                case .importPaths(let rows, let vectors, let options):
                    // Once more: links and roots may be others than when the job was submitted.
                    let (rows, vectors) = try resolve(rows, vectors)
                    try performImport(job, rows: rows, vectors: vectors, options: options)
                case .build:
                    try build(job)
                }
                try? DurableFiles.remove(directory.staging(job: job.id))
                logger.info(
                    "job ended",
                    metadata: [
                        "job": "\(job.id)", "datastore": "\(job.datastore)",
                        "seconds": "\(ContinuousClock.now - started)",
                    ])
            } catch is CancellationError {
                // The daemon stops. The job is in the catalog with its request, its sources stay: it starts again.
                try? catalog.requeue(job: job.id)
                logger.notice("job put off until the next start", metadata: ["job": "\(job.id)"])
            } catch {
                let failure = failure(error, of: job)
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

    private func performImport(_ job: JobQueue.Job, rows: String, vectors: String?, options: ImportOptions) throws {
        let datastore = try catalog.datastore(job.datastore)
        let pending = try pendingChanges(job.datastore)
        // After a restart the rows may be durable already, and only the version is missing.
        if try !pending.isCommitted(job: job.id) {
            guard let key = datastore.keys.first else {
                throw DatastoreError(.internalError, "datastore \"\(datastore.name)\" has no key")
            }
            try catalog.start(job: job.id, phase: .reading, at: Date())
            let base = try catalog.latestVersion(of: job.datastore).map { try open($0.id) }
            _ = try ImportReading(
                job: job.id, key: key, rows: rows, vectors: vectors, isStrict: options.strict, pending: pending,
                base: base, rejects: directory.rejects(job: job.id, datastore: job.datastore)
            ) { [self] counts in
                try checkpoint()
                try catalog.update(job: job.id, phase: .reading, counts: counts)
            }.run()
        }
        guard options.build, try pending.count() > 0 else {
            try catalog.finish(job: job.id, state: .succeeded, error: nil, at: Date())
            return
        }
        try build(job)
    }

    private func build(_ job: JobQueue.Job) throws {
        let datastore = try catalog.datastore(job.datastore)
        let pending = try pendingChanges(job.datastore)
        let through = try pending.lastSequence()
        guard through > 0 else {
            try catalog.finish(job: job.id, state: .succeeded, error: nil, at: Date())
            return
        }
        try catalog.start(job: job.id, phase: .building, at: Date())
        let base = try catalog.latestVersion(of: job.datastore).map { try open($0.id) }
        let id = VersionID(datastore: job.datastore, number: try catalog.nextVersionNumber(of: job.datastore))
        let staged = directory.staging(job: job.id).appending(path: "version")
        // What an earlier attempt has left; neither was ever published.
        try DurableFiles.remove(staged)
        try DurableFiles.remove(directory.version(id))
        let manifest = try VersionBuilder(
            folder: staged, id: id, datastore: datastore, base: base, pending: pending, through: through,
            jobID: job.id, checkpoint: { [self] _ in try checkpoint() }
        ).build()
        try catalog.start(job: job.id, phase: .publishing, at: Date())
        let publisher = VersionPublisher(directory: directory, onStep: configuration.onPublishStep)
        try publish(publisher.place(staged, manifest: manifest), publisher)
        try pending.consume(through: through)
    }

    /// Names a placed version in the catalog and moves the domains that follow it.
    private func publish(_ record: VersionRecord, _ publisher: VersionPublisher) throws {
        do {
            // Opened before it exists for anyone: what cannot be opened is not published.
            let version = try OpenVersion(
                VersionFolder(
                    verifying: directory.version(record.id), id: record.id, manifestSHA256: record.manifestSHA256))
            let moved = try changes.withLock { _ in
                let moved = try catalog.publish(record, at: Date())
                publisher.onStep(.cataloged)
                cache.insert(version)
                let domains = moved.map(open)
                swap { snapshot in
                    for domain in domains { snapshot.domains[domain.info.domain] = domain }
                }
                return moved
            }
            publisher.onStep(.switched)
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
