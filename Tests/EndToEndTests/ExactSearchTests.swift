import DatastoreCore
import DatastoreImport
import Foundation
import TestSupport
import Testing

/// The daemon's answers are those of exact search: same ids, same order, same scores.
struct ExactSearchTests {
    static let k = 10

    @Test(arguments: TestData.captionSamples)
    func everyHeldOutQuestionOfASampleGetsItsExactNeighbours(name: String) async throws {
        let folder = TestData.samples.appending(path: name)
        try await check(
            rows: folder.appending(path: "captions.ndjson"), vectors: folder.appending(path: "captions.f16.npy"),
            queries: folder.appending(path: "questions.f16.npy"))
    }

    @Test(.withRealData, arguments: ["coco50k", "flickr8k", "rsitmd20k"])
    func everyQueryOfARealSetGetsItsExactNeighbours(name: String) async throws {
        let folder = TestData.shared.appending(path: "sets")
        try await check(
            rows: folder.appending(path: "\(name).jsonl.gz"), vectors: folder.appending(path: "\(name).f16.npy"),
            queries: folder.appending(path: "\(name).queries.f16.npy"))
    }

    @Test(.withRealData)
    func realImagesFindTheirCaptionsAsOftenAsExactSearchDoes() async throws {
        let folder = TestData.shared.appending(path: "clip")
        let answers = try await check(
            rows: folder.appending(path: "texts.b32.jsonl.gz"), vectors: folder.appending(path: "texts.b32.f16.npy"),
            queries: folder.appending(path: "images.b32.f16.npy"))
        let relevant = try Self.relevantTexts(folder.appending(path: "images.b32.jsonl.gz"))
        #expect(relevant.count == answers.count)
        let asked = zip(relevant, answers).filter { !$0.0.isEmpty }
        #expect(asked.count == 1387)
        // Hits that NumPy counts for the same files with ties by row: 0.636, 0.861 and 0.924 of the images. (The data's
        // README has 0.638, 0.860 and 0.926: equal texts tie, and it does not say how it broke ties.)
        for (depth, expected) in [(1, 882), (5, 1194), (10, 1282)] {
            let hits = asked.count { relevant, results in
                results.prefix(depth).contains { relevant.contains($0.externalID ?? "") }
            }
            #expect(hits == expected, "at \(depth)")
        }
    }

    @Test(.withRealData)
    func vectorsThatAreNotNormalisedAreComparedByCosine() async throws {
        // Norms of this file are 8 to 13; the same names with normalised vectors answer alike.
        let names = TestData.shared.appending(path: "clip/lvis1203.b32.jsonl.gz")
        try await check(
            rows: names, vectors: TestData.shared.appending(path: "original/lvis_v1_clip_a+cname.npy"),
            queries: TestData.shared.appending(path: "clip/images.b32.f16.npy"))
    }

    /// Imports, asks every query and compares with brute force in double.
    @discardableResult
    private func check(rows: URL, vectors: URL, queries: URL) async throws -> [[QueryResult]] {
        let directory = try TemporaryDirectory()
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        let stored = try Vectors(npy: vectors)
        let asked = try Vectors(npy: queries)
        let job = try await daemon.client.load("store", dim: stored.dim, rows: rows, vectors: vectors)
        try #require(job.state == .succeeded, "\(job)")
        #expect(job.counts.accepted == stored.count && job.counts.seen == stored.count)
        try await daemon.client.bind("domain", to: "store")

        let expected = bruteForce(stored, asked, k: Self.k)
        let answers = try await daemon.client.results(asked, of: "domain", options: QueryOptions(k: Self.k))
        #expect(answers.count == asked.count)
        for (query, (answer, expected)) in zip(answers, expected).enumerated() {
            // Entries get their ids in the order of the rows, from 1.
            #expect(answer.map(\.id) == expected.map { Int64($0.row + 1) }, "query \(query)")
            for (result, neighbour) in zip(answer, expected) {
                #expect(abs(result.score - neighbour.score) < 1e-5, "query \(query)")
            }
        }
        #expect(try await daemon.stop() == 0)
        return answers
    }

    /// The texts of each image, by their external ids; none where it has none.
    static func relevantTexts(_ file: URL) throws -> [Set<String>] {
        struct Row: Decodable { var relevant: [JSONValue]? }
        var rows: [Set<String>] = []
        let lines = LineReader(source: try ByteSource(path: file.path))
        while let row = try lines.withNextLine({ try WireJSON.decode(Row.self, from: Data($0.bytes)) }) {
            rows.append(
                Set(
                    (row.relevant ?? []).compactMap { value in
                        switch value {
                        case .string(let id): id
                        case .integer(let id): String(id)
                        default: nil
                        }
                    }))
        }
        return rows
    }
}
