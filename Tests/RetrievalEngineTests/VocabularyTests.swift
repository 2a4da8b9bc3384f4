import DatastoreCore
import Foundation
import TestSupport
import Testing

@testable import RetrievalEngine

/// The words of sparse keys.
struct VocabularyTests {
    private static func set(_ text: String, _ engine: CapstanEngine, key: String = "lexical") async throws {
        let job = CapstanEngine.newJobID()
        let file = try await engine.stageUpload(job: job, datastore: "d").appending(path: "rows")
        try Data(text.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file.deletingLastPathComponent()) }
        try await engine.setVocabulary(file, ofKey: key, of: "d")
    }

    private static func create(_ engine: CapstanEngine) async throws {
        _ = try await engine.createDatastore(
            CreateDatastoreRequest(
                name: "d", kind: .captions,
                keys: [KeySpec(name: "lexical", terms: 3, pruning: SparsePruning(threshold: 0))]))
    }

    @Test func theLastWordsBeforeTheFirstEntryCount() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await Self.create(engine)
            try await Self.set("dog\ncat\nhorse\n", engine)
            try await Self.set("\u{FEFF}tree\r\ncafé\r\nhouse", engine)
            let row = #"{"text": "a house by a tree", "vectors": {"lexical": {"house": 2, "tree": 1}}}"#
            let added = try await engine.addEntries(Data(row.utf8), to: "d")
            #expect(added.entries.map(\.outcome) == [.accepted])
            await expectError(.vocabularyInUse) { try await Self.set("dog\ncat\nhorse\n", engine) }
            try await engine.build("d")
            try await engine.bind("street", "d")
            let answer = try await engine.answer(
                QueryRequest(query: .lexical(.words(["house": 1, "café": 1])), options: QueryOptions(k: 1)),
                of: "street")
            #expect(answer.results[0].terms == [TermShare(term: "house", index: 2, weight: 2, share: 1)])
            await expectError(.unknownTerm) {
                try await engine.answer(QueryRequest(query: .lexical(.words(["dog": 1]))), of: "street")
            }
        }
    }

    @Test(arguments: ["a\nb", "a\nb\nc\nd", "a\nb\na", "a\n\nb", "a\nb\u{0}\nc", ""])
    func wordsThatAreNoVocabularyAreRefused(_ text: String) async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await Self.create(engine)
            await expectError(.invalidValue) { try await Self.set(text, engine) }
            await expectError(.unknownKey) { try await Self.set("a\nb\nc", engine, key: "text") }
            // What was refused has left nothing.
            try await Self.set("a\nb\nc", engine)
        }
    }
}
