import DatastoreCore
import DatastoreImport
import Foundation
import TestSupport
import Testing

struct SparseRowTests {
    private var fixture: KeysFixture

    init() throws {
        fixture = try KeysFixture()
        fixture.keys = [fixture.keys[0]]
    }

    private func record(_ lexical: String) throws -> ImportRecord {
        try fixture.record(#"{"text":"a","vectors":{"lexical":\#(lexical)}}"#)
    }

    @Test(
        arguments: [
            (#"{"dog":2,"cat":0.5}"#, [0, 1], [0.5, 2]),
            (#" { "\u0063at" : 1e-3 , "a\"b" : 3 , "é" : 1 } "#, [0, 4, 5], [0.001, 3, 1]),
            (#"{"indices":[7,0, 3],"values":[1,0.25,2]}"#, [0, 3, 7], [0.25, 2, 1]),
            (#"{"values":[1],"indices":[1.0]}"#, [1], [1]), (#"{"values":[1],"indices":[0.3e1]}"#, [3], [1]),
            (#"{"indices":3,"values":4}"#, [2, 3], [3, 4]), (#"{"indices":3,"cat":4}"#, [0, 2], [4, 3]),
            (#"{"cat":0,"dog":-1,"é":2}"#, [5], [2]), ("{}", [], []), (#"{"indices":[],"values":[]}"#, [], []),
        ] as [(String, [UInt32], [Float])])
    func weightsAreReadByWordOrByIndex(lexical: String, indices: [UInt32], values: [Float]) throws {
        let row = try #require(try record(lexical).row)
        #expect(row.vectors == [.sparse(SparseVector(ascending: indices, values: values))])
    }

    @Test(arguments: [
        (#"{"cow":1}"#, ErrorCode.unknownTerm, #"the vocabulary of key "lexical" has no word "cow""#),
        (#"{"e\u0301":1}"#, .unknownTerm, "lexical"),
        (#"{"indices":[8],"values":[1]}"#, .unknownTerm, "got 8 at position 0, expected 0 to 7 (key lexical)"),
        (#"{"indices":[1,-1],"values":[1,1]}"#, .unknownTerm, "got -1 at position 1"),
        (#"{"indices":[99999999999999999999],"values":[1]}"#, .unknownTerm, "got 99999999999999999999"),
        (#"{"indices":[1e999],"values":[1]}"#, .unknownTerm, "got 1e999"),
        (#"{"cat":NaN}"#, .weightNotFinite, #"got nan for "cat""#),
        (#"{"cat":1,"dog":-Infinity}"#, .weightNotFinite, #"got -inf for "dog""#),
        (#"{"cat":1e39}"#, .weightNotFinite, "got inf"),
        (#"{"indices":[1],"values":[NaN]}"#, .weightNotFinite, "got nan at position 0"),
        (#"{"indices":[1,2],"values":[1]}"#, .sparseRagged, "got 2 indices and 1 values"),
        (#"{"indices":[],"values":[1]}"#, .sparseRagged, "got 0 indices and 1 values"),
        (#"{"indices":[5,5],"values":[1,2]}"#, .duplicateTerm, "index 5"),
        (#"{"cat":1,"dog":2,"cat":1}"#, .duplicateTerm, #"the word "cat" twice"#),
        (#"{"cat":null}"#, .invalidValue, #"got null for "cat""#), (#"{"cat":"1"}"#, .invalidValue, "got a string"),
        (#"{"cat":[1]}"#, .invalidValue, "got an array"), (#"{"indices":[1]}"#, .invalidValue, #""indices""#),
        (#"{"indices":[1],"values":1}"#, .invalidValue, "both are arrays"),
        (#"{"indices":[1],"values":[1],"cat":1}"#, .invalidValue, #"got "cat" beside"#),
        (#"{"indices":[1],"values":[1],"x":"y"}"#, .invalidValue, #"got "x" beside"#),
        (#"{"indices":[1.5],"values":[1]}"#, .invalidValue, "got something else than a whole number at position 0"),
        (#"{"indices":["1"],"values":[1]}"#, .invalidValue, "whole number"),
        (#"{"indices":[1],"values":["1"]}"#, .invalidValue, "got something else than a number at position 0"),
        (#"{"indices":[1],"indices":[1],"values":[1]}"#, .invalidJSON, "twice"),
        ("[0,1]", .invalidValue, "got an array, expected weights by word"), (#""AACAPw==""#, .invalidValue, "a string"),
        ("7", .invalidValue, "a number"), (#"{"cat":}"#, .invalidJSON, "byte"), (#"{"cat":01}"#, .invalidJSON, "byte"),
    ])
    func faultyWeightsAreRejected(lexical: String, code: ErrorCode, part: String) throws {
        let reject = try #require(try record(lexical).reject)
        #expect(reject.code == code)
        #expect(reject.detail.contains(part), "\(reject.detail)")
    }

    @Test(arguments: [false, true])
    func wordsTakeAVocabulary(othersHaveOne: Bool) throws {
        var fixture = fixture
        if othersHaveOne { fixture.wordless = ["lexical"] } else { fixture.words = nil }
        let reject = try fixture.record(#"{"text":"a","vectors":{"lexical":{"cat":1}}}"#).reject
        let detail = "this key has no vocabulary of words: give indices and values, or load one"
        #expect(reject?.code == .unknownTerm)
        #expect(reject?.detail.hasSuffix(detail) == true)
        let line = #"{"text":"a","vectors":{"lexical":{"indices":[7],"values":[1]}}}"#
        #expect(try fixture.record(line).row?.vectors == [.sparse(SparseVector(ascending: [7], values: [1]))])
        #expect(try fixture.record(#"{"text":"a","vectors":{"lexical":{}}}"#).row?.vectors == [.sparse(.empty)])
    }

    @Test func wordBeyondTheKeysTermsIsUnknown() throws {
        var fixture = fixture
        fixture.keys = [KeySpec(name: "lexical", terms: 1)]
        #expect(try fixture.record(#"{"text":"a","vectors":{"lexical":{"dog":1}}}"#).reject?.code == .unknownTerm)
    }

    @Test func weightsArePrunedAsTheKeySays() throws {
        var fixture = fixture
        let line = #"{"text":"a","vectors":{"lexical":{"indices":[0,1,2,3,4],"values":[0.3,0.4,0.5,0.4,-2]}}}"#
        let tables: [(SparsePruning?, [UInt32])] = [
            (SparsePruning(threshold: 0.35), [1, 2, 3]), (SparsePruning(threshold: 0, top: 2), [1, 2]),
            (nil, [1, 2, 3]), (SparsePruning(threshold: 9), []),
        ]
        for (pruning, kept) in tables {
            fixture.keys = [KeySpec(name: "lexical", terms: 8, pruning: pruning)]
            #expect(try fixture.record(line).row?.vectors.first??.weights?.indices == kept)
        }
    }

    @Test func manyTermsComeBackAsTheyWere() throws {
        var fixture = fixture
        fixture.keys = [KeySpec(name: "lexical", terms: 1 << 24, pruning: SparsePruning(threshold: 0))]
        var random = SeededGenerator(seed: 21)
        var weights: [UInt32: Float] = [:]
        for _ in 0..<5000 {
            weights[UInt32.random(in: 0..<1 << 24, using: &random)] = Float.random(in: 0.001...9, using: &random)
        }
        let pairs = Array(weights)
        let line = """
            {"text":"a","vectors":{"lexical":{"indices":[\(pairs.map { "\($0.key)" }.joined(separator: ","))],\
            "values":[\(pairs.map { "\($0.value)" }.joined(separator: ","))]}}}
            """
        let sorted = pairs.sorted { $0.key < $1.key }
        #expect(
            try fixture.record(line).row?.vectors
                == [.sparse(SparseVector(ascending: sorted.map(\.key), values: sorted.map(\.value)))])
    }
}
