package import CaptionerClient
package import DatastoreCore
package import Foundation

extension CaptionerClient {
    /// Makes a datastore with one cosine key `text` and imports rows and vectors into it, to the end of the job.
    @discardableResult
    package func load(
        _ name: String, kind: DatastoreKind = .captions, dim: Int = 384, rows: URL, vectors: URL
    ) async throws -> JobInfo {
        _ = try await createDatastore(
            CreateDatastoreRequest(name: name, kind: kind, keys: [KeySpec(name: "text", dim: dim, metric: .cosine)]))
        return try await importAndWait(name, rows: rows, vectors: vectors)
    }

    /// Imports rows and vectors, to the end of the job.
    package func importAndWait(_ name: String, rows: URL, vectors: URL) async throws -> JobInfo {
        let job = try await importRows(file: rows, vectors: vectors, into: name)
        return try await waitForJob(job.id)
    }

    /// Loads one of the datastores that ship with the project.
    @discardableResult
    package func load(sample name: String) async throws -> JobInfo {
        let folder = TestData.samples.appending(path: name)
        return try await load(
            name, rows: folder.appending(path: "captions.ndjson"), vectors: folder.appending(path: "captions.f16.npy"))
    }

    /// Binds a domain to the latest version of one datastore.
    @discardableResult
    package func bind(_ domain: String, to datastore: String) async throws -> DomainInfo {
        try await setDomain(domain, to: SetDomainRequest(datastores: [DatastoreBinding(name: datastore)]))
    }

    /// The results of many vectors, asked for in requests of 64.
    package func results(
        _ vectors: Vectors, of domain: String, options: QueryOptions
    ) async throws -> [[QueryResult]] {
        var answers: [[QueryResult]] = []
        for start in stride(from: 0, to: vectors.count, by: 64) {
            let end = min(start + 64, vectors.count)
            let part = Array(vectors.values[start * vectors.dim..<end * vectors.dim])
            let answer = try await query(vectors: part, count: end - start, of: domain, options: options)
            answers += answer.answers.map { $0.results ?? [] }
        }
        return answers
    }
}
