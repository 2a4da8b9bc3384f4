import DatastoreCore
import VectorIndex

/// What the threads of each case do.
enum Workers {
    /// FAISS's own search and nothing else: the ground that everything else stands on.
    static func faiss(_ index: VectorIndex, _ questions: Questions, k: Int)
        -> @Sendable () throws -> (Int) throws -> Void
    {
        // The questions have length 1 already, as FAISS wants them.
        let vectors = questions.vectors
        return {
            let scores = Room<Float>(k, 0)
            let rows = Room<Int64>(k, 0)
            return { question in
                try vectors[question].withUnsafeBufferPointer {
                    try index.search($0, scores: scores.buffer, rows: rows.buffer)
                }
            }
        }
    }

    /// The engine's search of one key: FAISS, then exact scores of its candidates from the original vectors.
    static func key(_ key: KeyIndex, _ questions: Questions, k: Int) -> @Sendable () throws -> (Int) throws -> Void {
        let vectors = questions.vectors
        return {
            { question in
                let query = KeyQuery(vectors[question][...], metric: Dataset.metric)
                let hits = try key.search(query, limit: k)
                guard hits.count == k else { throw BenchmarkError("got \(hits.count) hits, expected \(k)") }
            }
        }
    }

    /// One connection, over which requests go one after the other.
    static func http(
        _ requests: [[UInt8]], host: String, port: UInt16
    ) -> @Sendable () throws -> (Int) throws -> Void {
        {
            let connection = try LeanConnection(host: host, port: port)
            return { question in try connection.ask(requests[question % requests.count]) }
        }
    }

    private final class Room<Element> {
        let buffer: UnsafeMutableBufferPointer<Element>

        init(_ count: Int, _ value: Element) {
            buffer = .allocate(capacity: count)
            buffer.initialize(repeating: value)
        }

        deinit {
            buffer.deallocate()
        }
    }
}
