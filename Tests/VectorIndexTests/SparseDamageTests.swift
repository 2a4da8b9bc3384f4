import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// Files of sparse keys that are damaged anywhere are an error or give an answer, and never crash.
struct SparseDamageTests {

    /// Rows at even and uneven distances, weights that repeat and that do not: blocks of every form.
    private static func sample() -> SparseFixture {
        var random = SeededGenerator(seed: 1)
        let documents = (0..<300).map { row -> SparseVector in
            var weights: [UInt32: Float] = [0: 1]
            if row % 2 == 0 { weights[1] = Float(row % 7 + 1) }
            if row % 50 == 0 { weights[2] = Float(row + 1) }
            if row == 1 || row == 290 { weights[5] = 2 }
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                weights[.random(in: 3...8, using: &random)] = .random(in: 0.1...9, using: &random)
            }
            let indices = weights.keys.sorted()
            return SparseVector(ascending: indices, values: indices.compactMap { weights[$0] })
        }
        return SparseFixture(documents: documents, terms: 10)
    }

    private static let queries = [
        SparseVector(ascending: [0], values: [1]), SparseVector(ascending: [1, 2, 5], values: [1, 2, 3]),
        SparseVector(ascending: [0, 1, 3, 4, 6, 7, 8], values: [1, 1, 2, -1, 2, 3, 1]),
    ]

    /// Opens what is there and asks it everything.
    ///
    /// - Returns: whether it could be opened.
    @discardableResult
    private static func ask(
        _ name: String, in folder: TemporaryDirectory, windowSize: Int, _ what: @autoclosure () -> String
    ) -> Bool {
        do {
            let index = try SparseFixture.open(name, in: folder, windowSize: windowSize)
            let answers = queries.map { index.search($0, limit: 7) } + [index.scan(queries[2], limit: 7)]
            for hits in answers {
                #expect(hits.count <= 7, "\(what())")
                #expect(hits.allSatisfy { (0..<index.count).contains($0.row) }, "\(what())")
            }
            for row in stride(from: 0, to: index.count, by: 61) {
                let vector = index.vectors.vector(row: row)
                #expect(zip(vector.indices, vector.indices.dropFirst()).allSatisfy { $0 < $1 }, "\(what())")
                #expect(vector.values.allSatisfy { $0.isFinite && $0 != 0 }, "\(what())")
                _ = index.score(queries[2], row: row)
                #expect(index.matches(queries[2], row: row).count <= queries[2].count, "\(what())")
            }
            _ = index.vectors.row(ofID: 9)
            return true
        } catch let error as DatastoreError {
            #expect([.versionDamaged, .newerFormat].contains(error.code), "\(what()): \(error)")
            return false
        } catch {
            Issue.record("\(what()): \(error)")
            return false
        }
    }

    @Test(arguments: ["vectors", "postings"])
    func aFileThatIsCutOrGrownIsRefused(file: String) throws {
        let folder = try TemporaryDirectory()
        try Self.sample().write("whole", in: folder)
        try Self.sample().write("v", in: folder)
        #expect(Self.ask("v", in: folder, windowSize: 64, "whole"))
        let whole = try Data(contentsOf: folder.file("whole.\(file)"))
        for length in Array(0..<100) + Array(stride(from: 100, to: whole.count, by: 13)) + [whole.count - 1] {
            try whole.prefix(length).write(to: folder.file("v.\(file)"))
            #expect(!Self.ask("v", in: folder, windowSize: 64, "\(length) bytes"), "\(length) of \(whole.count) bytes")
        }
        for more in [1, 8, 16, 24, 64] {
            try (whole + Data(repeating: 0, count: more)).write(to: folder.file("v.\(file)"))
            #expect(!Self.ask("v", in: folder, windowSize: 64, "\(more) more"), "\(more) more")
        }
    }

    @Test(arguments: ["vectors", "postings"], [UInt8(0xFF), 0x01, 0x80])
    func noByteThatIsChangedCrashes(file: String, mask: UInt8) throws {
        let folder = try TemporaryDirectory()
        try Self.sample().write("whole", in: folder)
        try Self.sample().write("v", in: folder)
        let whole = try Data(contentsOf: folder.file("whole.\(file)"))
        let handle = try FileHandle(forUpdating: folder.file("v.\(file)"))
        var opened = 0
        for offset in whole.indices where offset < 64 || mask == 0xFF || offset % 11 == 0 {
            try handle.seek(toOffset: UInt64(offset))
            try handle.write(contentsOf: [whole[offset] ^ mask])
            if Self.ask("v", in: folder, windowSize: offset % 2 == 0 ? 64 : 1 << 16, "byte \(offset)") { opened += 1 }
            try handle.seek(toOffset: UInt64(offset))
            try handle.write(contentsOf: [whole[offset]])
        }
        #expect(opened > 0)
    }

    @Test(arguments: ["vectors", "postings"], 0..<2)
    func noManyBytesThatAreChangedCrash(file: String, seed: Int) throws {
        let folder = try TemporaryDirectory()
        try Self.sample().write("whole", in: folder)
        try Self.sample().write("v", in: folder)
        let whole = try Data(contentsOf: folder.file("whole.\(file)"))
        var random = SeededGenerator(seed: UInt64(seed) + 20)
        let edges: [UInt8] = [0, 1, 0x7F, 0x80, 0xFF]
        for turn in 0..<600 {
            var changed = whole
            // Most behind the header, where the checks at the opening let more pass.
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let offset = Int.random(in: (turn % 4 == 0 ? 16 : 64)..<whole.count, using: &random)
                changed[offset] =
                    turn % 2 == 0 ? edges.randomElement(using: &random) ?? 0 : .random(in: 0...255, using: &random)
            }
            try changed.write(to: folder.file("v.\(file)"))
            Self.ask("v", in: folder, windowSize: turn % 3 == 0 ? 50 : 1 << 16, "turn \(turn)")
        }
    }

    @Test func postingsThatCannotBeReadDoNotChangeTheAnswer() throws {
        let folder = try TemporaryDirectory()
        let fixture = Self.sample()
        try fixture.write("v", in: folder)
        let file = folder.file("v.postings")
        let whole = try Data(contentsOf: file)
        func number(_ offset: Int) -> Int {
            whole.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
        }
        let (blocks, dataCount) = (number(40), number(48))
        let table = (64 + dataCount + 7) / 8 * 8
        var compressed = 0
        for block in 0..<blocks where whole[table + block * 24 + 23] & 16 != 0 {
            compressed += 1
            let offset = number(table + block * 24)
            var changed = whole
            // A token that asks for more bytes than there are.
            for byte in 0..<3 { changed[64 + offset + byte] = 0xFF }
            try changed.write(to: file)
            let index = try SparseFixture.open("v", in: folder)
            for query in Self.queries {
                fixture.check(index, query, limits: [1, 10, 1000], "block \(block)")
                // Nothing of the search that failed is left for the next.
                fixture.check(index, query, limits: [10], "block \(block) again")
            }
        }
        #expect(compressed > 0)
    }

    @Test func aVocabularyThatIsDamagedNeverCrashes() throws {
        let folder = try TemporaryDirectory()
        let terms = ["red", "green", "日本", "é", "b", "blue", "x", "##ing"]
        try VocabularyWriter.write(terms, to: folder.file("w").path)
        let whole = try Data(contentsOf: folder.file("w"))
        func ask(_ data: Data, _ what: String) throws -> Bool {
            let file = try folder.write("changed", data)
            do {
                let vocabulary = try Vocabulary(path: file.path)
                for index in 0..<UInt32(vocabulary.count) {
                    let term = try #require(vocabulary.term(index), "\(what)")
                    #expect(vocabulary.index(of: term) == index, "\(what)")
                }
                for term in terms { _ = vocabulary.index(of: term) }
                return true
            } catch let error as DatastoreError {
                #expect([.versionDamaged, .newerFormat].contains(error.code), "\(what): \(error)")
                return false
            }
        }
        #expect(try ask(whole, "whole"))
        for length in 0..<whole.count { #expect(try !ask(whole.prefix(length), "\(length) bytes")) }
        for offset in whole.indices {
            for mask: UInt8 in [1, 0x20, 0x80, 0xFF] {
                var changed = whole
                changed[offset] ^= mask
                _ = try ask(changed, "byte \(offset), \(mask)")
            }
        }
    }
}
