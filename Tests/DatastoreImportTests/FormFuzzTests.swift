import DatastoreCore
import DatastoreImport
import TestSupport
import Testing

/// Whatever the bytes of a file are, and however they come: rows and rejects that add up, or an error that names the
/// file.
struct FormFuzzTests {
    private let rows: RowsFixture

    init() throws {
        rows = try RowsFixture()
    }

    private struct Reading: Equatable {
        var format: ImportFormat?
        var records: [ImportRecord] = []
        var error: DatastoreError?
    }

    /// What comes of reading, after checking what holds in any case.
    private func read(_ bytes: [UInt8], _ format: ImportFormat, chunkSize: Int, maximumRowBytes: Int = 400) -> Reading {
        var reading = Reading()
        do {
            let reader = try rows.reader(
                bytes, ImportOptions(format: format), maximumRowBytes: maximumRowBytes, chunkSize: chunkSize)
            let (records, error) = reader.readAll()
            reading = Reading(format: reader.format, records: records, error: error as? DatastoreError)
            #expect(error == nil || error is DatastoreError)
            #expect(reader.rowsSeen == records.compactMap(\.row).count + records.compactMap(\.reject).count)
            #expect(records.map { $0.row?.row ?? $0.reject?.row } == records.indices.map { $0 + 1 })
            #expect(reader.bytesRead <= reader.totalBytes)
            let places = records.compactMap { $0.row?.byte ?? $0.reject?.byte }
            #expect(places == places.sorted())
            #expect((places.last ?? 0) < max(1, bytes.count))
        } catch {
            #expect(error is DatastoreError)
            reading.error = error as? DatastoreError
        }
        if let error = reading.error {
            #expect(error.detail.hasPrefix("rows: "))
            if error.code == .invalidJSON { #expect(error.detail.contains("byte ") && error.detail.contains("line ")) }
        }
        return reading
    }

    @Test(arguments: FormSamples.formats)
    func damagedFilesAreRecordsOrAnError(format: ImportFormat) throws {
        let sample = Array(try #require(FormSamples.all[format]).utf8)
        let whole = read(sample, .auto, chunkSize: 100_000)
        #expect(whole.format == format)
        #expect(whole.error == nil)
        #expect(whole.records.count == (format == .csv ? 24 : 12))
        #expect(whole.records.allSatisfy { $0.row != nil })
        for chunkSize in [1, 2, 3, 7, 64] { #expect(read(sample, .auto, chunkSize: chunkSize) == whole) }

        var random = SeededGenerator(seed: 13)
        for turn in 0..<100 {
            var damaged = sample
            if turn % 2 == 0 {
                damaged.removeLast(Int.random(in: 1...sample.count, using: &random))
            } else {
                for _ in 0..<Int.random(in: 1...3, using: &random) {
                    let marks: [UInt8] = [0x22, 0x5B, 0x7D, 0x2C, 0x0A, 0x00, 0x5C]
                    let any = UInt8.random(in: 0...255, using: &random)
                    let byte = any < 128 ? marks[Int(any) % marks.count] : any
                    damaged[Int.random(in: 0..<sample.count, using: &random)] = byte
                }
            }
            for asked in [format, .auto] {
                let reading = read(damaged, asked, chunkSize: 100_000)
                #expect(read(damaged, asked, chunkSize: 5) == reading, "in small pieces")
                // What follows the damage is read, unless the structure of the document is lost.
                if asked == format, reading.error == nil, turn % 2 == 1 { #expect(!reading.records.isEmpty) }
            }
        }
    }

    @Test(arguments: ImportFormat.allCases)
    func noiseIsNeverACrash(format: ImportFormat) {
        var random = SeededGenerator(seed: 14)
        let alphabets = [Array(0...255), Array("{}[]\",:\\ \n\t|#;a1".utf8), Array("[{\"text\":1,}]\n".utf8)]
        for turn in 0..<90 {
            let alphabet: [UInt8] = alphabets[turn % 3]
            let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
            let reading = read(bytes, format, chunkSize: 64, maximumRowBytes: 50)
            #expect(reading.error != nil || reading.format != nil)
        }
    }
}
