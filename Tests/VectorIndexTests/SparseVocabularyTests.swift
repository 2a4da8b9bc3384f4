import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// The terms of a sparse key: each has its index, and what is no list of terms is refused.
struct SparseVocabularyTests {
    private static func write(_ terms: [String], to file: URL) throws -> Vocabulary {
        try VocabularyWriter.write(terms, to: file.path)
        return try Vocabulary(path: file.path)
    }

    @Test func termsAndIndicesAreFoundByEachOther() throws {
        let folder = try TemporaryDirectory()
        var random = SeededGenerator(seed: 1)
        var terms = ["a", "aa", "b", "##ing", " ", "ß", "日本", "日本語", "👍🏽", "é", "e\u{301}", "\u{FFFD}", "\t", "A"]
        terms += (0..<3000).map { "w\(String($0, radix: 7))" }
        terms.shuffle(using: &random)
        let vocabulary = try Self.write(terms, to: folder.file("w"))
        #expect(vocabulary.count == terms.count)
        for (index, term) in terms.enumerated() {
            #expect(vocabulary.index(of: term) == UInt32(index))
            #expect(vocabulary.term(UInt32(index)).map { Array($0.utf8) } == Array(term.utf8))
        }
        for absent in ["", "c", "aaa", "w", "日", "\u{301}", "zzz", "\u{10FFFF}"] {
            #expect(vocabulary.index(of: absent) == nil)
        }
        #expect(vocabulary.term(UInt32(terms.count)) == nil)
        #expect(vocabulary.term(.max) == nil)
    }

    @Test(
        arguments: [
            ([], "no terms"), (["a", ""], "line 2: got an empty term"),
            (["a", "b", "a\nb"], "line 3: got a NUL or a newline in \"a\\nb\""), (["\u{0}"], "line 1"),
            (["a\r"], "line 1"),
            (["x", "a", "b", "a", "x"], "again"), (["a", "a"], "line 2: got \"a\" again, which line 1 has"),
        ] as [([String], String)])
    func whatIsNoListOfTermsIsRefused(terms: [String], reason: String) throws {
        let folder = try TemporaryDirectory()
        let error = #expect(throws: DatastoreError.self) {
            try VocabularyWriter.write(terms, to: folder.file("w").path)
        }
        #expect(error?.code == .invalidValue)
        #expect(error?.detail.contains(reason) == true, "\(error?.detail ?? "")")
        #expect(!FileManager.default.fileExists(atPath: folder.file("w").path))
    }
}
