import Bundles
import DatastoreCore
import Foundation
import HTTPTypes
import TestSupport
import Testing

@testable import CapstanServer

/// Versions out as bundles and in again.
struct BundleTests {
    /// The bytes of all files of a version, by name.
    static func files(_ server: TestServer, _ name: String, _ version: Int) throws -> [String: Data] {
        let digits = String(version)
        let folder = server.dataDirectory.appending(path: "datastores/\(name)/versions")
            .appending(path: String(repeating: "0", count: 6 - digits.count) + digits)
        return try Dictionary(
            uniqueKeysWithValues: FileManager.default.contentsOfDirectory(atPath: folder.path).map {
                ($0, try Data(contentsOf: folder.appending(path: $0)))
            })
    }

    private static func bundle(_ server: TestServer, _ name: String, _ version: Int) async throws -> Data {
        let answer = try await server.get("/v1/datastores/\(name)/versions/\(version)/bundle")
        try #require(answer.status == 200, "\(answer)")
        return answer.body
    }

    private static func restore(_ server: TestServer, _ name: String, _ bundle: Data) async throws -> JobInfo {
        let answer = try await server.put(
            "/v1/datastores/\(name)/bundle", .other("application/x-lz4", bundle))
        try #require(answer.status == 202, "\(answer)")
        return try await server.waitForJob(of: answer)
    }

    private static func names(_ server: TestServer) async throws -> [String] {
        try await server.get("/v1/datastores").decode(Page<DatastoreInfo>.self).items.map(\.name)
    }

    @Test func aVersionComesBackByteForByteAndAnswersTheSame() async throws {
        try await TestServer.run { server in
            try await server.load("tiny")
            try await server.importing(.rows(Rows.more), into: "tiny")
            _ = try await server.send(
                .patch, "/v1/datastores/tiny", .json(#"{"description": "small", "licence": "CC0"}"#))
            try await server.bind("street", to: "tiny")
            let question = "/v1/domains/street/query?k=5"
            let vector = Body.floats([0.5, 0.4, 0.3, 0.2])
            let before = try await server.post(question, vector).decode(QueryAnswer.self).results
            let files = try Self.files(server, "tiny", 2)
            let bundle = try await Self.bundle(server, "tiny", 2)
            let info = try await server.get("/v1/datastores/tiny").decode(DatastoreInfo.self)

            _ = try await server.send(.delete, "/v1/domains/street")
            _ = try await server.send(.delete, "/v1/datastores/tiny")
            let job = try await Self.restore(server, "tiny", bundle)
            #expect(job.state == .succeeded && job.version == 2 && job.kind == .restore, "\(job)")
            #expect(try Self.files(server, "tiny", 2) == files)
            let restored = try await server.get("/v1/datastores/tiny").decode(DatastoreInfo.self)
            #expect(restored.keys == info.keys && restored.description == "small" && restored.licence == "CC0")
            #expect(restored.entries == 5 && restored.latestVersion == 2 && restored.pendingChanges == 0)
            try await server.bind("street", to: "tiny")
            #expect(try await server.post(question, vector).decode(QueryAnswer.self).results == before)
            // The same bytes go out again.
            #expect(try await Self.bundle(server, "tiny", 2) == bundle)
            // Ids and numbers go on.
            let next = try await server.importing(
                .rows([#"{"id": "f", "text": "new", "vector": [1, 1, 0, 0]}"#]), into: "tiny")
            #expect(next.version == 3)
            let answer = try await server.post("/v1/domains/street/query?k=6", vector).decode(QueryAnswer.self)
            #expect(Set(answer.results.map(\.id)) == [1, 2, 3, 4, 5, 6])
            #expect(answer.results.first { $0.externalID == "f" }?.id == 6)
        }
    }

    @Test func aVersionWithSeveralKeysAndWordsComesBack() async throws {
        try await TestServer.run { server in
            let definition = #"""
                {"name": "words", "kind": "captions", "keys": [
                    {"name": "text", "dim": 2, "metric": "ip"}, {"name": "lexical", "kind": "sparse", "dim": 3, "metric": "ip"}]}
                """#
            _ = try await server.post("/v1/datastores", .json(definition))
            let words = try await server.put(
                "/v1/datastores/words/keys/lexical/vocabulary", .other("text/plain", Data("a\nb\nc\n".utf8)))
            #expect(words.status == 204)
            let job = try await server.importing(
                .rows([
                    #"{"text": "x", "vectors": {"text": [1, 2], "lexical": {"a": 1.5, "c": 2}}}"#,
                    #"{"text": "y", "vectors": {"text": [3, 4], "lexical": {"b": 1}}}"#,
                ]), into: "words")
            try #require(job.state == .succeeded, "\(job)")
            let files = try Self.files(server, "words", 1)
            let bundle = try await Self.bundle(server, "words", 1)
            _ = try await server.send(.delete, "/v1/datastores/words")
            let restored = try await Self.restore(server, "words", bundle)
            #expect(restored.state == .succeeded, "\(restored)")
            #expect(try Self.files(server, "words", 1) == files)
            // Rows can name words again.
            let more = try await server.importing(
                .rows([#"{"text": "z", "vectors": {"text": [5, 6], "lexical": {"c": 1}}}"#]), into: "words")
            #expect(more.state == .succeeded && more.version == 2, "\(more)")
        }
    }

    @Test func theSameVersionAgainIsDoneAndAnotherOfItsNumberIsRefused() async throws {
        try await TestServer.run { server in
            try await server.load("tiny")
            let bundle = try await Self.bundle(server, "tiny", 1)
            let again = try await Self.restore(server, "tiny", bundle)
            #expect(again.state == .succeeded && again.version == 1, "\(again)")
            _ = try await server.send(.delete, "/v1/datastores/tiny")
            try await server.create("tiny")
            // Numbers go on after a deletion: this one is version 2.
            try await server.importing(.rows(Rows.more), into: "tiny")
            let other = try await Self.bundle(server, "tiny", 2)
            let older = try await Self.restore(server, "tiny", bundle)
            #expect(older.state == .succeeded && older.version == 1, "\(older)")
            _ = try await server.send(.delete, "/v1/datastores/tiny")
            let first = try await Self.restore(server, "tiny", other)
            #expect(first.state == .succeeded)
            _ = try await server.send(.delete, "/v1/datastores/tiny")
            let changed = try await Self.changed(server, other)
            #expect(try await Self.restore(server, "tiny", changed).state == .succeeded)
            let answer = try await server.put("/v1/datastores/tiny/bundle", .other("application/x-lz4", other))
            try answer.expectProblem(409, .versionExists, saying: ["tiny@2"])
            #expect(try server.staged() == [])
        }
    }

    /// The bundle of the same version with another time in its manifest.
    private static func changed(_ server: TestServer, _ bundle: Data) async throws -> Data {
        var crafted = try crafted(bundle)
        try crafted.editManifest { $0["created_at"] = .string("2020-01-01T00:00:00Z") }
        return try crafted.data()
    }

    /// A bundle taken apart.
    private static func crafted(_ bundle: Data) throws -> CraftedBundle {
        let directory = try TemporaryDirectory()
        let file = try directory.write("x.capstan", bundle)
        let folder = directory.file("version")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let reader = try BundleReader(file)
        _ = try reader.unpack(into: folder, limit: 1 << 30)
        let header = reader.header
        let info = DatastoreInfo(
            name: header.datastore, kind: header.kind, keys: header.keys, description: header.description,
            licence: header.licence, createdAt: Date(), latestVersion: nil, entries: 0, pendingChanges: 0)
        return try CraftedBundle(version: folder, datastore: info, number: header.version)
    }

    @Test func domainsFollowARestoredVersionThatIsTheNewestAndNoOlderOne() async throws {
        try await TestServer.run { server in
            try await server.load("tiny")
            try await server.importing(.rows(Rows.more), into: "tiny")
            let (old, new) = (try await Self.bundle(server, "tiny", 1), try await Self.bundle(server, "tiny", 2))
            _ = try await server.send(.delete, "/v1/datastores/tiny")
            #expect(try await Self.restore(server, "tiny", old).state == .succeeded)
            try await server.bind("street", to: "tiny")
            #expect(try await Self.restore(server, "tiny", new).state == .succeeded)
            var domain = try await server.get("/v1/domains/street").decode(DomainInfo.self)
            #expect(domain.datastores[0].version == 2 && domain.reason == .follow)
            _ = try await server.send(.delete, "/v1/domains/street")
            _ = try await server.send(.delete, "/v1/datastores/tiny")
            #expect(try await Self.restore(server, "tiny", new).state == .succeeded)
            try await server.bind("street", to: "tiny")
            #expect(try await Self.restore(server, "tiny", old).state == .succeeded)
            domain = try await server.get("/v1/domains/street").decode(DomainInfo.self)
            #expect(domain.datastores[0].version == 2)
            #expect(try await server.get("/v1/datastores/tiny").decode(DatastoreInfo.self).latestVersion == 2)
        }
    }

    @Test func pendingChangesAreNeverLostToARestoredVersion() async throws {
        try await TestServer.run { server in
            try await server.load("tiny")
            try await server.importing(.rows(Rows.more), into: "tiny")
            let bundle = try await Self.bundle(server, "tiny", 2)
            _ = try await server.send(.delete, "/v1/datastores/tiny")
            try await server.create("tiny")
            try await server.importing(
                .rows([#"{"id": "p", "text": "pending", "vector": [1, 1, 1, 1]}"#]), into: "tiny",
                options: "?build=false")
            let refused = try await Self.restore(server, "tiny", bundle)
            #expect(refused.state == .failed && refused.error?.code == ErrorCode.changesPending.rawValue, "\(refused)")
            let info = try await server.get("/v1/datastores/tiny").decode(DatastoreInfo.self)
            #expect(info.pendingChanges == 1 && info.latestVersion == nil)
            #expect(try Self.folders(server, "tiny") == [])
        }
    }

    private static func folders(_ server: TestServer, _ name: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(
            atPath: server.dataDirectory.appending(path: "datastores/\(name)/versions").path)
    }

    @Test func aDamagedVersionGetsItsFilesBack() async throws {
        let directory = try TemporaryDirectory()
        let bundle = try await TestServer.run(directory: directory) { server in
            try await server.load("tiny")
            try await server.bind("street", to: "tiny")
            return try await Self.bundle(server, "tiny", 1)
        }
        let file = directory.file("data/datastores/tiny/versions/000001/text.vectors")
        #expect(chmod(file.path, 0o644) == 0)
        try Data("damaged".utf8).write(to: file)
        try await TestServer.run(directory: directory) { server in
            let question = "/v1/domains/street/query?k=1"
            try await server.post(question, .floats([1, 0, 0, 0])).expectProblem(500, .versionDamaged)
            try await server.get("/v1/datastores/tiny/versions/1/bundle").expectProblem(500, .versionDamaged)
            let job = try await Self.restore(server, "tiny", bundle)
            #expect(job.state == .succeeded, "\(job)")
            #expect(try await server.post(question, .floats([1, 0, 0, 0])).status == 200)
            #expect(try await server.get("/v1/datastores/tiny/versions/1").decode(VersionInfo.self).state == .ready)
        }
    }

    @Test func aDownloadGoesOnWithARange() async throws {
        try await TestServer.run { server in
            try await server.load(sample: "shop-products")
            let path = "/v1/datastores/shop-products/versions/1/bundle"
            let whole = try await server.get(path)
            let etag = try #require(whole.headers[.eTag])
            #expect(whole.headers[.acceptRanges] == "bytes")
            let length = whole.body.count
            for (range, part) in [
                ("bytes=0-", 0..<length), ("bytes=1-", 1..<length), ("bytes=700-", 700..<length),
                ("bytes=\(length - 1)-", length - 1..<length), ("bytes=100-199", 100..<200),
                ("bytes=100-99999999999", 100..<length), ("bytes=-10", length - 10..<length),
                ("bytes=-99999999999", 0..<length), ("bytes=0-0", 0..<1), ("bytes=0-\(Int64.max)", 0..<length),
            ] {
                let answer = try await server.send(.get, path, headers: ["Range": range, "If-Range": etag])
                #expect(answer.status == 206, "\(range)")
                #expect(answer.body == whole.body[part], "\(range)")
                #expect(
                    answer.headers[.contentRange] == "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(length)",
                    "\(range)")
            }
            for range in ["bytes=\(length)-", "bytes=-0", "bytes=99999999999-"] {
                try await server.send(.get, path, headers: ["Range": range])
                    .expectProblem(416, .rangeNotSatisfiable, saying: ["\(length)"])
            }
            // Not asked for in a way that is known, or of other bytes: all of it.
            for headers in [
                ["Range": "bytes=1-2,5-6"], ["Range": "lines=1-"], ["Range": "bytes=5-2"], ["Range": "bytes=x-"],
                ["Range": "bytes=1-", "If-Range": "\"another\""],
            ] {
                let answer = try await server.send(.get, path, headers: headers)
                #expect(answer.status == 200 && answer.body == whole.body, "\(headers)")
            }
        }
    }

    @Test func aBundleIsRefusedBeforeItsJobWhenItsHeaderIsWrong() async throws {
        try await TestServer.run { server in
            try await server.load("tiny")
            let bundle = try await Self.bundle(server, "tiny", 1)
            func refusal(_ name: String, _ data: Data, type: String = "application/x-lz4") async throws -> Answer {
                try await server.put("/v1/datastores/\(name)/bundle", .other(type, data))
            }
            try await refusal("other", bundle).expectProblem(400, .invalidValue, field: "datastore")
            try await refusal("tiny", Data("rows".utf8)).expectProblem(400, .bundleUnreadable)
            try await refusal("tiny", Data()).expectProblem(400, .bundleUnreadable)
            try await refusal("tiny", bundle, type: "text/plain").expectProblem(415, .unsupportedMediaType)
            try await refusal("-tiny", bundle).expectProblem(400, .invalidName)
            var crafted = try Self.crafted(bundle)
            crafted.header.format = 9
            try await refusal("tiny", crafted.data()).expectProblem(400, .bundleNewerFormat)
            try await server.create("wide", dim: 8)
            crafted = try Self.crafted(bundle)
            crafted.header.datastore = "wide"
            try await refusal("wide", crafted.data()).expectProblem(400, .incompatibleDatastores)
            try await server.get("/v1/datastores/tiny/versions/9/bundle").expectProblem(404, .unknownVersion)
            try await server.get("/v1/datastores/none/versions/1/bundle").expectProblem(404, .unknownDatastore)
            try await server.get("/v1/datastores/tiny/versions/x/bundle").expectProblem(404, .unknownTag)
            #expect(try server.staged() == [])
        }
    }

    @Test func anUploadOverTheLimitIsRefused() async throws {
        try await TestServer.run(configuration: ServerConfiguration(uploadLimit: 20_000)) { server in
            try await server.load("tiny")
            let answer = try await server.put(
                "/v1/datastores/tiny/bundle", .other("application/x-lz4", Data(repeating: 1, count: 20_001)))
            try answer.expectProblem(413, .bodyTooLarge)
            #expect(try server.staged() == [])
        }
    }

    /// One way in which a version of right checksums can be wrong.
    struct Trick: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let code: ErrorCode
        let make: @Sendable (inout CraftedBundle) throws -> Void

        init(_ name: String, _ code: ErrorCode, _ make: @escaping @Sendable (inout CraftedBundle) throws -> Void) {
            testDescription = name
            self.code = code
            self.make = make
        }

        static func lineage(_ name: String, _ value: Int64) -> Trick {
            Trick("lineage.\(name) of \(value)", .bundleInvalidManifest) { bundle in
                try bundle.editManifest { manifest in
                    guard case .object(var lineage) = manifest["lineage"] else { return }
                    lineage[name] = .integer(value)
                    manifest["lineage"] = .object(lineage)
                }
            }
        }

        /// The first key has an index file, and a plan.
        static func index(
            _ name: String, _ content: String, method: String, _ code: ErrorCode, _ what: String
        ) -> Trick {
            Trick(what, code) { bundle in
                bundle.members.append(.init(name, Array(content.utf8)))
                try bundle.listFilesAnew()
                try bundle.editManifest { manifest in
                    guard case .array(var keys) = manifest["keys"], case .object(var key) = keys[0] else { return }
                    key["index"] = .string(name)
                    key["plan"] = .object(["method": .string(method)])
                    keys[0] = .object(key)
                    manifest["keys"] = .array(keys)
                }
            }
        }

        static func file(
            _ name: String, _ code: ErrorCode, _ what: String, _ edit: @escaping @Sendable (inout [UInt8]) -> Void
        )
            -> Trick
        {
            Trick("\(name): \(what)", code) { bundle in
                guard let position = bundle.members.firstIndex(where: { $0.name == name }) else { return }
                edit(&bundle.members[position].content)
                try bundle.listFilesAnew()
            }
        }
    }

    static let tricks: [Trick] = [
        .lineage("last_entry_id", .max), .lineage("last_entry_id", -1), .lineage("last_entry_id", 3),
        .lineage("pending_through", .max), .lineage("pending_through", -5),
        Trick("a newer manifest", .newerFormat) { try $0.editManifest { $0["format"] = .integer(99) } },
        Trick("more entries than there are", .bundleInvalidManifest) {
            try $0.editManifest { $0["entries"] = .integer(1_000_000) }
        },
        Trick("entries beyond all", .bundleInvalidManifest) {
            try $0.editManifest { $0["entries"] = .integer(.max) }
        },
        Trick("another kind", .bundleInvalidManifest) { try $0.editManifest { $0["kind"] = .string("names") } },
        Trick("no keys", .bundleInvalidManifest) { try $0.editManifest { $0["keys"] = .array([]) } },
        Trick("a file that no key has", .bundleInvalidManifest) {
            $0.members.append(.init("more", [1]))
            try $0.listFilesAnew()
        },
        Trick("no entries.sqlite", .bundleInvalidManifest) {
            $0.members.removeAll { $0.name == "entries.sqlite" }
            try $0.listFilesAnew()
        },
        // FAISS believes what it reads.
        .index("text.faiss", "IwFl", method: "ivf_flat", .indexFilesDisabled, "a FAISS index"),
        .index("text.graph", "IHNf", method: "hnsw", .indexFilesDisabled, "a graph in a file of FAISS"),
        .index("text.faiss", "IwFl", method: "auto", .bundleInvalidManifest, "a FAISS index of no plan"),
        // Codes that promise too much would hide what is near.
        .file("text.codes", .bundleInvalidManifest, "of other vectors") { bytes in
            for place in 0..<8 { bytes[bytes.count - 200 - place] ^= 0xFF }
        },
        .file("text.codes", .bundleInvalidManifest, "too short") { $0.removeLast(100) },
        .file("text.vectors", .bundleInvalidManifest, "no vectors") { $0 = Array("vectors".utf8) },
        .file("text.vectors", .bundleInvalidManifest, "too short") { $0.removeLast(100) },
        .file("entries.sqlite", .bundleInvalidManifest, "no database") { $0 = Array(repeating: 0x41, count: 8192) },
        .file("entries.sqlite", .bundleInvalidManifest, "with a journal") {
            $0[18] = 2
            $0[19] = 2
        },
        .file("entries.sqlite", .bundleInvalidManifest, "damaged pages") { for i in 4096..<4400 { $0[i] = 0xFF } },
        .file("entries.sqlite", .bundleInvalidManifest, "another table") { bytes in
            // The text of the schema, in place.
            let word = Array("payload TEXT".utf8)
            guard let start = bytes.indices.first(where: { bytes[$0...].starts(with: word) }) else { return }
            bytes.replaceSubrange(start..<start + word.count, with: "payload BLOB".utf8)
        },
    ]

    @Test(arguments: tricks)
    func whatHasRightChecksumsAndIsNoVersionLeavesNothingBehind(_ trick: Trick) async throws {
        try await TestServer.run { server in
            try await server.load("tiny")
            var crafted = try Self.crafted(try await Self.bundle(server, "tiny", 1))
            _ = try await server.send(.delete, "/v1/datastores/tiny")
            try trick.make(&crafted)
            let job = try await Self.restore(server, "tiny", crafted.data())
            #expect(job.state == .failed && job.error?.code == trick.code.rawValue, "\(job)")
            try await Self.expectNothing(of: "tiny", server)
        }
    }

    /// The job has removed the datastore that was made for it.
    private static func expectNothing(of name: String, _ server: TestServer) async throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while try await names(server) != [], ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(try await names(server) == [])
        let folder = server.dataDirectory.appending(path: "datastores")
        while try FileManager.default.contentsOfDirectory(atPath: folder.path) != [], ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
        #expect(try server.staged() == [])
    }

    @Test func aBrokenBundleLeavesAnExistingDatastoreAsItWas() async throws {
        try await TestServer.run { server in
            try await server.load("tiny")
            try await server.importing(.rows(Rows.more), into: "tiny")
            let bundle = try await Self.bundle(server, "tiny", 2)
            _ = try await server.send(.delete, "/v1/datastores/tiny")
            try await server.create("tiny")
            for data in [bundle.dropLast(20), bundle + Data([1])] {
                let job = try await Self.restore(server, "tiny", Data(data))
                #expect(job.state == .failed)
                #expect(job.error?.code.hasPrefix("bundle_") == true, "\(job)")
            }
            let info = try await server.get("/v1/datastores/tiny").decode(DatastoreInfo.self)
            #expect(info.latestVersion == nil && info.pendingChanges == 0)
            #expect(try Self.folders(server, "tiny") == [])
            #expect(try await Self.restore(server, "tiny", bundle).state == .succeeded)
        }
    }
}

extension CraftedBundle {
    /// Makes the manifest list the members as they are now.
    mutating func listFilesAnew() throws {
        let files = members.dropFirst().map { member in
            JSONValue.object([
                "name": .string(member.name), "bytes": .integer(Int64(member.content.count)),
                "sha256": .string(Checksum.hex(of: Data(member.content))),
            ])
        }
        try editManifest { $0["files"] = .array(files) }
    }
}
