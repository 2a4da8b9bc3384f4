import CapstanServer
import DatastoreCore
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import RetrievalEngine
import Synchronization
import TestSupport
import Testing

/// A real engine in a folder of its own behind the real routes. Every answer is held against `openapi.yaml`.
struct TestServer: Sendable {
    let directory: TemporaryDirectory
    let client: any TestClientProtocol
    private let engine: RunningEngine

    /// Runs `body` against a server that is ready, or one that still loads.
    ///
    /// - Parameters:
    ///   - setup: `.router` sends requests to the routes, `.live` over a socket.
    ///   - directory: of an earlier server, to start on what that one left.
    static func run<Value: Sendable>(
        _ setup: TestingSetup = .router, directory: TemporaryDirectory? = nil, importRoots: [URL] = [],
        configuration: ServerConfiguration = ServerConfiguration(), isLoading: Bool = false,
        _ body: @escaping @Sendable (TestServer) async throws -> Value
    ) async throws -> Value {
        let directory = try directory ?? TemporaryDirectory()
        let logger = Logger.quiet
        let engine = RunningEngine(
            try CapstanEngine(
                EngineConfiguration(dataDirectory: directory.file("data"), importRoots: importRoots), logger: logger))
        let application = buildApplication(engine: engine.engine, configuration: configuration, logger: logger)
        do {
            if !isLoading { await engine.start() }
            let value = try await application.test(setup) { client in
                try await body(TestServer(directory: directory, client: client, engine: engine))
            }
            await engine.stop()
            return value
        } catch {
            await engine.stop()
            throw error
        }
    }

    /// Ends the loading.
    func finishLoading() async { await engine.start() }

    /// Where the daemon keeps its files.
    var dataDirectory: URL { directory.file("data") }

    var port: Int {
        get throws { try #require(client.port, "only a live server has a port") }
    }

    // MARK: Requests

    /// Sends a request, and holds the answer against the document.
    @discardableResult
    func send(
        _ method: HTTPRequest.Method, _ path: String, _ body: Body = .none, headers: [String: String] = [:],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> Answer {
        var fields = HTTPFields()
        if let type = body.contentType { fields[.contentType] = type }
        for (name, value) in headers { fields[try #require(HTTPField.Name(name))] = value }
        let response = try await client.execute(
            uri: path, method: method, headers: fields, body: body.data.map { ByteBuffer(bytes: $0) })
        let answer = Answer(
            status: response.status.code, headers: response.headers, body: Data(response.body.readableBytesView))
        for fault in try OpenAPI.document().faults(of: answer, to: method, path) {
            Issue.record("\(method) \(path): \(fault)", sourceLocation: sourceLocation)
        }
        return answer
    }

    func get(_ path: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> Answer {
        try await send(.get, path, sourceLocation: sourceLocation)
    }

    func post(
        _ path: String, _ body: Body = .none, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> Answer {
        try await send(.post, path, body, sourceLocation: sourceLocation)
    }

    func put(
        _ path: String, _ body: Body = .none, headers: [String: String] = [:],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> Answer {
        try await send(.put, path, body, headers: headers, sourceLocation: sourceLocation)
    }

    // MARK: Fixtures

    /// Makes a datastore with one key `text`.
    func create(_ name: String, kind: String = "captions", dim: Int = 4, key: String = "") async throws {
        let answer = try await post(
            "/v1/datastores",
            .json(
                """
                {"name": "\(name)", "kind": "\(kind)",
                 "keys": [{"name": "text", "dim": \(dim), "metric": "cosine"\(key)}]}
                """))
        try #require(answer.status == 201, "\(answer)")
    }

    /// Uploads and waits for the end of the job.
    @discardableResult
    func importing(_ body: Body, into datastore: String, options: String = "") async throws -> JobInfo {
        let answer = try await post("/v1/datastores/\(datastore)/imports\(options)", body)
        try #require(answer.status == 202, "\(answer)")
        return try await waitForJob(of: answer)
    }

    /// Waits for the end of the job that an answer names.
    ///
    /// A job has succeeded when its version is published; what was pending and staged goes a moment later.
    func waitForJob(of answer: Answer) async throws -> JobInfo {
        let location = try #require(answer.headers[.location])
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            let job = try await get(location).decode(JobInfo.self)
            if job.state.isFinal, try !staged().contains(job.id) { return job }
            try #require(ContinuousClock.now < deadline, "the job does not end: \(job)")
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Jobs that have files in the staging folder.
    func staged() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: dataDirectory.appending(path: "staging").path).sorted()
    }

    /// A datastore with a version, made of rows that carry their vectors.
    func load(_ name: String, rows: [String] = Rows.four, dim: Int = 4) async throws {
        try await create(name, dim: dim)
        let job = try await importing(.rows(rows), into: name)
        try #require(job.state == .succeeded, "\(job)")
    }

    /// One of the datastores that ship with the project.
    func load(sample: String) async throws {
        try await create(sample, dim: 384)
        let folder = TestData.samples.appending(path: sample)
        let job = try await importing(
            .multipart([
                ("rows", try Data(contentsOf: folder.appending(path: "captions.ndjson"))),
                ("vectors", try Data(contentsOf: folder.appending(path: "captions.f16.npy"))),
            ]), into: sample)
        try #require(job.state == .succeeded, "\(job)")
    }

    @discardableResult
    func bind(_ domain: String, to datastores: String...) async throws -> DomainInfo {
        let list = datastores.map { #"{"name": "\#($0)"}"# }.joined(separator: ", ")
        return try await put("/v1/domains/\(domain)", .json(#"{"datastores": [\#(list)]}"#)).decode(DomainInfo.self)
    }

    /// Everything a client can see of datastores and domains, the jobs, and what waits in the staging folder.
    func state() async throws -> [String: Data] {
        var paths = ["/v1/datastores?limit=1000", "/v1/domains?limit=1000", "/v1/jobs?limit=1000"]
        for item in try await get(paths[0]).decode(Page<DatastoreInfo>.self).items {
            paths.append("/v1/datastores/\(item.name)/versions?limit=1000")
        }
        var state: [String: Data] = [:]
        for item in try await get(paths[1]).decode(Page<DomainInfo>.self).items {
            paths.append("/v1/domains/\(item.domain)/revisions?limit=1000")
            let dim = item.datastores[0].name == "wide" ? 8 : 4
            let question = "/v1/domains/\(item.domain)/query?k=1000"
            let vector = Data(repeating: 0x3E, count: dim * 4)
            state[question] = try await post(question, .raw(vector)).body
        }
        for path in paths { state[path] = try await get(path).body }
        state["staging"] = Data(try staged().joined(separator: " ").utf8)
        return state
    }

    /// What most tests ask: `tiny` (dim 4) in two versions, bound to `street`; `wide` (dim 8); `empty`, without a
    /// version; `waiting`, with rows that are in no version yet.
    func loadFixtures() async throws {
        try await load("tiny")
        try await importing(.rows(Rows.more), into: "tiny")
        try await bind("street", to: "tiny")
        try await load("wide", rows: [#"{"id": "w", "text": "wide", "vector": [1, 2, 3, 4, 5, 6, 7, 8]}"#], dim: 8)
        try await create("empty")
        try await create("waiting")
        try await importing(.rows(Rows.four), into: "waiting", options: "?build=false")
    }
}

/// The engine, and the task that runs it.
final class RunningEngine: Sendable {
    let engine: CapstanEngine
    private let task = Mutex<Task<Void, any Error>?>(nil)

    init(_ engine: CapstanEngine) {
        self.engine = engine
    }

    func start() async {
        task.withLock { [engine] task in
            if task == nil { task = Task { try await engine.run() } }
        }
        await engine.whenReady()
    }

    /// Runs it when it did not run yet: it closes what it opened at the end of its run only.
    func stop() async {
        await start()
        let task = task.withLock { $0 }
        task?.cancel()
        _ = await task?.result
    }
}

/// What a request carries.
enum Body: Sendable {
    case none
    case json(String)
    case raw(Data)
    case rows([String])
    case gzip(Data)
    case other(String?, Data)

    static func floats(_ values: [Float]) -> Body { .raw(littleEndian(values)) }

    static func multipart(_ parts: [(name: String, data: Data)], boundary: String = "xyz") -> Body {
        .other("multipart/form-data; boundary=\(boundary)", Multipart.encode(parts, boundary: boundary))
    }

    var contentType: String? {
        switch self {
        case .none: nil
        case .json: "application/json"
        case .raw: "application/octet-stream"
        case .rows: "application/x-ndjson"
        case .gzip: "application/gzip"
        case .other(let type, _): type
        }
    }

    var data: Data? {
        switch self {
        case .none: nil
        case .json(let text): Data(text.utf8)
        case .rows(let rows): Data((rows.joined(separator: "\n") + "\n").utf8)
        case .raw(let data), .gzip(let data), .other(_, let data): data
        }
    }
}

func littleEndian(_ values: [Float]) -> Data {
    values.map(\.bitPattern.littleEndian).withUnsafeBytes { Data($0) }
}

/// Rows of dim 4.
enum Rows {
    static let four = [
        #"{"id": "a", "image_id": "1", "text": "a man rides a horse", "origin": "human", "vector": [1, 0, 0, 0]}"#,
        #"{"id": "b", "image_id": "1", "text": "a horse with a rider", "vector": [0.9, 0.1, 0, 0]}"#,
        #"{"id": "c", "image_id": "2", "text": "a bowl of soup", "lang": "en", "vector": [0, 1, 0, 0]}"#,
        #"{"id": "d", "image_id": "3", "text": "a bowl of soup", "payload": {"year": 1999}, "vector": [0, 0, 1, 0]}"#,
    ]
    static let more = [#"{"id": "e", "image_id": "4", "text": "a red bus", "vector": [0, 0, 0, 1]}"#]
}

enum Multipart {
    static func encode(_ parts: [(name: String, data: Data)], boundary: String = "xyz") -> Data {
        var body = Data()
        for part in parts {
            body += Data(
                """
                --\(boundary)\r\nContent-Disposition: form-data; name="\(part.name)"; filename="\(part.name)"\r\n\
                Content-Type: application/octet-stream\r\n\r\n
                """.utf8)
            body += part.data + Data("\r\n".utf8)
        }
        return body + Data("--\(boundary)--\r\n".utf8)
    }
}

/// What came back.
struct Answer: Sendable, CustomStringConvertible {
    let status: Int
    let headers: HTTPFields
    let body: Data

    var text: String { String(decoding: body, as: UTF8.self) }
    var description: String { "\(status) \(text)" }

    func decode<Value: Decodable>(
        _ type: Value.Type, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Value {
        do {
            return try WireJSON.decode(type, from: body)
        } catch {
            Issue.record("expected \(type), got \(self)", sourceLocation: sourceLocation)
            throw error
        }
    }

    /// Checks that this is an error in the form all errors have.
    ///
    /// - Parameters:
    ///   - field: the field that `errors` must name.
    ///   - words: what `detail` must say.
    @discardableResult
    func expectProblem(
        _ status: Int, _ code: ErrorCode, field: String? = nil, saying words: [String] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Problem {
        #expect(headers[.contentType] == "application/problem+json", sourceLocation: sourceLocation)
        let problem = try decode(Problem.self, sourceLocation: sourceLocation)
        #expect(self.status == status, "\(self)", sourceLocation: sourceLocation)
        #expect(problem.status == status, "\(self)", sourceLocation: sourceLocation)
        #expect(problem.code == code.rawValue, "\(self)", sourceLocation: sourceLocation)
        #expect(problem.requestID != nil, sourceLocation: sourceLocation)
        #expect(problem.requestID == requestID, sourceLocation: sourceLocation)
        #expect(!problem.title.isEmpty, sourceLocation: sourceLocation)
        if let field {
            #expect(problem.errors.map(\.field) == [field], "\(self)", sourceLocation: sourceLocation)
            #expect(problem.detail.hasPrefix("\(field): "), "\(self)", sourceLocation: sourceLocation)
        }
        for word in words { #expect(problem.detail.contains(word), "\(self)", sourceLocation: sourceLocation) }
        return problem
    }

    var requestID: String? { HTTPField.Name("X-Request-ID").flatMap { headers[$0] } }
}

extension Logger {
    /// Hummingbird keeps the request's id in the logger's metadata, so the handler must be a real one.
    static var quiet: Logger {
        Logger(label: "test") { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = .critical
            return handler
        }
    }
}
