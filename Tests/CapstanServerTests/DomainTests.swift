import DatastoreCore
import Foundation
import HTTPTypes
import TestSupport
import Testing

/// Binding, switching and going back, as a client sees it.
struct DomainTests {
    private static let tiny = Body.json(#"{"datastores": [{"name": "tiny"}]}"#)
    private static let wide = Body.json(#"{"datastores": [{"name": "wide", "version": 1}]}"#)

    @Test func aDomainIsMadeThenSwitchedAndItsTagIsItsRevision() async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let made = try await server.put("/v1/domains/new", Self.tiny)
            #expect(made.status == 201)
            #expect(made.headers[.eTag] == "\"1\"")
            let switched = try await server.put("/v1/domains/new", Self.wide)
            #expect(switched.status == 200)
            #expect(switched.headers[.eTag] == "\"2\"")
            let info = try switched.decode(DomainInfo.self)
            #expect(info.revision == 2)
            #expect(info.reason == .set)
            #expect(info.datastores == [BoundDatastore(name: "wide", version: 1, followsLatest: false)])
            let shown = try await server.get("/v1/domains/new")
            #expect(shown.headers[.eTag] == "\"2\"")
            #expect(shown.body == switched.body)
            let back = try await server.post("/v1/domains/new/rollback")
            #expect(back.status == 200)
            #expect(back.headers[.eTag] == "\"3\"")
            let restored = try back.decode(DomainInfo.self)
            #expect(restored.reason == .rollback)
            #expect(restored.restoredRevision == 1)
            #expect(restored.datastores == [BoundDatastore(name: "tiny", version: 2, followsLatest: false)])
        }
    }

    @Test func theFasterOfTwoWinsAndTheOtherIsTold() async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let tag = try #require(try await server.get("/v1/domains/street").headers[.eTag])
            #expect(try await server.put("/v1/domains/street", Self.wide, headers: ["If-Match": tag]).status == 200)
            try await server.put("/v1/domains/street", Self.tiny, headers: ["If-Match": tag]).expectProblem(
                412, .revisionConflict, saying: ["2", "1"])
            try await server.send(.post, "/v1/domains/street/rollback", headers: ["If-Match": tag]).expectProblem(
                412, .revisionConflict)
            let info = try await server.get("/v1/domains/street").decode(DomainInfo.self)
            #expect(info.datastores.map(\.name) == ["wide"])
            #expect(try await server.put("/v1/domains/new", Self.tiny, headers: ["If-None-Match": "*"]).status == 201)
            try await server.put("/v1/domains/new", Self.wide, headers: ["If-None-Match": "*"]).expectProblem(
                412, .revisionConflict)
        }
    }

    @Test func aDomainThatIsRemovedIsUnknownAndItsNumbersGoOn() async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let removed = try await server.send(.delete, "/v1/domains/street")
            #expect(removed.status == 204)
            #expect(removed.body.isEmpty)
            try await server.post("/v1/domains/street/query", .floats([1, 0, 0, 0])).expectProblem(404, .unknownDomain)
            try await server.get("/v1/domains/street/revisions").expectProblem(404, .unknownDomain)
            #expect(try await server.get("/v1/domains").decode(Page<DomainInfo>.self).items == [])
            // Now nothing is bound to it.
            #expect(try await server.send(.delete, "/v1/datastores/wide").status == 204)
            let again = try await server.put("/v1/domains/street", Self.tiny)
            #expect(again.headers[.eTag] == "\"2\"")
            #expect(again.status == 201)
        }
    }

    @Test func aRemovedDatastoreCannotBeRolledBackTo() async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            try await server.put("/v1/domains/street", Self.wide)
            #expect(try await server.send(.delete, "/v1/datastores/tiny").status == 204)
            let before = try await server.state()
            let answer = try await server.post("/v1/domains/street/rollback")
            try answer.expectProblem(404, .unknownVersion, saying: ["tiny"])
            #expect(try await server.state() == before)
        }
    }

    @Test func datastoresAreDescribedAnew() async throws {
        try await TestServer.run { server in
            let made = try await server.post(
                "/v1/datastores",
                .json(
                    """
                    {"name": "new", "kind": "names", "description": "d", "keys": [{"name": "text", "dim": 4,
                     "metric": "ip", "encoder": {"model": "m", "revision": "r", "preprocessing": "p"}}]}
                    """))
            #expect(made.status == 201)
            #expect(made.headers[.location] == "/v1/datastores/new")
            let location = try #require(made.headers[.location])
            #expect(try await server.get(location).body == made.body)
            let changed = try await server.send(.patch, location, .json(#"{"licence": "CC0-1.0"}"#))
            #expect(changed.status == 200)
            let info = try changed.decode(DatastoreInfo.self)
            #expect((info.description, info.licence) == ("d", "CC0-1.0"))
            #expect(info.keys[0].encoder == Encoder(model: "m", revision: "r", preprocessing: "p"))
            let emptied = try await server.send(.patch, location, .json(#"{"description": ""}"#))
            #expect(try emptied.decode(DatastoreInfo.self).description == "")
            #expect(try await server.send(.delete, location).status == 204)
            try await server.get(location).expectProblem(404, .unknownDatastore)
            #expect(try await server.send(.delete, location).status == 404)
        }
    }
}

/// Lists, a page at a time.
struct PagingTests {
    /// The names on pages of one item, to the end.
    private func walk<Item: Codable & Sendable>(
        _ path: String, _ server: TestServer, _ type: Item.Type, _ name: (Item) -> String
    ) async throws -> [String] {
        var names: [String] = []
        var cursor: String?
        let separator = path.contains("?") ? "&" : "?"
        repeat {
            let escaped = cursor?.addingPercentEncoding(withAllowedCharacters: .alphanumerics)
            let page = try await server.get("\(path)\(separator)limit=1\(escaped.map { "&cursor=\($0)" } ?? "")")
                .decode(Page<Item>.self)
            #expect(page.items.count == 1)
            names += page.items.map(name)
            cursor = page.nextCursor
            try #require(names.count < 100, "the list does not end: \(names)")
        } while cursor != nil
        return names
    }

    @Test func everyListGivesEachItemOnceInOrder() async throws {
        try await TestServer.run { server in
            let names = ["zebra", "Zoo", "a.b-c_d", "10", "9", "alpha", "alpha2"]
            for name in names { try await server.create(name) }
            try await server.importing(.rows(Rows.four), into: "alpha")
            try await server.importing(.rows(Rows.more), into: "alpha")
            let row = #"{"id": "f", "text": "f", "vector": [1, 1, 1, 1]}"#
            try await server.importing(.rows([row]), into: "alpha")
            try await server.importing(.rows(Rows.four), into: "zebra")
            try await server.importing(.rows(["x"]), into: "zebra")
            for name in names { try await server.bind(name, to: "alpha") }
            try await server.bind("9", to: "zebra")
            try await server.send(.post, "/v1/domains/9/rollback")

            let sorted = names.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
            #expect(try await walk("/v1/datastores", server, DatastoreInfo.self, \.name) == sorted)
            #expect(try await walk("/v1/domains", server, DomainInfo.self, \.domain) == sorted)
            #expect(
                try await walk("/v1/domains/9/revisions", server, DomainInfo.self) { "\($0.revision)" } == [
                    "3", "2", "1",
                ])
            #expect(
                try await walk("/v1/datastores/alpha/versions", server, VersionInfo.self) { "\($0.version)" }
                    == ["3", "2", "1"])
            let jobs = try await server.get("/v1/jobs").decode(Page<JobInfo>.self)
            #expect(jobs.items.map(\.datastore) == ["zebra", "zebra", "alpha", "alpha", "alpha"])
            #expect(jobs.nextCursor == nil)
            #expect(try await walk("/v1/jobs", server, JobInfo.self, \.id) == jobs.items.map(\.id))
            #expect(
                try await walk("/v1/jobs?datastore=alpha", server, JobInfo.self, \.id) == jobs.items.suffix(3).map(\.id)
            )
            #expect(
                try await walk("/v1/jobs?state=failed", server, JobInfo.self, \.id) == [jobs.items[0].id])
            #expect(
                try await walk("/v1/jobs?state=succeeded&datastore=zebra", server, JobInfo.self, \.id)
                    == [jobs.items[1].id])
            #expect(try await server.get("/v1/jobs?datastore=nope").decode(Page<JobInfo>.self).items == [])
        }
    }

    @Test func aPageOfExactlyTheLimitIsTheLast() async throws {
        try await TestServer.run { server in
            for name in ["a", "b", "c"] { try await server.create(name) }
            let all = try await server.get("/v1/datastores?limit=3").decode(Page<DatastoreInfo>.self)
            #expect(all.items.count == 3)
            #expect(all.nextCursor == nil)
            let two = try await server.get("/v1/datastores?limit=2").decode(Page<DatastoreInfo>.self)
            #expect(two.items.map(\.name) == ["a", "b"])
            #expect(two.nextCursor != nil)
        }
    }

    @Test func whatIsAddedMeanwhileShiftsNoPage() async throws {
        try await TestServer.run { server in
            for name in ["b", "d"] { try await server.create(name) }
            let first = try await server.get("/v1/datastores?limit=1").decode(Page<DatastoreInfo>.self)
            for name in ["a", "c"] { try await server.create(name) }
            let cursor = try #require(first.nextCursor)
            let rest = try await server.get("/v1/datastores?cursor=\(cursor)").decode(Page<DatastoreInfo>.self)
            #expect(rest.items.map(\.name) == ["c", "d"])
        }
    }
}
