import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// Questions that cannot be answered: each is refused by its own name, and the daemon answers the next.
struct BadQuestionTests {
    /// A question to one of the two domains, or candidates to be scored.
    struct Bad: Sendable {
        var path: String
        var body: String
        var code: ErrorCode

        static func dense(_ body: String, _ code: ErrorCode) -> Bad {
            Bad(path: "/v1/domains/dense/query", body: body, code: code)
        }

        static func sparse(_ body: String, _ code: ErrorCode) -> Bad {
            Bad(path: "/v1/domains/sparse/query", body: body, code: code)
        }

        static func score(_ body: String, _ code: ErrorCode) -> Bad {
            Bad(path: "/v1/score", body: body, code: code)
        }
    }

    private static let many = Array(repeating: "[1, 0, 0]", count: 513).joined(separator: ", ")

    private static let bad: [Bad] = [
        .dense(#"{"query": {"vectors": []}, "merge": {}}"#, .noVectors),
        .dense(#"{"query": {"vectors": [[1, 0, 0], [1, 0]]}, "merge": {}}"#, .vectorsRagged),
        .dense(#"{"query": {"vectors": [[1, 0], [0, 1]]}, "merge": {}}"#, .vectorDimMismatch),
        .dense(#"{"query": {"vectors": [[1, 0, 0], [0, 0, 0]]}, "merge": {}}"#, .vectorZero),
        .dense(#"{"query": {"terms": []}}"#, .noTerms),
        .dense(#"{"query": {"terms": [{"vector": [1, 0, 0]}, {"vector": [1, 0]}]}}"#, .vectorDimMismatch),
        .dense(#"{"query": {"terms": [{"vector": [1, 0, 0], "weight": "NaN"}]}}"#, .weightNotFinite),
        .dense(#"{"query": {"terms": [{"vector": [1, 0, 0], "weight": 1e300}]}}"#, .weightNotFinite),
        .dense(#"{"query": {"terms": [{"vector": [1, 0, 0], "weight": -Infinity}]}}"#, .weightNotFinite),
        .dense(
            #"{"query": {"terms": [{"vector": [1, 0, 0]}, {"vector": [1, 0, 0], "weight": -1}]}}"#, .termsCancel),
        .dense(#"{"query": {"terms": [{"entry": 999}]}}"#, .unknownEntry),
        .dense(#"{"query": {"entry": {"external_id": "nobody"}}}"#, .unknownEntry),
        .dense(#"{"query": {"vector": [1, 0, 0]}, "using": "nothing"}"#, .unknownKey),
        .dense(#"{"query": {"vector": [1, 0, 0]}, "using": "lexical"}"#, .unknownKey),
        .dense(#"{"query": {"lexical": {"dog": 1}}}"#, .unknownKey),
        .dense(#"{"query": {"vector": [1, 0, 0], "lexical": {"dog": 1}}}"#, .unknownKey),
        .dense(
            #"{"query": {"vector": [1, 0, 0]}, "rerank": {"reranker": "nobody", "query": "a"}}"#,
            .rerankerNotConfigured),
        .sparse(#"{"query": {"lexical": {"dog": 1, "unicorn": 1}}}"#, .unknownTerm),
        .sparse(#"{"query": {"lexical": {"indices": [0, 4], "values": [1, 1]}}}"#, .unknownTerm),
        .sparse(#"{"query": {"lexical": {"dog": "NaN"}}}"#, .weightNotFinite),
        .sparse(#"{"query": {"lexical": {"dog": NaN}}}"#, .weightNotFinite),
        .sparse(#"{"query": {"lexical": {"dog": null}}}"#, .invalidValue),
        .sparse(#"{"query": {"lexical": {"dog": 1e300}}}"#, .weightNotFinite),
        .sparse(#"{"query": {"lexical": {}}}"#, .noTerms),
        .sparse(#"{"query": {"lexical": {"indices": [], "values": []}}}"#, .noTerms),
        .sparse(#"{"query": {"lexical": {"indices": [1, 2], "values": [1]}}}"#, .sparseRagged),
        .sparse(#"{"query": {"lexical": {"indices": [1, 1], "values": [1, 2]}}}"#, .duplicateTerm),
        .sparse(#"{"query": {"lexical": {"dog": 1}}, "using": "nothing"}"#, .unknownKey),
        .sparse(#"{"query": {"vector": [1, 0, 0]}}"#, .unknownKey),
        .score(#"{"query": {"vector": [1, 0, 0]}, "vectors": []}"#, .noCandidates),
        .score(#"{"query": {"vector": [1, 0, 0]}, "texts": [], "domain": "dense"}"#, .noCandidates),
        .score(#"{"query": {"vector": [1, 0, 0]}}"#, .noCandidates),
        .score(#"{"query": {"vector": [1, 0, 0]}, "vectors": [\#(many)]}"#, .tooManyCandidates),
        .score(#"{"query": {"vector": [1, 0, 0]}, "vectors": [[1, 0, 0]], "temperature": 0}"#, .temperatureOutOfRange),
        .score(
            #"{"query": {"vector": [1, 0, 0]}, "vectors": [[1, 0, 0]], "temperature": -0.1}"#, .temperatureOutOfRange),
        .score(#"{"query": {"vector": [1, 0, 0]}, "vectors": [[1, 0, 0], [1, 0]]}"#, .vectorsRagged),
        .score(#"{"query": {"vector": [1, 0, 0]}, "vectors": [[1, 0]]}"#, .vectorDimMismatch),
        .score(#"{"query": {"vector": [0, 0, 0]}, "vectors": [[1, 0, 0]]}"#, .vectorZero),
        .score(#"{"query": {"vector": [1, 0, 0]}, "vectors": [[0, 0, 0]]}"#, .vectorZero),
        .score(#"{"query": {"vector": [1, 0, 0]}, "texts": ["a"], "domain": "nowhere"}"#, .unknownDomain),
        .score(#"{"query": {"vector": [1, 0, 0]}, "texts": ["a"], "domain": "dense"}"#, .encoderNotConfigured),
        .score(#"{"query": {"vector": [1, 0, 0]}, "texts": ["a"]}"#, .missingField),
    ]

    @Test func eachIsRefusedByItsName() async throws {
        let directory = try TemporaryDirectory()
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        try await load(daemon, directory)
        func answers() async throws -> [QueryAnswer] {
            [
                try await daemon.ask(QueryRequest(query: .vector([1, 0, 0])), of: "dense"),
                try await daemon.ask(QueryRequest(query: .lexical(.words(["dog": 1]))), of: "sparse"),
            ]
        }
        let before = try await answers()
        #expect(before.map(\.results.count) == [3, 2])
        for bad in Self.bad {
            let reply = try await daemon.send("POST", bad.path, Data(bad.body.utf8))
            #expect(reply.code == bad.code.rawValue, "\(bad.body.prefix(200)): \(reply)")
            #expect((400..<500).contains(reply.status), "\(bad.body.prefix(200)): \(reply)")
            #expect(try await answers() == before)
        }
        // In a batch each has its error in its place, and the others their answers.
        let unreadable: [ErrorCode] = [.noVectors, .vectorsRagged, .weightNotFinite]
        let wellFormed = Self.bad.filter { $0.path == "/v1/domains/dense/query" && !unreadable.contains($0.code) }
        let good = #"{"query": {"vector": [1, 0, 0]}}"#
        let body = wellFormed.map { "\($0.body), \(good)" }.joined(separator: ", ")
        let reply = try await daemon.send(
            "POST", "/v1/domains/dense/query/batch", Data("{\"queries\": [\(body)]}".utf8))
        if let batch = try? reply.value(QueryBatchAnswer.self) {
            for (number, bad) in wellFormed.enumerated() {
                #expect(batch.answers[2 * number].error?.code == bad.code.rawValue, "\(bad.body)")
                #expect(batch.answers[2 * number + 1].results == before[0].results)
            }
        } else {
            Issue.record("\(reply)")
        }
        #expect(try await daemon.stop() == 0)
    }

    /// Three entries with vectors, and three with weights of four words.
    private func load(_ daemon: Daemon, _ directory: TemporaryDirectory) async throws {
        let dense = KeySpec(name: "text", dim: 3, metric: .cosine)
        let sparse = KeySpec(name: "lexical", terms: 4, pruning: SparsePruning(threshold: 0))
        for (name, key, rows) in [
            ("dense", dense, ["\"vector\": [1, 0, 0]", "\"vector\": [0, 1, 0]", "\"vector\": [1, 1, 1]"]),
            (
                "sparse", sparse,
                [
                    "\"vectors\": {\"lexical\": {\"dog\": 1}}", "\"vectors\": {\"lexical\": {\"cat\": 1}}",
                    "\"vectors\": {\"lexical\": {\"dog\": 0.5, \"bus\": 1}}",
                ]
            ),
        ] {
            _ = try await daemon.client.createDatastore(
                CreateDatastoreRequest(name: name, kind: .captions, keys: [key]))
            if key.kind == .sparse {
                let reply = try await daemon.send(
                    "PUT", "/v1/datastores/\(name)/keys/lexical/vocabulary", Data("bus\ncat\ndog\nred\n".utf8),
                    type: "text/plain")
                #expect(reply.status < 300, "\(reply)")
            }
            let lines = rows.enumerated().map { "{\"id\": \"\(name)-\($0)\", \"text\": \"text \($0)\", \($1)}\n" }
            let file = try directory.write("\(name).ndjson", Data(lines.joined().utf8))
            let job = try await daemon.succeed(daemon.client.importRows(file: file, into: name))
            #expect(job.counts.accepted == 3, "\(job)")
            try await daemon.client.bind(name, to: name)
        }
    }
}
