import DatastoreCore
import DatastoreStorage
import Foundation
import Logging
import RetrievalEngine
import ServiceLifecycle
import TestSupport
import Testing

/// A data directory and a folder of sources, in which real engines run one after the other.
struct EngineHarness {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
        try FileManager.default.createDirectory(at: sources, withIntermediateDirectories: true)
    }

    var data: URL { folder.file("data") }
    var sources: URL { folder.file("sources") }
    func file(_ name: String) -> URL { folder.file(name) }

    /// The layout of the data directory.
    var directory: DataDirectory { DataDirectory(root: data) }

    /// What engines are told unless a test says otherwise.
    var configuration: EngineConfiguration { EngineConfiguration(dataDirectory: data, importRoots: [sources]) }

    /// Runs an engine as a service, gives it to `body` once it is loaded, then stops it gracefully.
    func run<Value: Sendable>(
        _ configuration: EngineConfiguration? = nil, _ body: (CapstanEngine) async throws -> Value
    ) async throws -> Value {
        let engine = try await Self.open(configuration ?? self.configuration)
        let services = ServiceGroup(services: [engine], logger: Self.logger)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await services.run() }
            await engine.whenReady()
            let result: Result<Value, any Error>
            do {
                result = .success(try await body(engine))
            } catch {
                result = .failure(error)
            }
            await services.triggerGracefulShutdown()
            try await group.waitForAll()
            return try result.get()
        }
    }

    /// An engine before lets go of its lock when its last reference goes, which may be a moment after it stopped.
    private static func open(_ configuration: EngineConfiguration) async throws -> CapstanEngine {
        for _ in 0..<1000 {
            do {
                return try CapstanEngine(configuration, logger: logger)
            } catch let error as DatastoreError where error.code == .dataDirectoryInUse {
                try await Task.sleep(for: .milliseconds(2))
            }
        }
        return try CapstanEngine(configuration, logger: logger)
    }

    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

/// One row of an import.
struct TestRow: Sendable, Equatable {
    var id: String?
    var text: String
    var imageID: String?
    var vector: [Float]
    var more: [String: JSONValue] = [:]

    init(_ text: String, _ vector: [Float], id: String? = nil, imageID: String? = nil, more: [String: JSONValue] = [:])
    {
        self.id = id
        self.text = text
        self.imageID = imageID
        self.vector = vector
        self.more = more
    }

    func json(withVector: Bool = true) throws -> Data {
        var object = more
        object["text"] = .string(text)
        if let id { object["id"] = .string(id) }
        if let imageID { object["image_id"] = .string(imageID) }
        if withVector { object["vector_base64"] = .string(QueryVectors.base64(vector)) }
        return try WireJSON.encode(JSONValue.object(object)) + Data("\n".utf8)
    }

    static func ndjson(_ rows: [TestRow], withVectors: Bool = true) throws -> Data {
        try rows.reduce(into: Data()) { $0 += try $1.json(withVector: withVectors) }
    }

    /// Rows that differ in all they have; vectors around a few centres, as real ones are.
    static func several(_ count: Int, dim: Int = 8, seed: UInt64, prefix: String = "caption") -> [TestRow] {
        let vectors = Vectors(clustered: count, dim: dim, seed: seed)
        return (0..<count).map {
            TestRow("\(prefix) \($0)", vectors[$0], id: "\(prefix)-\($0)", imageID: "\(prefix)-image-\($0 / 5)")
        }
    }
}

extension CapstanEngine {
    func create(
        _ name: String, dim: Int = 8, metric: Metric = .cosine, encoder: Encoder? = nil, plan: IndexPlan? = nil,
        recallGate: Double? = nil
    ) async throws {
        _ = try await createDatastore(
            CreateDatastoreRequest(
                name: name, kind: .captions, keys: [KeySpec(name: "text", dim: dim, metric: metric, encoder: encoder)],
                plan: plan, recallGate: recallGate))
    }

    /// Writes the files below the import root and submits them.
    func submit(
        _ rows: Data, vectors: Data? = nil, into datastore: String, options: ImportOptions = ImportOptions(),
        rowsExtension: String = "ndjson"
    ) async throws -> JobInfo {
        let root = try #require(configuration.importRoots.first)
        let name = UUID().uuidString
        let rowsFile = root.appending(path: "\(name).\(rowsExtension)")
        try rows.write(to: rowsFile)
        var vectorsFile: URL?
        if let vectors {
            let file = root.appending(path: "\(name).npy")
            try vectors.write(to: file)
            vectorsFile = file
        }
        return try await submitImport(
            ImportRequest(rowsPath: rowsFile.path, vectorsPath: vectorsFile?.path, options: options), into: datastore)
    }

    /// The job as it is once it has ended.
    func ended(_ job: JobInfo) async throws -> JobInfo {
        while true {
            let now = try await self.job(job.id)
            if now.state.isFinal { return now }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Imports rows and waits; the job must succeed.
    @discardableResult
    func importRows(
        _ rows: [TestRow], into datastore: String, build: Bool = true,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> JobInfo {
        let job = try await ended(
            submit(try TestRow.ndjson(rows), into: datastore, options: ImportOptions(build: build)))
        #expect(job.state == .succeeded, "\(String(describing: job.error))", sourceLocation: sourceLocation)
        return job
    }

    /// Builds a version of what is pending and waits; the job must succeed.
    @discardableResult
    func build(_ datastore: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> JobInfo {
        let job = try await ended(submitBuild(of: datastore))
        #expect(job.state == .succeeded, "\(String(describing: job.error))", sourceLocation: sourceLocation)
        return job
    }

    /// Imports a datastore that ships with the project, as it is.
    func importSample(_ name: String) async throws {
        try await create(name, dim: 384)
        let folder = TestData.samples.appending(path: name)
        let job = try await ended(
            submit(
                Data(contentsOf: folder.appending(path: "captions.ndjson")),
                vectors: Data(contentsOf: folder.appending(path: "captions.f16.npy")), into: name))
        try #require(job.state == .succeeded, "\(String(describing: job.error))")
    }

    /// Binds a domain: `name`, or `name@version`.
    @discardableResult
    func bind(
        _ domain: String, _ datastores: String..., defaults: QueryDefaults = QueryDefaults()
    ) async throws -> DomainInfo {
        try await setDomain(
            domain,
            SetDomainRequest(datastores: datastores.map { try DatastoreBinding(argument: $0) }, defaults: defaults),
            precondition: .none)
    }

    func ask(_ domain: String, _ vector: [Float], _ options: QueryOptions = QueryOptions()) async throws -> QueryAnswer
    {
        try await answer(QueryVectors(values: vector, count: 1), of: domain, options: options)
    }
}

/// Expects that `body` throws a `DatastoreError` with `code`, and returns it.
@discardableResult
func expectError<Value>(
    _ code: ErrorCode, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Value
) async -> DatastoreError? {
    do {
        let value = try await body()
        Issue.record("expected \(code.rawValue), got \(value)", sourceLocation: sourceLocation)
    } catch let error as DatastoreError {
        #expect(error.code == code, "\(error.detail)", sourceLocation: sourceLocation)
        return error
    } catch {
        Issue.record("expected \(code.rawValue), got \(error)", sourceLocation: sourceLocation)
    }
    return nil
}
