package import Foundation

/// What the engine is told at start; below the executables nobody reads flags or the environment.
package struct EngineConfiguration: Sendable {
    package var dataDirectory: URL
    /// Folders below which the daemon may read sources by path. Empty refuses all.
    package var importRoots: [URL]
    /// Encoders that datastores may name.
    package var encoders: [EncoderEndpoint]
    /// Rerankers that questions may name.
    package var rerankers: [RerankerEndpoint]
    /// The program that reads FAISS index files in a process of its own (`capstand extract-vectors`); nil refuses them.
    package var indexReader: URL?
    /// Threads that search.
    package var searchThreads: Int
    /// Questions that may wait for a thread, per thread.
    package var searchQueueLimit: Int
    /// Questions that may wait for encoders at a time.
    package var encodingLimit = 256
    /// Questions that are kept of each key, to measure recall with; 0 keeps none.
    package var recordedQuestions = 512
    /// Candidates of one request for scores.
    package var maximumCandidates = 512
    /// Bytes that the files of a bundle may have.
    package var maximumBundleBytes: Int64 = 1 << 40
    /// Pending changes of a datastore that questions may count; a warning is given from half of it on.
    package var maximumPending: Int
    package var maximumK: Int
    /// Vectors or questions in one request.
    package var maximumBatch: Int
    /// How long running jobs may go on after a request to stop.
    package var shutdownGrace: Duration
    /// Told after each step of publishing; for fault tests.
    package var onPublishStep: @Sendable (PublishStep) -> Void

    package init(
        dataDirectory: URL, importRoots: [URL] = [], encoders: [EncoderEndpoint] = [],
        rerankers: [RerankerEndpoint] = [], indexReader: URL? = nil, searchThreads: Int = 2,
        searchQueueLimit: Int = 256,
        maximumPending: Int = 50_000, maximumK: Int = 1000, maximumBatch: Int = 1024,
        shutdownGrace: Duration = .seconds(20),
        onPublishStep: @escaping @Sendable (PublishStep) -> Void = { _ in }
    ) {
        self.dataDirectory = dataDirectory
        self.importRoots = importRoots
        self.encoders = encoders
        self.rerankers = rerankers
        self.indexReader = indexReader
        self.searchThreads = searchThreads
        self.searchQueueLimit = searchQueueLimit
        self.maximumPending = maximumPending
        self.maximumK = maximumK
        self.maximumBatch = maximumBatch
        self.shutdownGrace = shutdownGrace
        self.onPublishStep = onPublishStep
    }
}
