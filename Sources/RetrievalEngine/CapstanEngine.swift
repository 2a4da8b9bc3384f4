package import DatastoreCore
package import DatastoreStorage
import Foundation
package import Logging
import ServiceLifecycle
import Synchronization
import VectorIndex

/// The daemon without HTTP: owns the data directory, the snapshot that queries read, and the pools that block.
///
/// Queries take the snapshot once and never wait for changes. Changes run on a pool of their own; the part of a change
/// that counts, one catalog transaction and the swap of the snapshot, is serial. Thread-safe.
package final class CapstanEngine: Service {
    package let configuration: EngineConfiguration
    package let directory: DataDirectory
    let catalog: Catalog
    let logger: Logger
    let cache = VersionCache()
    let jobs = JobQueue()
    /// Held over each catalog transaction that changes what queries see, and over the swap that follows.
    let changes = Mutex<Void>(())
    /// Held while a job is made and queued.
    let submitting = Mutex<Void>(())
    /// Held while versions and files that nothing needs are removed.
    let collecting = Mutex<Void>(())
    /// Versions whose files were compared with their checksums, and opened, since the start: opening one once more, for a
    /// switch or a rollback, does not read them again. The catalog has their stamps over a restart.
    let verified = Mutex<[VersionID: VersionFolder]>([:])
    /// Running jobs that were asked to stop.
    let cancelled = Mutex<Set<String>>([])

    /// Backups that are being fetched, by id.
    let backups = Mutex<[String: BackupSession.Open]>([:])
    let bundleSizes = BundleSizes()
    /// Versions on their way out, and copies for backups.
    let transferPool: BlockingPool

    private let lock: DirectoryLock
    private let snapshot = Mutex(Snapshot())
    private let state = Mutex(State())
    private let searchPool: BlockingPool
    private let controlPool: BlockingPool
    private let jobPool: BlockingPool
    /// Single changes: they may wait for an encoder.
    private let changePool: BlockingPool
    /// Comparisons of versions: they read much.
    private let inspectionPool: BlockingPool
    private let pending = Mutex<[String: PendingChanges]>([:])
    /// What was pending when a question last asked, by datastore.
    let pendingViews = Mutex<[String: PendingViewBox]>([:])
    /// Datastores of whose many pending changes the log has been told.
    let warnedDatastores = Mutex<Set<String>>([])
    /// What was asked, to measure recall with.
    let recorded: RecordedQuestions
    /// Encoders of rows, and of questions, by name.
    private let encoders: [String: (rows: EncoderClient, questions: EncoderClient)]
    private let rerankers: [String: RerankerClient]
    /// Questions that an encoder works on now.
    private let encodingCount = Atomic<Int>(0)
    private let startedAt = Date()
    private let stopDeadline = Mutex<ContinuousClock.Instant?>(nil)

    private struct State {
        var readiness = Readiness(status: .loading, detail: "starting")
        var recovery: [String] = []
        var hasLoaded = false
        var answersQuestions = false
        /// Who waits for the end of loading.
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    /// Takes the data directory and opens its catalog; versions are opened by `run`.
    ///
    /// - Throws: `data_directory_in_use`, `newer_format`, or what the file system says.
    package init(_ configuration: EngineConfiguration, logger: Logger) throws {
        VectorIndex.useCallersThreadsOnly()
        self.configuration = configuration
        self.logger = logger
        directory = DataDirectory(root: configuration.dataDirectory)
        recorded = RecordedQuestions(capacity: configuration.recordedQuestions)
        try directory.create()
        lock = try DirectoryLock(directory)
        catalog = try Catalog(directory.catalog)
        encoders = Dictionary(
            configuration.encoders.map { ($0.name, (EncoderClient($0), EncoderClient($0, policy: .question))) },
            uniquingKeysWith: { first, _ in first })
        rerankers = Dictionary(
            configuration.rerankers.map { ($0.name, RerankerClient($0)) }, uniquingKeysWith: { first, _ in first })
        searchPool = BlockingPool(
            name: "search", threads: configuration.searchThreads, queueLimit: configuration.searchQueueLimit)
        controlPool = BlockingPool(name: "control", threads: 4, queueLimit: 256)
        changePool = BlockingPool(name: "change", threads: 2, queueLimit: 256)
        transferPool = BlockingPool(name: "transfer", threads: 2, queueLimit: 256)
        inspectionPool = BlockingPool(name: "inspection", threads: 1, queueLimit: 16)
        jobPool = BlockingPool(name: "job", threads: 2, queueLimit: Int.max / 2)
    }

    /// Recovers, opens what domains are bound to, then runs jobs until a graceful shutdown.
    package func run() async throws {
        do {
            try await load()
        } catch {
            endLoading()
            throw error
        }
        endLoading()
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await withTaskGroup(of: Void.self) { [self] group in
                    group.addTask { await self.sweepBackups() }
                    group.addTask {
                        await self.recallChecked()
                        await self.recheckOpened()
                    }
                    await jobs.run { [self] job in await perform(job) }
                    group.cancelAll()
                }
            } onGracefulShutdown: { [self] in
                stop(within: configuration.shutdownGrace)
            }
        } onCancel: { [self] in
            stop(within: .zero)
        }
        try await shutdown()
    }

    // MARK: State

    /// Returns when loading has ended, well or not.
    package func whenReady() async {
        await withCheckedContinuation { continuation in
            let isLoading = state.withLock { state in
                if !state.hasLoaded { state.waiting.append(continuation) }
                return !state.hasLoaded
            }
            if !isLoading { continuation.resume() }
        }
    }

    private func endLoading() {
        let waiting = state.withLock { state in
            state.hasLoaded = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    package var readiness: Readiness { state.withLock { $0.readiness } }

    /// Whether domains can be asked, each once it is open.
    package var answersQuestions: Bool { state.withLock { $0.answersQuestions } }

    func answerQuestions() { state.withLock { $0.answersQuestions = true } }

    func setReadiness(_ status: Readiness.State, _ detail: String) {
        state.withLock { $0.readiness = Readiness(status: status, detail: detail) }
    }

    func noteRecovery(_ what: String) {
        state.withLock { $0.recovery.append(what) }
        logger.notice("recovered", metadata: ["what": "\(what)"])
    }

    /// Tells who asks for the directory where this daemon listens.
    package func announce(address: String) throws {
        try lock.announce(address: address)
    }

    package func status() async throws -> ServiceStatus {
        let (readiness, recovery) = state.withLock { ($0.readiness, $0.recovery) }
        return try await control { [self] in
            let datastores = try states()
            return ServiceStatus(
                release: Release.version, readiness: readiness, startedAt: startedAt,
                pid: Int(ProcessInfo.processInfo.processIdentifier), dataDirectory: directory.root.path,
                searchThreads: searchPool.threads, searchesInFlight: searchPool.inFlight,
                datastores: datastores.count,
                domains: currentSnapshot.domains.count, openVersions: cache.openCount, jobsRunning: jobs.runningCount,
                pendingLimit: configuration.maximumPending,
                pending: datastores.filter { $0.pending > 0 }.map {
                    PendingStatus(
                        datastore: $0.name, changes: $0.pending, warning: warn($0.name, pending: $0.pending))
                },
                damagedVersions: try catalog.damagedVersions().map(\.description), recovery: recovery)
        }
    }

    /// What there is of each datastore.
    private func states() throws -> [DatastoreState] {
        try catalog.datastores(PageRequest(limit: -1)).compactMap { record in
            do {
                let latest = try catalog.latestVersion(of: record.name)
                return DatastoreState(
                    name: record.name, latestVersion: latest?.id.number, entries: latest?.entries ?? 0,
                    pending: try waitingChanges(record.name, latest))
            } catch let error as DatastoreError where error.code == .unknownDatastore {
                return nil  // deleted since
            }
        }
    }

    /// What is counted for those who watch the daemon.
    package func measurements() async throws -> Measurements {
        try await control { [self] in
            Measurements(
                startedAt: startedAt, isReady: readiness.status == .ready, datastores: try states(),
                pendingLimit: configuration.maximumPending, domains: currentSnapshot.domains.values.map(\.info),
                searchesInFlight: searchPool.inFlight, jobsRunning: jobs.runningCount,
                damagedVersions: try catalog.damagedVersions().count)
        }
    }

    // MARK: Snapshot

    /// What queries see now.
    package var currentSnapshot: Snapshot { snapshot.withLock { $0 } }

    /// What the catalog said, once queries see it too: a change is in the catalog a moment before it is in the snapshot.
    func settled<Value>(_ value: Value) -> Value {
        changes.withLock { _ in }
        return value
    }

    /// Replaces domains in the snapshot. Called while `changes` is held; the old snapshot is let go outside the lock.
    func swap(_ change: (inout Snapshot) -> Void) {
        var next = currentSnapshot
        change(&next)
        let old = snapshot.withLock { snapshot in
            let old = snapshot
            snapshot = next
            return old
        }
        withExtendedLifetime(old) {}
    }

    // MARK: Blocking work

    /// Runs catalog and file work on the control threads.
    ///
    /// - Throws: `storage_failed` for what SQLite and the file system throw; the log has it in full.
    func control<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await controlPool.run { [self] in try explaining(body) }
    }

    /// Runs single changes of a datastore's entries.
    func changing<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await changePool.run { [self] in try explaining(body) }
    }

    /// Runs what reads whole versions for a client that waits, at the priority of jobs.
    func inspecting<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await inspectionPool.run { [self] in
            Self.yieldToQuestions()
            return try explaining(body)
        }
    }

    func search<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await searchPool.run { [self] in try explaining(body) }
    }

    /// Reads and copies whole files.
    func transferring<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await transferPool.run { [self] in
            Self.yieldToQuestions()
            return try explaining(body)
        }
    }

    private func explaining<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let error where error is DatastoreError || error is CancellationError {
            throw error
        } catch {
            logger.error("storage or index failed", metadata: ["error": "\(error)"])
            throw DatastoreError(
                error is FaissError ? .indexFailed : .storageFailed,
                "the data directory could not be read or written; the log of the daemon says why")
        }
    }

    func runJob(_ body: @escaping @Sendable () -> Void) async {
        do {
            try await jobPool.run {
                Self.yieldToQuestions()
                body()
            }
        } catch {
            logger.error("a job was not run", metadata: ["error": "\(error)"])
        }
    }

    /// Lets questions go before what this thread does, imports and builds: on Linux this is of the calling thread alone.
    static func yieldToQuestions() {
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, jobNiceness)
    }

    private static let jobNiceness: Int32 = 10

    /// The encoder of rows that the operator has configured under a name.
    ///
    /// - Throws: `encoder_not_configured`.
    func rowEncoder(_ name: String) throws -> EncoderClient { try encoder(name).rows }

    /// The same for questions: it gives up sooner.
    func questionEncoder(_ name: String) throws -> EncoderClient { try encoder(name).questions }

    /// Runs `body` as one of the bounded number of questions that encoders work on at a time, on Swift's pool: what encoders
    /// are sent and send is taken apart there, not on an event loop that asks.
    ///
    /// - Throws: `overloaded`.
    func encoding<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        let ahead = encodingCount.wrappingAdd(1, ordering: .relaxed).oldValue
        defer { encodingCount.wrappingSubtract(1, ordering: .relaxed) }
        guard ahead < configuration.encodingLimit else {
            throw DatastoreError(.overloaded, "\(ahead) questions wait for an encoder, the limit; retry")
        }
        return try await withTaskExecutorPreference(globalConcurrentExecutor, operation: body)
    }

    private func encoder(_ name: String) throws -> (rows: EncoderClient, questions: EncoderClient) {
        guard let client = encoders[name] else {
            let known = encoders.keys.sorted().joined(separator: ", ")
            throw DatastoreError(
                .encoderNotConfigured,
                "this daemon knows no encoder \"\(name)\", \(known.isEmpty ? "and no other" : "only \(known)"); "
                    + "start capstand with --encoder \(name)=http://HOST:PORT/v1")
        }
        return client
    }

    /// The reranker that the operator has configured under a name.
    ///
    /// - Throws: `reranker_not_configured`.
    func reranker(_ name: String) throws -> RerankerClient {
        guard let client = rerankers[name] else {
            let known = rerankers.keys.sorted().joined(separator: ", ")
            throw DatastoreError(
                .rerankerNotConfigured,
                "this daemon knows no reranker \"\(name.prefix(80))\", \(known.isEmpty ? "and no other" : "only \(known)"); "
                    + "start capstand with --reranker NAME=http://HOST:PORT")
        }
        return client
    }

    /// The pending changes of a datastore, opened once.
    ///
    /// - Throws: `unknown_datastore`; a datastore that is deleted does not get its files back.
    func pendingChanges(_ datastore: String) throws -> PendingChanges {
        try pending.withLock { open in
            if let changes = open[datastore] { return changes }
            _ = try catalog.datastore(datastore)
            try directory.create(datastore: datastore)
            let changes = try PendingChanges(directory.pending(datastore))
            if let latest = try catalog.latestVersion(of: datastore), let lineage = try? manifest(latest.id).lineage {
                try changes.goOn(afterID: lineage.lastEntryID, sequence: lineage.pendingThrough)
            }
            open[datastore] = changes
            return changes
        }
    }

    /// What a version says of itself; its files are not compared.
    func manifest(_ id: VersionID) throws -> Manifest {
        try Manifest.read(Data(contentsOf: directory.version(id).appending(path: Manifest.fileName)))
    }

    func closePendingChanges(_ datastore: String) throws {
        pendingViews.withLock { _ = $0.removeValue(forKey: datastore) }
        try pending.withLock { $0.removeValue(forKey: datastore) }?.close()
    }

    // MARK: End

    private func stop(within grace: Duration) {
        setReadiness(.stopping, "finishing what runs")
        let deadline = ContinuousClock.now + grace
        stopDeadline.withLock { $0 = deadline }
        jobs.close()
    }

    /// Called by jobs between chunks of work.
    ///
    /// - Throws: `cancelled` when the job was asked to stop, `CancellationError` when the daemon is stopping and the job
    ///   has had its grace.
    func checkpoint(_ job: String) throws {
        if cancelled.withLock({ $0.contains(job) }) {
            throw DatastoreError(.cancelled, "job \"\(job)\" was asked to stop")
        }
        try checkGrace()
    }

    /// - Throws: `CancellationError` when the daemon is stopping and what runs has had its grace.
    func checkGrace() throws {
        if let deadline = stopDeadline.withLock({ $0 }), ContinuousClock.now >= deadline { throw CancellationError() }
    }

    private func shutdown() async throws {
        try await searchPool.shutdown()
        try await controlPool.shutdown()
        try await changePool.shutdown()
        try await jobPool.shutdown()
        try await transferPool.shutdown()
        try await inspectionPool.shutdown()
        for encoder in encoders.values {
            await encoder.rows.shutdown()
            await encoder.questions.shutdown()
        }
        for reranker in rerankers.values { await reranker.shutdown() }
        try recorded.save(to: directory)
        try pending.withLock { open in
            for changes in open.values { try changes.close() }
            open = [:]
        }
        try catalog.close()
        logger.info("stopped")
    }
}
