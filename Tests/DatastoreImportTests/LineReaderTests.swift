import DatastoreCore
import DatastoreImport
import TestSupport
import Testing

struct LineReaderTests {
    private struct Line: Equatable {
        var number: Int
        var text: String
        var isTooLong = false
    }

    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
    }

    private func lines(_ bytes: [UInt8], maximum: Int = 1000, chunkSize: Int) throws -> [Line] {
        let source = try ByteSource(path: try folder.write("lines", bytes))
        let reader = LineReader(source: source, maximumLineBytes: maximum, chunkSize: chunkSize)
        var lines: [Line] = []
        while let line = try reader.withNextLine({ line in
            Line(number: line.line, text: String(decoding: line.bytes, as: UTF8.self), isTooLong: line.isTooLong)
        }) {
            lines.append(line)
        }
        return lines
    }

    @Test(arguments: [1, 2, 3, 5, 64, 4096])
    func linesEndWithNewlineOrFile(chunkSize: Int) throws {
        let expected = ["one", "", "two\r ", "three", "", "vier ü"].enumerated().map { Line(number: $0 + 1, text: $1) }
        let text = "one\n\ntwo\r \r\nthree\r\n\r\nvier ü"
        #expect(try lines(Array(text.utf8), chunkSize: chunkSize) == expected)
        #expect(try lines(Array((text + "\n").utf8), chunkSize: chunkSize) == expected)
        #expect(try lines(Array((text + "\r\n").utf8), chunkSize: chunkSize) == expected)
    }

    @Test(arguments: [1, 2, 4096])
    func emptyFileHasNoLines(chunkSize: Int) throws {
        #expect(try lines([], chunkSize: chunkSize) == [])
        #expect(try lines([0x0A], chunkSize: chunkSize) == [Line(number: 1, text: "")])
    }

    @Test(arguments: [1, 2, 3, 4, 4096])
    func byteOrderMarkIsSkippedAtTheStartOnly(chunkSize: Int) throws {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let got = try lines(mark + [0x61, 0x0A] + mark + [0x62], chunkSize: chunkSize)
        #expect(got == [Line(number: 1, text: "a"), Line(number: 2, text: "\u{FEFF}b")])
        #expect(try lines(mark, chunkSize: chunkSize) == [])
        #expect(
            try lines(mark + Array("12345\r\n".utf8), maximum: 5, chunkSize: chunkSize)
                == [Line(number: 1, text: "12345")])
    }

    @Test(arguments: [1, 2, 7, 64, 4096, 100_000])
    func longLineIsSkippedAndReadingGoesOn(chunkSize: Int) throws {
        let long = String(repeating: "x", count: 30_000)
        let text = "12345\n\(long)\n123456\nend\r\n\(long)"
        let got = try lines(Array(text.utf8), maximum: 5, chunkSize: chunkSize)
        #expect(got.map(\.number) == [1, 2, 3, 4, 5])
        #expect(got.map(\.isTooLong) == [false, true, true, false, true])
        #expect(got[3].text == "end")
        #expect(got[2].text == "123456")
        #expect(long.hasPrefix(got[1].text) && got[1].text.count <= RawRow.excerptBytes)
        #expect(!got[1].text.isEmpty)
    }

    @Test func longLineIsReportedWithItsLength() throws {
        let source = try ByteSource(path: try folder.write("lines", String(repeating: "x", count: 5000) + "\ny"))
        let reader = LineReader(source: source, maximumLineBytes: 10, chunkSize: 16)
        #expect(try reader.withNextLine(\.length) == 5000)
        #expect(try reader.withNextLine(\.length) == 1)
        #expect(try reader.withNextLine(\.length) == nil)
        #expect(try reader.withNextLine(\.length) == nil)
    }

    @Test func randomLinesAreSplitAsStringsAre() throws {
        var random = SeededGenerator(seed: 3)
        for chunkSize in [1, 2, 3, 13, 100, 1000] {
            let expected = (0..<200).map { _ in
                String(repeating: "ab", count: Int.random(in: 0...60, using: &random))
            }
            let text = expected.map { $0 + (Bool.random(using: &random) ? "\n" : "\r\n") }.joined()
            let got = try lines(Array(text.utf8), chunkSize: chunkSize)
            #expect(got.map(\.text) == expected)
            #expect(got.map(\.number) == Array(1...200))
        }
    }

    @Test func errorOfTheClosureLeavesTheReaderBehindTheLine() throws {
        struct Stop: Error {}
        let reader = LineReader(source: try ByteSource(path: try folder.write("lines", "a\nb\n")))
        #expect(throws: Stop.self) { try reader.withNextLine { _ in throw Stop() } }
        #expect(try reader.withNextLine(\.line) == 2)
    }
}
