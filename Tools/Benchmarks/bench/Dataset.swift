import ArgumentParser
import DatastoreCore
import DatastoreImport
import Foundation
import Logging
import RetrievalEngine
import VectorIndex

/// What a datastore is made of, and what it is asked: files to import, and questions.
struct Dataset: Sendable {
    static let metric = Metric.cosine

    /// Of the datastore and of its domain.
    let name: String
    let rows: Int
    let dim: Int
    let rowsFile: URL
    let vectorsFile: URL
    let questions: Questions

    /// - Parameters:
    ///   - sets: the folder of named sets.
    ///   - folder: made files go here, and named ones are linked here: the daemon imports below one folder only.
    init(_ source: DatasetSource, sets: URL, seed: UInt64, folder: URL) throws {
        switch source {
        case .made(let rows, let dim):
            name = "made-\(rows)x\(dim)"
            let files = try DatasetFiles(name: name, rows: rows, dim: dim, seed: seed, folder: folder)
            (self.rows, self.dim, rowsFile, vectorsFile) = (rows, dim, files.rowsFile, files.vectorsFile)
            questions = Questions(dim: dim, seed: seed)
        case .named(let name):
            self.name = name
            func place(_ ending: String) throws -> URL {
                let (from, to) = (sets.appending(path: "\(name)\(ending)"), folder.appending(path: "\(name)\(ending)"))
                try FileManager.default.copyItem(at: from, to: to)
                return to
            }
            rowsFile = try place(".jsonl.gz")
            vectorsFile = try place(".f16.npy")
            let vectors = try NumpyReader(path: vectorsFile.path)
            (rows, dim) = (vectors.rows, vectors.dim)
            // Without questions of its own it is asked with its first vectors.
            let asked = try? NumpyReader(path: sets.appending(path: "\(name).queries.f16.npy").path)
            questions = try Questions(reading: asked ?? vectors)
        }
    }
}

/// A set by its name, or the shape of one that is made.
enum DatasetSource: ExpressibleByArgument, CustomStringConvertible {
    case named(String)
    case made(rows: Int, dim: Int)

    init?(argument: String) {
        let parts = argument.split(separator: "x", omittingEmptySubsequences: false)
        if parts.count == 2, let rows = Int(parts[0]), let dim = Int(parts[1]), rows > 0, dim > 0 {
            self = .made(rows: rows, dim: dim)
        } else {
            guard !argument.isEmpty, !argument.contains("/") else { return nil }
            self = .named(argument)
        }
    }

    var description: String {
        switch self {
        case .named(let name): name
        case .made(let rows, let dim): "\(rows)x\(dim)"
        }
    }
}

/// The engine in this process, over a copy of the daemon's directory: what is below HTTP.
final class BareEngine: Sendable {
    private let engine: CapstanEngine
    private let running: Task<Void, any Error>

    /// - Parameter directory: nobody else's; the copy of one that no daemon has open.
    init(directory: URL, threads: Int) async throws {
        let engine = try CapstanEngine(
            EngineConfiguration(dataDirectory: directory, searchThreads: threads),
            logger: .init(label: "bench") { _ in
                SwiftLogNoOpLogHandler()
            })
        self.engine = engine
        running = Task { try await engine.run() }
        await engine.whenReady()
    }

    /// The version that a domain of one datastore answers from, and its dense key.
    func open(_ domain: String) throws -> (version: OpenVersion, key: KeyIndex) {
        guard let version = try engine.currentSnapshot.domain(domain).versions.first?.get(),
            case .dense(let key) = version.keys[0].index
        else { throw BenchmarkError("\(domain) has no dense key") }
        return (version, key)
    }

    func stop() async {
        running.cancel()
        _ = await running.result
    }
}
