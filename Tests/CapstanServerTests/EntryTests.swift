import DatastoreCore
import Foundation
import HTTPTypes
import TestSupport
import Testing

/// Single entries over HTTP: added, deleted, looked at, and filtered in questions.
struct EntryTests {
    private static let rows = [
        #"{"id": "a", "text": "a dog", "vector": [1, 0, 0, 0], "origin": "human", "lang": "en", "image_id": "1"}"#,
        #"{"id": "b", "text": "a cat", "vector": [1, 1, 0, 0], "origin": "web", "lang": "en", "payload": {"split": "train", "n": 2}}"#,
        #"{"id": "c", "text": "ein Hund", "vector": [1, 0, 1, 0], "origin": "human", "lang": "de", "image_id": "2"}"#,
    ]

    @Test func entriesAreDeletedOneByOneAndManyAtATime() async throws {
        try await TestServer.run { server in
            try await server.load("d", rows: Self.rows)
            let entries = "/v1/datastores/d/entries"
            let one = try await server.send(.delete, "\(entries)/1")
            #expect(one.status == 200)
            #expect(try one.decode(EntryDeletions.self).entries.map(\.externalID) == ["a"])
            let again = try await server.send(.delete, "\(entries)/1").decode(EntryDeletions.self)
            #expect(again.counts.unknown == 1 && again.pendingChanges == 1)
            let many = try await server.send(
                .delete, entries, .rows([#"{"external_id": "b"}"#, #"{"id": 99}"#, "x"]))
            let told = try many.decode(EntryDeletions.self)
            #expect(told.entries.map(\.outcome) == [.deleted, .unknown, .rejected])
            let single = try await server.send(.delete, entries, .json("{\n\"external_id\":\n\"c\"}"))
            #expect(try single.decode(EntryDeletions.self).counts.deleted == 1)
            #expect(try await server.send(.delete, entries, .json("{\"name\": \"c\"}")).status == 400)
            #expect(try await server.send(.delete, entries, .json("{}")).status == 400)
            #expect(try await server.send(.delete, "\(entries)/x").status == 400)
            #expect(try await server.send(.delete, "/v1/datastores/none/entries/1").status == 404)
            #expect(try await server.send(.delete, "\(entries)/1?x=1").status == 400)
            #expect(try await server.send(.delete, entries, .other("text/csv", Data("x".utf8))).status == 415)
        }
    }

    @Test func entriesAreListedPageByPageAndShownOneByOne() async throws {
        try await TestServer.run { server in
            try await server.load("d", rows: Self.rows)
            let entries = "/v1/datastores/d/entries"
            _ = try await server.post(
                entries, .json(#"{"id": "e", "text": "new", "vector": [1, 2, 3, 4], "lang": "de"}"#))
            _ = try await server.send(.delete, "\(entries)/1")
            func page(_ query: String) async throws -> Page<EntryInfo> {
                try await server.get("\(entries)?\(query)").decode(Page<EntryInfo>.self)
            }
            #expect(try await page("limit=10").items.map(\.id) == [1, 2, 3])
            let first = try await page("limit=2&pending=true")
            #expect(first.items.map(\.id) == [2, 3])
            let cursor = try #require(first.nextCursor)
            let second = try await page("limit=2&pending=true&cursor=\(cursor)")
            #expect(second.items.map(\.id) == [4] && second.nextCursor == nil)
            #expect(second.items.map(\.pending) == [true] && second.items.map(\.version) == [nil])
            #expect(try await page("pending=true&filter=lang%3Dde").items.map(\.id) == [3, 4])
            #expect(try await page("filter=origin%3Dhuman&filter=lang%3Dde").items.map(\.id) == [3])
            #expect(try await page("filter=payload.split%3Dtrain&filter=payload.n%3D2").items.map(\.id) == [2])
            #expect(try await page("version=1&limit=1").items.map(\.text) == ["a dog"])
            for wrong in [
                "version=1&pending=true", "filter=colour%3Dred", "filter=origin%3Dme", "limit=0", "cursor=x", "x=1",
            ] {
                #expect(try await server.get("\(entries)?\(wrong)").status == 400, "\(wrong)")
            }
            #expect(try await server.get("\(entries)?version=7").status == 404)

            let shown = try await server.get("\(entries)/4?vectors=true").decode(EntryInfo.self)
            #expect(shown.text == "new" && shown.pending == true && shown.vectors == ["text": .dense([1, 2, 3, 4])])
            #expect(try await server.get("\(entries)/2").decode(EntryInfo.self).version == 1)
            #expect(try await server.get("\(entries)/1").status == 404)
            #expect(try await server.get("\(entries)/1?version=1").decode(EntryInfo.self).text == "a dog")
            #expect(try await server.get("\(entries)/77").status == 404)
            #expect(try await server.get("\(entries)/x").status == 400)
        }
    }

    @Test func entriesOfADatastoreWithoutAVersionAreThoseThatArePending() async throws {
        try await TestServer.run { server in
            try await server.create("d")
            let entries = "/v1/datastores/d/entries"
            #expect(try await server.get(entries).decode(Page<EntryInfo>.self).items.isEmpty)
            _ = try await server.post(entries, .json(Self.rows[0]))
            #expect(try await server.get(entries).decode(Page<EntryInfo>.self).items.isEmpty)
            #expect(try await server.get("\(entries)?pending=true").decode(Page<EntryInfo>.self).items.map(\.id) == [1])
            #expect(try await server.get("\(entries)/1").decode(EntryInfo.self).pending == true)
        }
    }

    @Test func aFilterIsAFieldOfAQuestionAndAnOptionOfARawOne() async throws {
        try await TestServer.run { server in
            try await server.load("d", rows: Self.rows)
            try await server.bind("street", to: "d")
            let path = "/v1/domains/street/query"
            let raw = Body.floats([1, 0, 0, 0])
            func texts(_ answer: Answer) throws -> [String] { try answer.decode(QueryAnswer.self).results.map(\.text) }
            let questions: [(json: String, query: String, texts: [String])] = [
                (#"{"origin": ["human"]}"#, "filter=origin%3Dhuman", ["a dog", "ein Hund"]),
                (#"{"lang": ["de", "fr"]}"#, "filter=lang%3Dde&filter=lang%3Dfr", ["ein Hund"]),
                (#"{"image_ids": ["1", "2"], "lang": ["en"]}"#, "filter=image_id%3D1&filter=lang%3Den", ["a dog"]),
                (#"{"payload": {"split": "train", "n": 2}}"#, "filter=payload.n%3D2", ["a cat"]),
                (#"{"source": ["x"]}"#, "filter=source%3Dx", []),
                ("{}", "filter=none", ["a dog", "a cat", "ein Hund"]),
            ]
            for question in questions {
                let json = try await server.post(
                    path, .json(#"{"query": {"vector": [1, 0, 0, 0]}, "k": 3, "filter": \#(question.json)}"#))
                #expect(try texts(json) == question.texts, "\(question.json)")
                if question.texts.count < 3 {
                    #expect(try json.decode(QueryAnswer.self).shortfall?.reasons == [.filter])
                }
                #expect(
                    try await texts(server.post("\(path)?k=3&\(question.query)", raw)) == question.texts,
                    "\(question.query)")
            }
            for wrong in [
                #"{"colour": ["red"]}"#, #"{"origin": ["me"]}"#, #"{"lang": []}"#, #"{"lang": "en"}"#,
                #"{"payload": {"a": [1]}}"#, #"{"payload": {}}"#,
            ] {
                let answer = try await server.post(
                    path, .json(#"{"query": {"vector": [1, 0, 0, 0]}, "filter": \#(wrong)}"#))
                #expect(answer.status == 400, "\(wrong)")
            }
            let domain = try await server.put(
                "/v1/domains/german",
                .json(#"{"datastores": [{"name": "d"}], "defaults": {"filter": {"lang": ["de"]}}}"#))
            #expect(try domain.decode(DomainInfo.self).defaults.filter == QueryFilter(lang: ["de"]))
            #expect(try await texts(server.post("/v1/domains/german/query?k=3", raw)) == ["ein Hund"])
        }
    }

    @Test func metricsAreTextForPrometheus() async throws {
        try await TestServer.run { server in
            try await server.load("d", rows: Self.rows)
            try await server.bind("street", to: "d")
            _ = try await server.post(
                "/v1/datastores/d/entries", .json(Self.rows[0].replacing("a dog", with: "a wolf")))
            for _ in 0..<3 {
                _ = try await server.post("/v1/domains/street/query", .json(#"{"query": {"vector": [1, 0, 0, 0]}}"#))
            }
            _ = try await server.post("/v1/domains/none/query", .json(#"{"query": {"vector": [1, 0, 0, 0]}}"#))
            let answer = try await server.get("/metrics")
            #expect(answer.status == 200)
            #expect(answer.headers[.contentType] == "text/plain; version=0.0.4; charset=utf-8")
            let lines = answer.text.split(separator: "\n").map(String.init)
            for line in [
                #"capstan_app_info{release="\#(Release.version)"} 1"#, #"capstan_datastore_entries{datastore="d"} 3"#,
                #"capstan_pending_changes{datastore="d"} 1"#, "capstan_pending_limit 50000",
                #"capstan_active_version_info{datastore="d",domain="street",version="1"} 1"#,
                #"capstan_domain_revision{domain="street"} 1"#,
                #"capstan_query_duration_seconds_count{domain="street"} 3"#,
                #"capstan_query_duration_seconds_bucket{domain="street",le="+Inf"} 3"#,
                "# TYPE capstan_query_duration_seconds histogram",
            ] {
                #expect(lines.contains(line), "\(line)")
            }
            #expect(!answer.text.contains("\"none\""))
            // Each line is a comment or a sample, and each sample belongs to a metric that was announced.
            var announced: Set<String> = []
            for line in lines {
                if line.hasPrefix("# TYPE ") {
                    let name = String(line.split(separator: " ")[2])
                    #expect(announced.insert(name).inserted)
                } else if !line.hasPrefix("# HELP ") {
                    let match = try #require(
                        line.wholeMatch(
                            of: /([a-z_]+?)(?:_bucket|_sum|_count)?(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.e+-]+/
                        ),
                        "\(line)")
                    let name = String(match.output.1)
                    #expect(announced.contains(name), "\(line)")
                }
            }
        }
    }
}
