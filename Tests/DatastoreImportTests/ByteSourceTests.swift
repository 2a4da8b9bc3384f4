import DatastoreCore
import DatastoreImport
import Foundation
import TestSupport
import Testing

struct ByteSourceTests {
    private let folder: TemporaryDirectory
    private let content: [UInt8]

    init() throws {
        folder = try TemporaryDirectory()
        var random = SeededGenerator(seed: 1)
        // Partly compressible, so that matches cross the ends of small output buffers.
        content = (0..<20_000).map { $0 % 3 == 0 ? UInt8.random(in: 0...255, using: &random) : 0x61 }
    }

    @Test func plainFileIsGivenAsItIs() throws {
        let source = try ByteSource(path: try folder.write("rows.jsonl.gz", content))
        #expect(!source.isGzip)
        #expect(source.name == "rows.jsonl.gz")
        #expect(try source.readAll() == content)
        #expect(source.bytesRead == content.count)
        #expect(source.totalBytes == content.count)
    }

    @Test func emptyFileHasNoBytes() throws {
        #expect(try ByteSource(path: try folder.write("empty", [])).readAll() == [])
        #expect(try ByteSource(path: try folder.write("one", [0x1F])).readAll() == [0x1F])
    }

    @Test(arguments: [1, 2, 7, 4096, 100_000], [1, 3, 4096])
    func gzipIsRecognisedByItsBytesAndInflated(step: Int, chunkSize: Int) throws {
        let file = try gzip(content)
        let source = try ByteSource(path: try folder.write("rows.txt", file), chunkSize: chunkSize)
        #expect(source.isGzip)
        #expect(try source.readAll(step: step) == content)
        #expect(source.bytesRead == file.count)
        #expect(source.totalBytes == file.count)
        #expect(try source.readAll() == [], "stays at its end")
    }

    @Test(arguments: [1, 5, 4096])
    func gzipMembersFollowEachOther(chunkSize: Int) throws {
        let parts: [[UInt8]] = [content, [], Array("last".utf8), Array(repeating: 0x62, count: 70_000)]
        let file = try parts.flatMap { try gzip($0) }
        let source = try ByteSource(path: try folder.write("rows.gz", file), chunkSize: chunkSize)
        #expect(try source.readAll() == parts.flatMap { $0 })
    }

    @Test func gzipCutAnywhereIsTruncated() throws {
        let first = try gzip(Array("first member".utf8))
        let file = try first + gzip(Array("second member, a little longer than the first".utf8))
        for length in 2..<file.count where length != first.count {
            let path = try folder.write("cut.gz", Array(file.prefix(length)))
            let error = datastoreError { _ = try ByteSource(path: path).readAll() }
            #expect(error?.code == .gzipTruncated, "cut to \(length) bytes")
            #expect(error?.detail.contains("cut.gz") == true)
            #expect(error?.detail.contains("byte \(length)") == true)
        }
    }

    @Test func gzipWithDamagedChecksumOrLengthIsCorrupt() throws {
        let file = try gzip(content)
        for position in file.count - 8..<file.count {
            var damaged = file
            damaged[position] ^= 0x10
            let path = try folder.write("damaged.gz", damaged)
            let error = datastoreError { _ = try ByteSource(path: path).readAll() }
            #expect(error?.code == .gzipCorrupt)
            #expect(error?.detail.contains("damaged.gz") == true)
        }
    }

    @Test func gzipWithDamagedDataNeverPassesForWhole() throws {
        let file = try gzip(content)
        var random = SeededGenerator(seed: 2)
        for _ in 0..<200 {
            var damaged = file
            let position = Int.random(in: 10..<file.count, using: &random)
            damaged[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            let path = try folder.write("damaged.gz", damaged)
            let code = datastoreError { _ = try ByteSource(path: path).readAll() }?.code
            #expect(code == .gzipCorrupt || code == .gzipTruncated)
        }
    }

    @Test(arguments: [[0x00], [0x1F, 0x00], Array("garbage".utf8)])
    func bytesBehindGzipAreCorrupt(garbage: [UInt8]) throws {
        let file = try gzip(content)
        let path = try folder.write("tail.gz", file + garbage)
        let error = datastoreError { _ = try ByteSource(path: path).readAll() }
        #expect(error?.code == .gzipCorrupt)
    }

    @Test func corruptGzipIsNamedWithItsOffset() throws {
        let file = try gzip(content)
        let path = try folder.write("tail.gz", file + [0x41])
        let error = datastoreError { _ = try ByteSource(path: path).readAll() }
        #expect(error?.detail.contains("tail.gz: corrupt gzip data at compressed byte \(file.count)") == true)
    }

    @Test func whatIsNoReadableFileIsRefused() throws {
        let folderPath = folder.url.path()
        let pipe = folder.url.appending(path: "pipe").path()
        try #require(mkfifo(pipe, 0o600) == 0)
        for path in ["\(folderPath)/missing", folderPath, pipe, "/dev/null", "", "\(folderPath)/a\0b"] {
            let error = datastoreError { _ = try ByteSource(path: path) }
            #expect(error?.code == .sourceUnreadable, "\(path)")
        }
        let error = datastoreError { _ = try ByteSource(path: "\(folderPath)/missing") }
        #expect(error?.detail == "missing: cannot be read: No such file or directory")
    }
}
