import DatastoreCore
import Foundation
import HTTPTypes
import TestSupport
import Testing

/// What is wrong inside the files shows in the job: it fails as a whole and keeps nothing, or rejects the rows.
struct ImportJobTests {
    /// Two rows without vectors.
    private static let rows = Data(
        """
        {"id": "x", "text": "one"}
        {"id": "y", "text": "two"}

        """.utf8)
    private static let vectors = Vectors(values: [1, 0, 0, 0, 0, 1, 0, 0], dim: 4)

    /// A NumPy file with a header of its own.
    private static func npy(_ header: String, data: Data = Data(count: 32)) -> Data {
        var header = header
        header += String(repeating: " ", count: (64 - (10 + header.utf8.count + 1) % 64) % 64) + "\n"
        return Data([0x93]) + Data("NUMPY".utf8) + Data([1, 0, UInt8(header.utf8.count), 0]) + Data(header.utf8) + data
    }

    /// An import that fails as a whole.
    struct Failure: Sendable, CustomTestStringConvertible {
        let name: String
        let body: Body
        var options = ""
        let code: ErrorCode
        var words: [String] = []
        var testDescription: String { name }

        static func vectors(_ name: String, _ data: Data, _ code: ErrorCode, _ words: String...) -> Failure {
            Failure(
                name: name, body: .multipart([("rows", ImportJobTests.rows), ("vectors", data)]), code: code,
                words: words)
        }
    }

    @Test(arguments: [
        Failure(
            name: "half a gzip", body: .gzip(Gzip.stored(rows).prefix(40)), code: .gzipTruncated,
            words: ["before its end"]),
        Failure(
            name: "a gzip that is damaged", body: .gzip(damaged(Gzip.stored(rows))), code: .gzipCorrupt,
            words: ["corrupt"]),
        Failure(name: "no bytes", body: .other("application/x-ndjson", Data()), code: .noRowsAccepted),
        Failure(name: "blank lines", body: .rows(["", " ", ""]), code: .noRowsAccepted, words: ["got no rows"]),
        Failure(
            name: "only bad rows", body: .rows(["x", "y"]), code: .noRowsAccepted, words: ["none of the 2 rows"]),
        Failure(
            name: "one bad row where none may be", body: .rows(Rows.four + ["x"]), options: "?strict=true",
            code: .rowsRejected, words: ["1 of 5"]),
        .vectors(
            "Fortran order", npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 4), }"), .npyFortranOrder,
            "expected C order"),
        .vectors(
            "big-endian numbers", npy("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 4), }"), .npyBigEndian,
            "got big-endian", "expected <f4"),
        .vectors("a truncated file", vectors.npy().dropLast(), .npyTruncated, "got 31 bytes", "expected 32"),
        .vectors("a file with more in it", vectors.npy() + Data([0]), .npyTrailingData, "got 33 bytes", "expected 32"),
        .vectors(
            "a shape that lies", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2000000000, 4), }"),
            .npyTruncated, "got 32 bytes", "expected 32000000000"),
        .vectors(
            "a shape that no file can hold",
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 4), }"), .npyInvalidShape),
        .vectors(
            "a shape of one axis", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (8,), }"), .npyInvalidShape,
            "expected shape (rows, dim)"),
        .vectors(
            "integers", npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 4), }"), .npyUnsupportedType, "<i4",
            "expected one of"),
        .vectors(
            "a pickle", npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 4), }"), .npyUnsupportedType, "|O"),
        .vectors("a header that is none", npy("not a dict"), .npyInvalidHeader),
        .vectors("no NumPy file", Data("PK\u{3}\u{4}".utf8) + Data(count: 60), .npyNotNumpy, ".npz"),
        .vectors("no bytes of vectors", Data(), .npyNotNumpy, "empty"),
        .vectors(
            "vectors of another length", Vectors(values: [1, 0, 0, 1], dim: 2).npy(), .vectorDimMismatch, "got", "2",
            "expected 4"),
        .vectors(
            "more vectors than rows", Vectors(values: [Float](repeating: 1, count: 12), dim: 4).npy(),
            .rowsVectorsMismatch, "2 rows", "3 vectors"),
        .vectors(
            "fewer vectors than rows", Vectors(values: [1, 0, 0, 0], dim: 4).npy(), .rowsVectorsMismatch, "2 rows",
            "1 vectors"),
    ])
    func sourcesThatCannotBeReadFailTheJobAndChangeNothing(_ failure: Failure) async throws {
        try await TestServer.run { server in
            try await server.loadFixtures()
            let before = try await server.state()
            let job = try await server.importing(failure.body, into: "tiny", options: failure.options)
            #expect(job.state == .failed, "\(job)")
            #expect(job.error?.code == failure.code.rawValue, "\(job)")
            for word in failure.words { #expect(job.error?.detail.contains(word) == true, "\(job)") }
            #expect(job.version == nil)
            #expect(job.finishedAt != nil)
            var after = try await server.state()
            after["/v1/jobs?limit=1000"] = before["/v1/jobs?limit=1000"]
            #expect(after == before)
            #expect(try await server.get("/v1/jobs/\(job.id)/rejects").status == 200)
        }
    }

    /// One bad row among good ones.
    struct Reject: Sendable, CustomTestStringConvertible {
        let row: Data
        let code: ErrorCode
        let words: [String]
        var testDescription: String { "\(code.rawValue) \(words)" }

        init(_ row: String, _ code: ErrorCode, _ words: String...) {
            self.init(Data(row.utf8), code, words)
        }

        init(_ row: Data, _ code: ErrorCode, _ words: [String]) {
            self.row = row
            self.code = code
            self.words = words
        }
    }

    private static let rejects = [
        Reject(#"{"id": "a", "text": "again", "vector": [1, 0, 0, 0]}"#, .duplicateExternalID, #""a""#, "row 1"),
        Reject(
            Data(#"{"text": "caf"#.utf8) + Data([0xE9]) + Data(#"", "vector": [1, 0, 0, 0]}"#.utf8), .invalidUTF8,
            ["byte 13"]),
        Reject(#"{"id": "1"}"#, .missingText, "expected"),
        Reject(#"{"text": "x"}"#, .missingVector, "expected"),
        Reject(#"{"vector": [1, 0, 0, 0]}"#, .missingText, "expected"),
        Reject(#"{"text": "  ", "vector": [1, 0, 0, 0]}"#, .missingText, "empty"),
        Reject(#"{"text": "x", "vector": [1, 0, 0]}"#, .vectorDimMismatch, "got 3", "expected 4"),
        Reject(#"{"text": "x", "vector": [0, 0, 0, 0]}"#, .vectorZero, "zeros"),
        Reject(#"{"text": "x", "vector_base64": "AADAfwAAgD8AAIA/AACAPw=="}"#, .vectorNotFinite, "nan", "position 0"),
        Reject(#"{"text": "x", "vector_base64": "AAAAAAA="}"#, .invalidBase64, "5 bytes"),
        Reject(#"{"text": "x", "vector": [1, 0, 0, "0"]}"#, .invalidValue, "position 3"),
        Reject(#"{"text": "x", "origin": "robot", "vector": [1, 0, 0, 0]}"#, .invalidValue, "robot", "human"),
        Reject(#"{"text": "x", "vector": [1, 0, 0, 0]"#, .invalidJSON),
        Reject(#"["x"]"#, .invalidJSON),
    ]

    @Test func badRowsAreRejectedEachWithItsLineAndReason() async throws {
        try await TestServer.run { server in
            try await server.create("new")
            var body = Data((Rows.four.joined(separator: "\n") + "\n\n").utf8)
            for reject in Self.rejects { body += reject.row + Data("\n".utf8) }
            let job = try await server.importing(.other("application/x-ndjson", body), into: "new")
            #expect(job.state == .succeeded, "\(job)")
            #expect(job.counts.seen == 4 + Self.rejects.count)
            #expect(job.counts.accepted == 4)
            #expect(job.counts.rejected == Self.rejects.count)

            let answer = try await server.get("/v1/jobs/\(job.id)/rejects")
            #expect(answer.status == 200)
            let rows = try answer.text.split(separator: "\n").map {
                try WireJSON.decode(RejectedRow.self, from: Data($0.utf8))
            }
            // Line 5 is blank.
            #expect(rows.map(\.line) == Self.rejects.indices.map { $0 + 6 })
            for (row, reject) in zip(rows, Self.rejects) {
                #expect(row.code == reject.code, "\(row)")
                for word in reject.words { #expect(row.detail.contains(word), "\(row)") }
                #expect(row.excerpt == String(decoding: reject.row, as: UTF8.self))
            }
        }
    }

    @Test func aLongRowIsShownByItsStart() async throws {
        try await TestServer.run { server in
            try await server.create("new")
            let long = #"{"text": "\#(String(repeating: "\u{e9}", count: 5000))"}"#
            let job = try await server.importing(.rows(Rows.four + [long]), into: "new")
            let answer = try await server.get("/v1/jobs/\(job.id)/rejects")
            let row = try WireJSON.decode(RejectedRow.self, from: answer.body)
            #expect(row.excerpt == String(long.prefix(200)))
        }
    }

    @Test func aJobThatRejectsNothingHasNoRejects() async throws {
        try await TestServer.run { server in
            try await server.load("tiny")
            let jobs = try await server.get("/v1/jobs").decode(Page<JobInfo>.self)
            let answer = try await server.get("/v1/jobs/\(jobs.items[0].id)/rejects")
            #expect(answer.status == 200)
            #expect(answer.body.isEmpty)
        }
    }

    @Test func rowsThatAreKnownAreReplacedOrCountedAsDuplicates() async throws {
        try await TestServer.run { server in
            try await server.load("tiny")
            let changed = Rows.four[1].replacing("a horse with a rider", with: "a rider")
            let job = try await server.importing(.rows([Rows.four[0], changed] + Rows.more), into: "tiny")
            #expect(job.counts.seen == 3)
            #expect(job.counts.duplicate == 1)
            #expect(job.counts.replaced == 1)
            #expect(job.counts.accepted == 1)
            #expect(job.version == 2)
            let info = try await server.get("/v1/datastores/tiny").decode(DatastoreInfo.self)
            #expect(info.entries == 5)
            #expect(info.latestVersion == 2)
            #expect(info.pendingChanges == 0)
        }
    }

    @Test func rowsWaitUntilAVersionIsBuilt() async throws {
        try await TestServer.run { server in
            try await server.load("tiny")
            try await server.bind("street", to: "tiny")
            let job = try await server.importing(.rows(Rows.more), into: "tiny", options: "?build=false")
            #expect(job.state == .succeeded)
            #expect(job.version == nil)
            var info = try await server.get("/v1/datastores/tiny").decode(DatastoreInfo.self)
            #expect((info.latestVersion, info.entries, info.pendingChanges) == (1, 4, 1))
            let answer = try await server.post("/v1/datastores/tiny/versions")
            #expect(answer.status == 202)
            #expect(try answer.decode(JobInfo.self).kind == .build)
            let built = try await server.waitForJob(of: answer)
            #expect(built.state == .succeeded, "\(built)")
            #expect(built.version == 2)
            info = try await server.get("/v1/datastores/tiny").decode(DatastoreInfo.self)
            #expect((info.latestVersion, info.entries, info.pendingChanges) == (2, 5, 0))
            // The domain follows.
            let domain = try await server.get("/v1/domains/street").decode(DomainInfo.self)
            #expect(domain.reason == .follow)
            #expect(domain.datastores == [BoundDatastore(name: "tiny", version: 2, followsLatest: true)])
            let version = try await server.get("/v1/datastores/tiny/versions/2").decode(VersionInfo.self)
            #expect(version.files?.isEmpty == false)
            #expect(version.jobID == built.id)
            // Nothing is pending any more, and nothing is asked for then.
            let unchanged = try await server.post("/v1/datastores/tiny/versions", .json(#"{"if_changed": true}"#))
            #expect(unchanged.status == 200)
            #expect(try unchanged.decode(UnchangedDatastore.self) == UnchangedDatastore(datastore: "tiny", version: 2))
        }
    }

    @Test func versionsAreNamedComparedVerifiedAndRemoved() async throws {
        try await TestServer.run { server in
            try await server.load("tiny")
            try await server.importing(.rows(Rows.more), into: "tiny")
            let path = "/v1/datastores/tiny/versions"
            let tagged = try await server.put("\(path)/1/tags/gold")
            #expect(tagged.status == 200)
            #expect(try tagged.decode(VersionInfo.self).tags == ["gold"])
            _ = try await server.put("\(path)/2/tags/gold").expectProblem(409, .tagExists)
            #expect(try await server.put("\(path)/2/tags/gold?move=true").status == 200)
            #expect(try await server.get("\(path)/gold").decode(VersionInfo.self).version == 2)
            let diff = try await server.get("\(path)/latest/diff?from=1").decode(VersionDiff.self)
            #expect(diff.from == 1 && diff.to == 2 && diff.added == 1 && diff.unchanged == 4, "\(diff)")

            let verifying = try await server.post("\(path)/gold/verify")
            #expect(verifying.status == 202)
            let job = try await server.waitForJob(of: verifying)
            #expect(job.state == .succeeded && job.verifyReport?.entries == 5, "\(job)")

            let change = try await server.send(
                .patch, "/v1/datastores/tiny", .json(#"{"retention": {"keep_last": 1}}"#))
            #expect(try change.decode(DatastoreInfo.self).retention == Retention(keepLast: 1))
            let dry = try await server.post("/v1/gc", .json(#"{"dry_run": true}"#)).decode(GCReport.self)
            #expect(dry.items.map(\.version) == [1] && dry.dryRun)
            let removed = try await server.send(.delete, "\(path)/1")
            #expect(removed.status == 200)
            #expect(try removed.decode(GCReport.self).freedBytes == dry.freedBytes)
            _ = try await server.get("\(path)/1").expectProblem(404, .versionRemoved)
            #expect(try await server.send(.delete, "\(path)/2/tags/gold").status == 204)
            _ = try await server.send(.delete, "\(path)/2/tags/gold").expectProblem(404, .unknownTag)
        }
    }

    private static func damaged(_ data: Data) -> Data {
        var data = data
        data[data.startIndex + 20] ^= 0xFF
        return data
    }
}
