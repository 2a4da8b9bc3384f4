import DatastoreCore
import DatastoreImport
import Foundation
import TestSupport
import Testing

/// Whatever the bytes are: records or a `DatastoreError`, and every row seen is one record.
struct ImportReaderFuzzTests {
    private let folder: TemporaryDirectory
    private let key = KeySpec(name: "text", dim: 3, metric: .cosine)

    init() throws {
        folder = try TemporaryDirectory()
    }

    private struct Row {
        var fields: EntryFields
        var vector: [Float]

        /// The row as a line that has its vector in one form or the other, or none.
        func line(withVector form: Int) throws -> String {
            var object: [String: JSONValue] = ["text": .string(fields.text)]
            object["id"] = fields.externalID.map { .string($0) }
            object["image_id"] = fields.imageID.map { .string($0) }
            object["origin"] = fields.origin.map { .string($0.rawValue) }
            object["lang"] = fields.lang.map { .string($0) }
            object["source"] = fields.source.map { .string($0) }
            object["payload"] = fields.payload
            if form == 1 { object["vector"] = .array(vector.map { .number(Double($0)) }) }
            if form == 2 { object["vector_base64"] = .string(QueryVectors.base64(vector)) }
            return String(decoding: try WireJSON.encode(JSONValue.object(object)), as: UTF8.self)
        }
    }

    private func makeRows(_ count: Int, seed: UInt64) -> [Row] {
        var random = SeededGenerator(seed: seed)
        let letters = Array("abc äß漢😀\"\\/{}[]:,\u{1}\t\u{301}'0")
        func word(_ length: Int) -> String {
            "<" + String((0..<length).map { _ in letters[Int.random(in: 0..<letters.count, using: &random)] }) + ">"
        }
        func maybe<Value>(_ value: @autoclosure () -> Value) -> Value? {
            Bool.random(using: &random) ? value() : nil
        }
        return (0..<count).map { index in
            let values: [JSONValue] = [.null, .bool(true), .integer(-5), .number(0.25)]
            let payload = JSONValue.object([word(3): .array(values), "k": .string(word(5))])
            let fields = EntryFields(
                externalID: maybe("\(index)" + word(4)), text: word(Int.random(in: 0...30, using: &random)),
                imageID: maybe(word(2)), origin: maybe(.web), lang: maybe("de"), source: maybe(word(1)),
                payload: maybe(payload))
            let vector = (0..<3).map { _ in Float.random(in: -2...2, using: &random) }
            return Row(fields: fields, vector: vector)
        }
    }

    @Test(arguments: [0, 1, 2], [false, true])
    func randomRowsComeBackAsTheyWere(vectorForm: Int, isGzip: Bool) throws {
        let rows = makeRows(300, seed: 6)
        let lines = try rows.map { try $0.line(withVector: vectorForm) }
        let starts = lines.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.utf8.count + 1) }
        let text = Array(lines.joined(separator: "\n").utf8)
        let rowsPath = try folder.write("rows", isGzip ? try gzip(text) : text)
        let npy = NumpyFixture(rows: rows.map(\.vector), dim: 3).bytes
        let vectorsPath = vectorForm == 0 ? try folder.write("vectors.npy", npy) : nil
        let reader = try ImportReader(
            rowsPath: rowsPath, vectorsPath: vectorsPath, key: key, options: ImportOptions(format: .ndjson))
        let (records, error) = reader.readAll()
        #expect(error == nil)
        let expected = rows.enumerated().map { index, row in
            ImportRow(row: index + 1, line: index + 1, byte: starts[index], fields: row.fields, vector: row.vector)
        }
        #expect(records == expected.map(ImportRecord.row))
    }

    /// Cuts the bytes somewhere, or changes up to four of them.
    private func damage(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        guard Int.random(in: 0..<3, using: &random) > 0 else {
            return Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
        }
        var damaged = bytes
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            damaged[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        return damaged
    }

    /// Returns how the reading ended, after checking what holds in any case.
    private func read(_ rowsPath: String, _ vectorsPath: String?) -> (records: [ImportRecord], error: DatastoreError?) {
        do {
            let reader = try ImportReader(
                rowsPath: rowsPath, vectorsPath: vectorsPath, key: key, options: ImportOptions(format: .ndjson))
            let (records, error) = reader.readAll()
            #expect(error == nil || error is DatastoreError)
            let rows = records.compactMap(\.row)
            let rejects = records.compactMap(\.reject)
            #expect(reader.rowsSeen == rows.count + rejects.count)
            #expect(reader.bytesRead <= reader.totalBytes)
            #expect(rows.allSatisfy { $0.vector?.count == 3 && $0.vector?.allSatisfy(\.isFinite) == true })
            #expect(rows.allSatisfy { !$0.fields.text.isEmpty })
            return (records, error as? DatastoreError)
        } catch {
            #expect(error is DatastoreError)
            return ([], error as? DatastoreError)
        }
    }

    @Test func damagedRowsAreRecordsOneByOne() throws {
        let rows = makeRows(20, seed: 7)
        let text = Array(try rows.enumerated().map { try $1.line(withVector: 1 + $0 % 2) }.joined(separator: "\n").utf8)
        var random = SeededGenerator(seed: 8)
        var rejected = 0
        for _ in 0..<300 {
            let damaged = damage(text, &random)
            let (records, error) = read(try folder.write("rows.jsonl", damaged), nil)
            let isGzip = damaged.starts(with: [0x1F, 0x8B])
            #expect(error == nil || isGzip)
            let lines = damaged.split(separator: 0x0A).filter { !$0.allSatisfy { [0x20, 0x09, 0x0D].contains($0) } }
            #expect(records.count == lines.count || isGzip)
            rejected += records.compactMap(\.reject).count
        }
        #expect(rejected > 100)
    }

    @Test func damagedGzipIsAnErrorOrRecords() throws {
        let rows = makeRows(50, seed: 9)
        let file = try gzip(Array(try rows.map { try $0.line(withVector: 1) }.joined(separator: "\n").utf8))
        var random = SeededGenerator(seed: 10)
        var codes: Set<ErrorCode> = []
        for _ in 0..<300 {
            let damaged = damage(file, &random)
            let (records, error) = read(try folder.write("rows.gz", damaged), nil)
            if let error { codes.insert(error.code) }
            // Nothing passes for the whole file but the whole file, unless it no longer says that it is gzip.
            if error == nil, damaged.starts(with: [0x1F, 0x8B]) { #expect(records.compactMap(\.row).count == 50) }
        }
        #expect(codes == [.gzipTruncated, .gzipCorrupt])
    }

    @Test func damagedNumpyIsAnErrorOrRecords() throws {
        let rows = makeRows(10, seed: 11)
        let text = try rows.map { try $0.line(withVector: 0) }.joined(separator: "\n")
        let rowsPath = try folder.write("rows.jsonl", text)
        let file = NumpyFixture(rows: rows.map(\.vector), dim: 3).bytes
        var random = SeededGenerator(seed: 12)
        var codes: Set<ErrorCode> = []
        for _ in 0..<300 {
            let damaged = damage(file, &random)
            let (records, error) = read(rowsPath, try folder.write("vectors.npy", damaged))
            if let error { codes.insert(error.code) } else { #expect(records.count == 10) }
        }
        #expect(codes.isSuperset(of: [.npyNotNumpy, .npyInvalidHeader, .npyTruncated]))
    }
}
