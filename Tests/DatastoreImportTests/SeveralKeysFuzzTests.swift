import DatastoreCore
import DatastoreImport
import Foundation
import TestSupport
import Testing

/// Whatever the bytes are: records or a `DatastoreError`, and each accepted row has a lawful vector for every key.
struct SeveralKeysFuzzTests {
    private var fixture: KeysFixture

    init() throws {
        fixture = try KeysFixture()
    }

    /// Rows of which each has its vectors in another form, with what they are.
    private func makeRows(
        _ count: Int, seed: UInt64, pools: Bool = false
    ) -> (lines: [String], vectors: [[KeyVector?]]) {
        var random = SeededGenerator(seed: seed)
        let words = fixture.words ?? []
        func array(_ values: [some Any]) -> String { "[" + values.map { "\($0)" }.joined(separator: ",") + "]" }
        func vector(_ dim: Int) -> (values: [Float], json: String) {
            let values = (0..<dim).map { _ in Float.random(in: -2...2, using: &random) }
            switch Int.random(in: 0..<(pools ? 4 : 2), using: &random) {
            case 0: return (values, "\"\(QueryVectors.base64(values))\"")
            case 1: return (values, array(values))
            case 2: return (values, array([array(values)]))
            default: return (values, array([array(values.map { 2 * $0 }), array(values.map { _ in 0 })]))
            }
        }
        func weights() -> (SparseVector, json: String) {
            let places = (0..<words.count).filter { _ in Bool.random(using: &random) }.shuffled(using: &random)
            let values = places.map { _ in Float.random(in: 0.01...5, using: &random) }
            let sorted = zip(places, values).sorted { $0.0 < $1.0 }
            let vector = SparseVector(ascending: sorted.map { UInt32($0.0) }, values: sorted.map(\.1))
            guard Bool.random(using: &random) else {
                return (vector, #"{"indices":\#(array(places)),"values":\#(array(values))}"#)
            }
            let members = zip(places, values).map { "\"\(words[$0].replacing("\"", with: "\\\""))\":\($1)" }
            return (vector, "{\(members.joined(separator: ","))}")
        }
        var lines: [String] = []
        var vectors: [[KeyVector?]] = []
        for row in 0..<count {
            let (lexical, text, image) = (weights(), vector(2), vector(3))
            let members = [#""lexical":\#(lexical.json)"#, #""text":\#(text.json)"#, #""image":\#(image.json)"#]
            lines.append(
                #"{"id":\#(row),"text":"row","vectors":{\#(members.shuffled(using: &random).joined(separator: ","))}}"#)
            vectors.append([.sparse(lexical.0), .dense(text.values), .dense(image.values)])
        }
        return (lines, vectors)
    }

    @Test(arguments: [false, true])
    func randomRowsComeBackAsTheyWere(pools: Bool) throws {
        var fixture = fixture
        fixture.options.pool = pools ? .mean : .none
        let rows = makeRows(300, seed: 41, pools: pools)
        for chunkSize in [7, ByteSource.defaultChunkSize] {
            fixture.chunkSize = chunkSize
            let (records, error) = try fixture.reader(rows.lines).readAll()
            #expect(error == nil)
            #expect(records.map(\.row?.vectors) == rows.vectors)
        }
    }

    private func damage(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        let marks = Array(#"{}[]",:NIe-0.9\ntrue"#.utf8)
        var damaged = bytes
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let place = Int.random(in: 0..<damaged.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: damaged[place] = UInt8.random(in: 0...255, using: &random)
            case 1: damaged.remove(at: place)
            case 2: damaged.insert(marks[Int.random(in: 0..<marks.count, using: &random)], at: place)
            case 3:
                damaged.insert(
                    contentsOf: ["NaN", "-Infinity", "1e99", "null", "[[", "{}"].randomElement(using: &random)?.utf8.map
                    { $0 } ?? [], at: place)
            case 4: damaged.removeSubrange(place..<min(damaged.count, place + 20))
            default: damaged[place] = marks[Int.random(in: 0..<marks.count, using: &random)]
            }
        }
        return damaged
    }

    private func isLawful(_ row: ImportRow) -> Bool {
        guard row.vectors.count == 3, let weights = row.vectors[0]?.weights, !row.fields.text.isEmpty else {
            return false
        }
        return zip(weights.indices, weights.indices.dropFirst()).allSatisfy { $0 < $1 }
            && weights.indices.allSatisfy { $0 < 8 } && weights.values.allSatisfy { $0 > 0 && $0.isFinite }
            && row.vectors[1]?.numbers.count == 2 && row.vectors[2]?.numbers.count == 3
            && row.vectors.allSatisfy { $0?.numbers.allSatisfy(\.isFinite) == true }
    }

    @Test(arguments: [false, true])
    func damagedRowsAreRecordsOneByOne(pools: Bool) throws {
        var fixture = fixture
        fixture.options.pool = pools ? .mean : .none
        let text = Array(makeRows(12, seed: 42, pools: pools).lines.joined(separator: "\n").utf8)
        var random = SeededGenerator(seed: 43)
        var codes: [ErrorCode: Int] = [:]
        for _ in 0..<500 {
            let damaged = damage(text, &random)
            let lines = damaged.split(separator: 0x0A).filter { !$0.allSatisfy { [0x20, 0x09, 0x0D].contains($0) } }
            let reader = try fixture.reader(bytes: damaged)
            let (records, error) = reader.readAll()
            #expect(error == nil)
            #expect(records.count == lines.count)
            let rows = records.compactMap(\.row)
            #expect(rows.allSatisfy(isLawful))
            #expect(reader.rowsSeen == rows.count + records.compactMap(\.reject).count)
            for reject in records.compactMap(\.reject) { codes[reject.code, default: 0] += 1 }
        }
        let found: Set<ErrorCode> = [
            .invalidJSON, .unknownTerm, .unknownKey, .missingVector, .vectorDimMismatch, .invalidBase64, .invalidValue,
            .weightNotFinite, .sparseRagged,
        ]
        #expect(Set(codes.keys).isSuperset(of: found), "\(codes)")
    }

    @Test func damagedStacksAreAnErrorOrRecords() throws {
        var fixture = fixture
        fixture.options.pool = .mean
        fixture.encodes = ["text"]
        fixture.chunkSize = 50
        var random = SeededGenerator(seed: 44)
        let stacks: [[[Float]]] = (0..<10).map { _ in
            (0..<4).map { _ in (0..<3).map { _ in Float.random(in: -2...2, using: &random) } }
        }
        let file = NumpyFixture(stacks: stacks, vectorsPerRow: 4, dim: 3).bytes
        let lines = Array(repeating: #"{"text":"a","vectors":{"lexical":{}}}"#, count: 10).joined(separator: "\n")
        let rows = try fixture.folder.write("rows", lines)
        for _ in 0..<300 {
            let image = try fixture.folder.write("image.npy", damage(file, &random))
            do {
                let reader = try ImportReader(
                    rowsPath: rows, vectors: ["image": image], keys: fixture.keys, options: fixture.options,
                    encodes: fixture.encodes, chunkSize: fixture.chunkSize)
                let (records, error) = reader.readAll()
                #expect(error == nil || (error as? DatastoreError)?.code == .rowsVectorsMismatch)
                #expect(records.count == 10 || error != nil)
                #expect(records.compactMap(\.row).allSatisfy { $0.vectors[2]?.numbers.allSatisfy(\.isFinite) == true })
            } catch {
                #expect(error is DatastoreError)
            }
        }
    }
}
