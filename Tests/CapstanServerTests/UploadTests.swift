import CapstanServer
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// Uploads as they come in: what is refused before any row is read, and what leaves nothing behind.
struct UploadTests {
    private static func upload(
        _ name: String, type: String?, _ body: String, options: String = "", status: Int = 400, _ code: ErrorCode,
        field: String? = nil, _ words: String...
    ) -> Refusal {
        Refusal(
            name: name, path: "/v1/datastores/tiny/imports\(options)",
            body: .other(type, Data(body.replacing("\n", with: "\r\n").utf8)), status: status, code: code,
            field: field, words: words)
    }

    private static let multipart = "multipart/form-data; boundary=xyz"
    private static let row = #"{"text": "x", "vector": [1, 0, 0, 0]}"#

    @Test(arguments: [
        upload(
            "a web page", type: "text/html", row, status: 415, .unsupportedMediaType, #"got Content-Type "text/html""#,
            "application/x-ndjson", "multipart/form-data"),
        upload("no content type", type: nil, row, status: 415, .unsupportedMediaType, "application/x-ndjson"),
        upload("no content type and no body", type: nil, "", status: 415, .unsupportedMediaType),
        upload("no boundary", type: "multipart/form-data", "--xyz--", .invalidMultipart, "expected a boundary"),
        upload("an empty boundary", type: "multipart/form-data; boundary=", "--xyz--", .invalidMultipart, "expected"),
        upload(
            "a boundary of 71 characters",
            type: "multipart/form-data; boundary=\(String(repeating: "x", count: 71))", "", .invalidMultipart,
            "1 to 70 characters"),
        upload("an empty body", type: multipart, "", .uploadIncomplete, "before its last boundary"),
        upload("another boundary", type: multipart, "--abc\n\n--abc--\n", .uploadIncomplete),
        upload(
            "no last boundary", type: multipart,
            "--xyz\nContent-Disposition: form-data; name=\"rows\"\n\n\(row)\n", .uploadIncomplete,
            "before its last boundary"),
        upload(
            "an end within the last boundary", type: multipart,
            "--xyz\nContent-Disposition: form-data; name=\"rows\"\n\n\(row)\n--xyz-", .uploadIncomplete),
        upload(
            "an end within the headers", type: multipart, "--xyz\nContent-Disposition: form-da", .uploadIncomplete),
        upload(
            "a boundary with something after it", type: multipart,
            "--xyz\nContent-Disposition: form-data; name=\"rows\"\n\n\(row)\n--xyzzy\n", .invalidMultipart,
            "not followed by"),
        upload(
            "a part that no one reads", type: multipart,
            "--xyz\nContent-Disposition: form-data; name=\"captions\"\n\n\(row)\n--xyz--\n", .unknownField,
            field: "captions", "expected rows and vectors"),
        upload(
            "a part twice", type: multipart,
            "--xyz\nContent-Disposition: form-data; name=\"rows\"\n\n\(row)\n"
                + "--xyz\nContent-Disposition: form-data; name=\"rows\"\n\n\(row)\n--xyz--\n",
            .invalidMultipart, field: "rows", "got this part twice", "expected it once"),
        upload(
            "vectors of a key twice", type: multipart,
            "--xyz\nContent-Disposition: form-data; name=\"vectors.a\"\n\nx\n"
                + "--xyz\nContent-Disposition: form-data; name=\"vectors.a\"\n\nx\n--xyz--\n",
            .invalidMultipart, field: "vectors.a", "got this part twice"),
        upload(
            "vectors of a key that cannot be", type: multipart,
            "--xyz\nContent-Disposition: form-data; name=\"vectors.../rows\"\n\nx\n--xyz--\n", .invalidName,
            field: "vectors.../rows", "../rows"),
        upload(
            "vectors of a key without a name", type: multipart,
            "--xyz\nContent-Disposition: form-data; name=\"vectors.\"\n\nx\n--xyz--\n", .invalidName,
            field: "vectors."),
        upload(
            "too many parts of vectors", type: multipart,
            (0..<65).map { "--xyz\nContent-Disposition: form-data; name=\"vectors.k\($0)\"\n\nx\n" }.joined()
                + "--xyz--\n",
            .invalidMultipart, field: "vectors.k64", "64 parts"),
        upload(
            "a pooling that is none", type: "application/x-ndjson", row, options: "?pool=max", .invalidValue,
            field: "pool", #"got "max""#, "none, mean"),
        upload(
            "vectors without rows", type: multipart,
            "--xyz\nContent-Disposition: form-data; name=\"vectors\"\n\nx\n--xyz--\n", .missingField, field: "rows",
            "required"),
        upload("no part", type: multipart, "--xyz--\n", .missingField, field: "rows"),
        upload(
            "a part without a name", type: multipart, "--xyz\nContent-Disposition: form-data\n\n\(row)\n--xyz--\n",
            .invalidMultipart, "has no name", "expected Content-Disposition"),
        upload(
            "a part without a disposition", type: multipart, "--xyz\nContent-Type: text/plain\n\n\(row)\n--xyz--\n",
            .invalidMultipart, "has no name"),
        upload(
            "a part without headers", type: multipart, "--xyz\n\n\(row)\n--xyz--\n", .invalidMultipart, "has no name"),
        upload(
            "headers of 17 KB", type: multipart, "--xyz\nX: \(String(repeating: "x", count: 17 << 10))",
            .invalidMultipart, "over 16384 bytes"),
        upload(
            "an unknown option", type: "application/x-ndjson", row, options: "?builds=false", .unknownField,
            field: "builds", "expected one of build, caption_text"),
        upload(
            "an option that is no flag", type: "application/x-ndjson", row, options: "?build=no", .invalidValue,
            field: "build", #"got "no""#, "expected true or false"),
        Refusal(
            name: "an upload for what is not there", path: "/v1/datastores/nope/imports", body: .rows([row]),
            status: 404, code: .unknownDatastore, words: [#""nope""#]),
        Refusal(
            name: "an option beside JSON", path: "/v1/datastores/tiny/imports?build=false",
            body: .json(#"{"rows_path": "x"}"#), status: 400, code: .unknownField, field: "build"),
        Refusal(
            name: "JSON without a path", path: "/v1/datastores/tiny/imports", body: .json("{}"), status: 400,
            code: .missingField, field: "rows_path"),
        Refusal(
            name: "JSON with an unknown field", path: "/v1/datastores/tiny/imports",
            body: .json(#"{"rows_path": "x", "vector_path": "y"}"#), status: 400, code: .unknownField,
            field: "vector_path", words: ["expected one of", "vectors_path"]),
    ])
    func uploadsAreRefused(_ refusal: Refusal) async throws { try await refusal.check() }

    private static let rows = Data((Rows.four.joined(separator: "\n") + "\n").utf8)
    private static let bare = Data(
        """
        {"id": "a", "text": "one"}
        {"id": "b", "text": "two"}

        """.utf8)
    private static let vectors = Vectors(values: [1, 0, 0, 0, 0, 1, 0, 0], dim: 4).npy()

    @Test(arguments: [
        ("rows as they are", Body.other("application/x-ndjson", rows), 4),
        ("rows with a charset", .other("Application/X-NDJSON; charset=utf-8", rows), 4),
        ("gzip", .gzip(gzip(rows)), 4),
        ("gzip under the type of plain rows", .other("application/x-ndjson", gzip(rows)), 4),
        ("plain rows under the type of gzip", .gzip(rows), 4),
        ("parts", .multipart([("rows", bare), ("vectors", vectors)]), 2),
        ("parts, vectors first", .multipart([("vectors", vectors), ("rows", bare)]), 2),
        ("parts, rows gzip", .multipart([("rows", gzip(bare)), ("vectors", vectors)]), 2),
        ("parts, vectors of a key by its name", .multipart([("rows", bare), ("vectors.text", vectors)]), 2),
        ("a part of rows that carry their vectors", .multipart([("rows", rows)]), 4),
        (
            "a quoted boundary",
            .other(
                "multipart/form-data; charset=utf-8; boundary=\"x yz\"",
                Multipart.encode([("rows", rows)], boundary: "x yz")), 4
        ),
        (
            "preamble and epilogue",
            .other(
                multipart,
                Data("This is a multipart body.\r\n".utf8) + Multipart.encode([("rows", rows)])
                    + Data("--xyz\r\nThis is no part.\r\n".utf8)), 4
        ),
    ])
    func uploadsOfEveryFormAreImported(_ name: String, _ body: Body, _ count: Int) async throws {
        try await TestServer.run { server in
            try await server.create("new")
            let job = try await server.importing(body, into: "new")
            #expect(job.state == .succeeded, "\(name): \(job)")
            #expect(job.counts.accepted == count)
            #expect(job.version == 1)
            #expect(try server.staged() == [])
        }
    }

    @Test func anUploadOverTheLimitIsRefused() async throws {
        try await TestServer.run(configuration: ServerConfiguration(uploadLimit: 1000)) { server in
            try await server.create("new")
            let before = try await server.state()
            let rows = Body.rows([String](repeating: Self.row, count: 100))
            try await server.post("/v1/datastores/new/imports", rows).expectProblem(
                413, .bodyTooLarge, saying: ["1000 bytes"])
            try await server.post(
                "/v1/datastores/new/imports", .multipart([("rows", try #require(rows.data))])
            ).expectProblem(413, .bodyTooLarge, saying: ["1000 bytes"])
            #expect(try await server.state() == before)
        }
    }

    private static func gzip(_ data: Data) -> Data { Gzip.stored(data) }
}

/// A gzip member with the data stored as it is: enough for readers, and needs no compressor.
enum Gzip {
    static func stored(_ data: Data) -> Data {
        precondition(data.count < 65536)
        var member = Data([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255, 1])
        for value in [UInt16(data.count), ~UInt16(data.count)] {
            withUnsafeBytes(of: value.littleEndian) { member.append(contentsOf: $0) }
        }
        member += data
        for value in [crc32(data), UInt32(data.count)] {
            withUnsafeBytes(of: value.littleEndian) { member.append(contentsOf: $0) }
        }
        return member
    }

    private static func crc32(_ data: Data) -> UInt32 {
        var crc = ~UInt32(0)
        for byte in data {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0xEDB8_8320 : crc >> 1 }
        }
        return ~crc
    }
}
