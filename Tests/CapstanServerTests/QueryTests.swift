import DatastoreCore
import Foundation
import TestSupport
import Testing

/// Questions that are answered.
struct QueryTests {
    @Test func allFormsOfAQuestionGiveEqualResults() async throws {
        try await TestServer.run { server in
            try await server.load(sample: "views-from-above")
            try await server.bind("above", to: "views-from-above")
            let path = "/v1/domains/above/query"
            let folder = TestData.samples.appending(path: "views-from-above")
            let questions = try Vectors(npy: folder.appending(path: "questions.f16.npy"))
            let rows = [0, 17, 119]
            let vectors = rows.map { questions[$0] }
            let json = vectors.map { "[\($0.map { "\($0)" }.joined(separator: ","))]" }
            let base64 = vectors.map { littleEndian($0).base64EncodedString() }

            var answers: [String: [[QueryResult]?]] = [:]
            for index in rows.indices {
                let single = [
                    "vector": try await server.post(
                        path, .json(#"{"query": {"vector": \#(json[index])}, "k": 7, "dedupe": "text"}"#)),
                    "base64": try await server.post(
                        path, .json(#"{"query": {"vector_base64": "\#(base64[index])"}, "k": 7, "dedupe": "text"}"#)),
                    "raw": try await server.post("\(path)?k=7&dedupe=text", .floats(vectors[index])),
                ]
                for (form, answer) in single {
                    let answer = try answer.decode(QueryAnswer.self)
                    #expect(answer.domain == "above")
                    #expect(answer.revision == 1)
                    answers[form, default: []].append(answer.results)
                }
                let one = try await server.post("\(path)?k=7&dedupe=text&count=1", .floats(vectors[index]))
                answers["raw, count 1", default: []] += try one.decode(QueryBatchAnswer.self).answers.map(\.results)
            }
            let queries = base64.map { #"{"query": {"vector_base64": "\#($0)"}, "k": 7, "dedupe": "text"}"# }
            let several = [
                "vectors": try await server.post(
                    path, .json(#"{"query": {"vectors": [\#(json.joined(separator: ","))]}, "k": 7, "dedupe": "text"}"#)
                ),
                "raw, count 3": try await server.post(
                    "\(path)?count=3&k=7&dedupe=text", .floats(Array(vectors.joined()))),
                "batch": try await server.post(
                    "\(path)/batch", .json(#"{"queries": [\#(queries.joined(separator: ","))]}"#)),
            ]
            for (form, answer) in several {
                let batch = try answer.decode(QueryBatchAnswer.self)
                #expect(batch.revision == 1)
                answers[form] = batch.answers.map(\.results)
            }

            let expected = try #require(answers["raw"])
            #expect(expected.map { $0?.count } == [7, 7, 7])
            #expect(answers.count == 7)
            for (form, results) in answers { #expect(results == expected, "\(form)") }
            let exact = bruteForce(
                try Vectors(npy: folder.appending(path: "captions.f16.npy")),
                Vectors(values: Array(vectors.joined()), dim: 384), k: 1)
            #expect(expected.map { $0?.first?.id } == exact.map { Int64($0[0].row + 1) })
        }
    }

    @Test func optionsOfTheQueryStringAreThoseOfTheBody() async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let path = "/v1/domains/street/query"
            for (json, options) in [
                (#""k": 2"#, "k=2"), (#""k": 9, "dedupe": "text""#, "k=9&dedupe=text"),
                (#""k": 9, "dedupe": "none""#, "k=9&dedupe=none"), (#""k": 9, "min_score": 0.5"#, "k=9&min_score=0.5"),
                (#""k": 9, "min_score": -2"#, "k=9&min_score=-2"),
                (#""exclude": {"image_ids": ["1"]}"#, "exclude_image_id=1"),
                (
                    #""exclude": {"image_ids": ["1", "a b", "2", "+"]}"#,
                    "exclude_image_id=1&exclude_image_id=a%20b&exclude_image_id=2&exclude_image_id=%2B"
                ),
                (#""prompt": true"#, "prompt=true"), (#""prompt": false"#, "prompt=false"), (#""k": null"#, ""),
            ] {
                let body = try await server.post(path, .json(#"{"query": {"vector": [1, 0.5, 0.2, 0.1]}, \#(json)}"#))
                let raw = try await server.post("\(path)?\(options)", .floats([1, 0.5, 0.2, 0.1]))
                #expect(body.status == 200, "\(json): \(body)")
                #expect(body.body == raw.body, "\(json) against \(options)")
            }
        }
    }

    @Test func anAnswerSaysWhatAnsweredAndWhyItIsShort() async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            func ask(_ options: String) async throws -> QueryAnswer {
                try await server.post("/v1/domains/street/query?\(options)", .floats([1, 0, 0, 0]))
                    .decode(QueryAnswer.self)
            }
            let all = try await ask("k=6")
            #expect(all.results.map(\.externalID) == ["a", "b", "c", "d", "e"])
            #expect(all.results.allSatisfy { $0.datastore == "tiny" && $0.version == 2 })
            #expect(all.results[0].score == 1)
            #expect(all.shortfall == Shortfall(requested: 6, returned: 5, reasons: [.tooFewEntries]))
            #expect(try await ask("k=5").shortfall == nil)
            #expect(try await ask("k=5").prompt == nil)
            #expect(try await ask("k=5&dedupe=text").shortfall?.reasons == [.deduplicated])
            #expect(try await ask("k=3&min_score=0.5").shortfall?.reasons == [.minScore])
            let excluded = try await ask("k=4&exclude_image_id=1&exclude_image_id=2")
            #expect(excluded.results.map(\.externalID) == ["d", "e"])
            #expect(excluded.shortfall == Shortfall(requested: 4, returned: 2, reasons: [.excluded]))
            let none = try await ask("k=1&min_score=2&prompt=true")
            #expect(none.results == [])
            #expect(none.prompt == nil)
            #expect(
                try await ask("k=2&prompt=true").prompt
                    == "Similar images show\n\na man rides a horse\n\na horse with a rider.\n\nThis image shows ")
        }
    }

    @Test func defaultsOfADomainHoldWhereAQuestionDoesNotSay() async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            try await server.put(
                "/v1/domains/street",
                .json(
                    """
                    {"datastores": [{"name": "tiny"}], "defaults": {"k": 3, "min_score": 0.5, "dedupe": "text"}}
                    """))
            func ask(_ options: String) async throws -> [String?] {
                try await server.post("/v1/domains/street/query?\(options)", .floats([1, 1, 1, 0.1]))
                    .decode(QueryAnswer.self).results.map(\.externalID)
            }
            #expect(try await ask("") == ["b", "a", "c"])
            #expect(try await ask("dedupe=none&k=9") == ["b", "a", "c", "d"])
            #expect(try await ask("min_score=-1&k=9") == ["b", "a", "c", "e"])
        }
    }

    @Test func aCharsetOrAnUpperCaseTypeChangesNothing() async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let path = "/v1/domains/street/query"
            let json = Data(#"{"query": {"vector": [1, 0, 0, 0]}}"#.utf8)
            let expected = try await server.post(path, .raw(littleEndian([1, 0, 0, 0]))).body
            for type in ["application/json; charset=utf-8", "Application/JSON", "text/plain", nil] {
                #expect(try await server.post(path, .other(type, json)).body == expected, "\(type ?? "none")")
            }
            let raw = Body.other("Application/Octet-Stream; x=y", littleEndian([1, 0, 0, 0]))
            #expect(try await server.post(path, raw).body == expected)
        }
    }
}
