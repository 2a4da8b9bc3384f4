import DatastoreCore
import DatastoreImport
import Foundation
import VectorIndex

/// How a vector goes over the wire.
enum Encoding: String, CaseIterable, Sendable, Codable {
    case json
    case base64
    case raw
}

/// The query vectors, in every form that something here is asked with, made before any clock runs.
struct Questions: Sendable {
    static let count = 1000

    let dim: Int
    let vectors: [[Float]]

    /// The first vectors of a file, over again where it has fewer.
    init(reading file: NumpyReader) throws {
        dim = file.dim
        var read: [[Float]] = []
        while read.count < Self.count, let vector = try file.next() { read.append(vector) }
        guard !read.isEmpty else { throw BenchmarkError("\(file.name) has no vectors") }
        vectors = (0..<Self.count).map { read[$0 % read.count] }
    }

    /// - Parameter seed: that of the rows: the questions lie near the same clusters.
    init(dim: Int, seed: UInt64) {
        self.dim = dim
        var source = ClusteredVectors(dim: dim, seed: seed).questions(seed: seed)
        vectors = (0..<Self.count).map { _ in
            var vector = [Float](repeating: 0, count: dim)
            vector.withUnsafeMutableBufferPointer { _ = source.next(into: $0) }
            return vector
        }
    }

    /// Whole HTTP requests, head and body, ready to send.
    func requests(_ encoding: Encoding, domain: String, k: Int, address: String) throws -> [[UInt8]] {
        try requests(encoding, domain: domain, options: QueryOptions(k: k), address: address)
    }

    /// - Parameter options: of raw ones `k` and `includePending` only.
    func requests(
        _ encoding: Encoding, domain: String, options: QueryOptions, address: String
    ) throws -> [[UInt8]] {
        try vectors.map { vector in
            let path = "/v1/domains/\(domain)/query"
            switch encoding {
            case .json:
                let body = try WireJSON.encode(QueryRequest(query: .vector(vector), options: options))
                return Self.post(path, "application/json", body, address)
            case .base64:
                let query = QueryInput.vectorBase64(QueryVectors.base64(vector))
                return Self.post(
                    path, "application/json", try WireJSON.encode(QueryRequest(query: query, options: options)), address
                )
            case .raw:
                var query = "?k=\(options.k ?? 4)"
                if let pending = options.includePending { query += "&include_pending=\(pending)" }
                return Self.post(
                    path + query, "application/octet-stream", QueryVectors.littleEndian(vector), address)
            }
        }
    }

    static func get(_ path: String, address: String) -> [UInt8] {
        Array("GET \(path) HTTP/1.1\r\nHost: \(address)\r\n\r\n".utf8)
    }

    private static func post(_ path: String, _ type: String, _ body: Data, _ address: String) -> [UInt8] {
        let head =
            "POST \(path) HTTP/1.1\r\nHost: \(address)\r\nContent-Type: \(type)\r\nContent-Length: \(body.count)\r\n\r\n"
        return Array(head.utf8) + body
    }
}
