import DatastoreCore
import VectorIndex

/// What the threads of each case do.
enum Workers {
    /// The search of one key and nothing else: the ground that everything else stands on.
    static func bare(_ key: KeyIndex, _ questions: Questions, k: Int) -> @Sendable () throws -> (Int) throws -> Void {
        let vectors = questions.vectors
        let wanted = min(k, key.count)
        return {
            { question in
                let query = KeyQuery(vectors[question][...], metric: Dataset.metric)
                let hits = try key.search(query, limit: k)
                guard hits.count == wanted else { throw BenchmarkError("got \(hits.count) hits, expected \(wanted)") }
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
}
