import DatastoreCore
import DatastoreImport
import Foundation
import TestSupport
import Testing

struct PoolingTests {
    private var fixture: KeysFixture

    init() throws {
        fixture = try KeysFixture()
        fixture.keys = [
            KeySpec(name: "query", dim: 3, metric: .cosine), KeySpec(name: "text", dim: 2, metric: .cosine),
        ]
        fixture.encodes = ["query", "text"]
        fixture.options.pool = .mean
    }

    private func stacks(_ rows: Int, _ vectorsPerRow: Int, seed: UInt64) -> [[[Float]]] {
        var random = SeededGenerator(seed: seed)
        return (0..<rows).map { _ in
            (0..<vectorsPerRow).map { _ in (0..<3).map { _ in Float.random(in: -2...2, using: &random) } }
        }
    }

    /// Summed as doubles, rounded once.
    private func mean(_ vectors: [[Float]]) -> [Float] {
        (0..<3).map { place in
            Float(vectors.reduce(into: 0.0) { $0 += Double($1[place]) } / Double(vectors.count))
        }
    }

    @Test(arguments: [1, 2, 32], NumpyElementType.allCases)
    func rowsOfThreeAxesAreTheirMeans(vectorsPerRow: Int, type: NumpyElementType) throws {
        let stacks = stacks(20, vectorsPerRow, seed: 31)
        let stored = type == .f16 ? stacks.map { $0.map { $0.map { Float(Float16($0)) } } } : stacks
        let file = NumpyFixture(stacks: stacks, vectorsPerRow: vectorsPerRow, dim: 3, type: type)
        let lines = Array(repeating: #"{"text":"a"}"#, count: 20)
        for chunkSize in [1, 13, 40, 100, 4096] {
            var fixture = fixture
            fixture.chunkSize = chunkSize
            let reader = try fixture.reader(lines, ["query": file])
            let (records, error) = reader.readAll()
            #expect(error == nil)
            #expect(records.map(\.row?.vector) == stored.map(mean))
            #expect(!reader.vectorsAreHalfPrecision, "a mean is not")
        }
    }

    @Test func fileOfTwoAxesIsTakenAsItIs() throws {
        let file = NumpyFixture(rows: [[1, 2, 3]], dim: 3, type: .f16)
        let reader = try fixture.reader([#"{"text":"a"}"#], ["query": file])
        #expect(reader.vectorsAreHalfPrecision)
        #expect(try reader.next()?.row?.vector == [1, 2, 3])
    }

    @Test func oneFileMayHaveThreeAxesAndAnotherTwo() throws {
        let files = [
            "query": NumpyFixture(stacks: [[[1, 0, 0], [0, 1, 0]]], vectorsPerRow: 2, dim: 3),
            "text": NumpyFixture(rows: [[3, 4]], dim: 2),
        ]
        #expect(try fixture.record(#"{"text":"a"}"#, files).row?.vectors == [.dense([0.5, 0.5, 0]), .dense([3, 4])])
    }

    @Test func fileOfThreeAxesIsRefusedUnlessTheMeanIsAskedFor() {
        var fixture = fixture
        fixture.options.pool = .none
        let file = NumpyFixture(stacks: [[[1, 0, 0]]], vectorsPerRow: 1, dim: 3)
        let error = datastoreError { _ = try fixture.reader([#"{"text":"a"}"#], ["query": file]) }
        #expect(error?.code == .npyInvalidShape)
        #expect(error?.detail.contains("query.npy: got shape (1, 1, 3), 3-D, expected shape (rows, dim)") == true)
        #expect(error?.detail.contains("--pool mean (API: pool=mean)") == true)
    }

    @Test(arguments: [
        "(2, 0, 3)", "(2, -1, 3)", "(2, 1, 1, 3)", "(6,)", "()", "(2, 1, 65537)", "(2, 1, 0)", "(-2, 1, 3)",
        "(2, 99999999999999999999, 3)", "(2305843009213693952, 4, 3)", "(1, 4611686018427387904, 3)",
        "(2, True, 3)", "9",
    ])
    func shapeThatIsNotRowsOfVectorsIsRefused(shape: String) {
        var file = NumpyFixture(rows: [[1, 0, 0], [1, 0, 0]], dim: 3)
        file.shape = shape
        let error = datastoreError { _ = try fixture.reader([#"{"text":"a"}"#], ["query": file]) }
        #expect(error?.code == .npyInvalidShape, "\(String(describing: error))")
    }

    @Test func stackWithoutRowsIsRead() throws {
        var file = NumpyFixture(rows: [], dim: 3)
        file.shape = "(0, 9223372036854775807, 3)"
        #expect(try fixture.reader([], ["query": file]).next() == nil)
    }

    @Test func stackMustBeAsLongAsItsShapeSays() {
        for (shape, code) in [("(2, 2, 3)", ErrorCode.npyTruncated), ("(1, 2, 3)", .npyTrailingData)] {
            var file = NumpyFixture(rows: Array(repeating: [1, 0, 0], count: 3), dim: 3)
            file.shape = shape
            let error = datastoreError { _ = try fixture.reader([], ["query": file]) }
            #expect(error?.code == code)
            #expect(error?.detail.contains("rows of 2 vectors of 3 numbers of 4 bytes") == true)
        }
    }

    @Test func numbersThatAreNotFiniteAndMeansOfZeroAreRejected() throws {
        let stacks: [[[Float]]] = [
            [[1, 2, 3], [1, .infinity, 3]], [[1, .infinity, 3], [1, -.infinity, 3]], [[1, 2, .nan], [0, 0, 0]],
            [[1, -2, 3], [-1, 2, -3]], [[3, 0, 0], [1, 0, 0]], [[3e38, 0, 0], [3e38, 0, 0]],
        ]
        let lines = Array(repeating: #"{"text":"a"}"#, count: stacks.count)
        let file = NumpyFixture(stacks: stacks, vectorsPerRow: 2, dim: 3)
        let (records, error) = try fixture.reader(lines, ["query": file]).readAll()
        #expect(error == nil)
        let codes: [ErrorCode?] = [.vectorNotFinite, .vectorNotFinite, .vectorNotFinite, .vectorZero, nil, nil]
        #expect(records.map(\.reject?.code) == codes)
        #expect(records.compactMap(\.row?.vector) == [[2, 0, 0], [3e38, 0, 0]])
    }

    @Test func vectorsInRowsAreAveragedToo() throws {
        let base64 = QueryVectors.base64([1, 0, 0, 0, 1, 0])
        for member in [
            #""vector":[[1,0,0],[0,1,0]]"#, #""vector": [ [ 1 , 0 , 0 ] , [ 0 , 1 , 0 ] ] "#,
            #""vectors":{"query":[[1,0,0],[0,1,0]]}"#, #""vector_base64":"\#(base64)""#,
            #""vectors":{"query":"\#(base64)"}"#, #""vector":[0.5,0.5,0]"#, #""vector":[[0.5,0.5,0]]"#,
        ] {
            #expect(try fixture.record(#"{"text":"a",\#(member)}"#).row?.vector == [0.5, 0.5, 0], "\(member)")
        }
        let stack = stacks(1, 32, seed: 32)[0]
        let array = stack.map { "[" + $0.map { "\($0)" }.joined(separator: ",") + "]" }.joined(separator: ",")
        #expect(try fixture.record(#"{"text":"a","vector":[\#(array)]}"#).row?.vector == mean(stack))
        let text = QueryVectors.base64(stack.flatMap { $0 })
        #expect(try fixture.record(#"{"text":"a","vector_base64":"\#(text)"}"#).row?.vector == mean(stack))
    }

    @Test(arguments: [
        (#""vector":[[1,0,0],[1,0]]"#, ErrorCode.vectorsRagged, "vector[1]: got 2 numbers, expected 3 as in the first"),
        (#""vector":[[1,0],[1,0]]"#, .vectorDimMismatch, "vector: got vectors of 2 numbers, expected 3"),
        (#""vector":[[]]"#, .vectorDimMismatch, "got vectors of 0 numbers"),
        (#""vector":[]"#, .vectorDimMismatch, "got 0 numbers"),
        (#""vector":[1,0,0,1,0,0]"#, .vectorDimMismatch, "got 6 numbers, expected 3"),
        (#""vector":[[1,0,0],1]"#, .invalidValue, "vector[1]: got something else than an array of numbers"),
        (#""vector":[[1,0,"x"]]"#, .invalidValue, "vector[0]"),
        (#""vector":[[[1,0,0]]]"#, .invalidValue, "vector[0]"),
        (#""vector":[1,0,[1,0,0]]"#, .invalidValue, "position 2"),
        (#""vector":[[1,0,0],[NaN,0,0]]"#, .vectorNotFinite, "vector: got nan"),
        (#""vector":[[1,0,0],[-1,0,0]]"#, .vectorZero, "zeros"),
        (#""vectors":{"text":[[1,0,0]]}"#, .vectorDimMismatch, "vectors.text: got vectors of 3 numbers, expected 2"),
        (#""vector_base64":"AACAPwAAAAAAAIA/AACAPw==""#, .vectorDimMismatch, "got 4 numbers, expected 3"),
        (#""vector_base64":"""#, .vectorDimMismatch, "got 0 numbers"),
    ])
    func vectorsInRowsThatHaveNoMeanAreRejected(member: String, code: ErrorCode, part: String) throws {
        let reject = try #require(try fixture.record(#"{"text":"a",\#(member)}"#).reject)
        #expect(reject.code == code)
        #expect(reject.detail.contains(part), "\(reject.detail)")
    }

    @Test func severalVectorsInARowAreRejectedUnlessTheMeanIsAskedFor() throws {
        var fixture = fixture
        fixture.options.pool = .none
        for member in [#""vector":[[1,0,0],[0,1,0]]"#, #""vectors":{"query":[[1,0,0],[0,1,0]]}"#] {
            let reject = try #require(try fixture.record(#"{"text":"a",\#(member)}"#).reject)
            #expect(reject.code == .invalidValue)
            #expect(reject.detail.contains("got an array of arrays, shape (2, 3)"))
            #expect(reject.detail.contains("--pool mean (API: pool=mean)"))
        }
        let base64 = QueryVectors.base64([1, 0, 0, 0, 1, 0])
        let reject = try fixture.record(#"{"text":"a","vector_base64":"\#(base64)"}"#).reject
        #expect(reject?.code == .vectorDimMismatch)
    }

    @Test func fileThatShrinksWithinARowIsTruncated() throws {
        var fixture = fixture
        fixture.chunkSize = 1
        let file = NumpyFixture(stacks: stacks(3, 4, seed: 33), vectorsPerRow: 4, dim: 3)
        let reader = try fixture.reader(Array(repeating: #"{"text":"a"}"#, count: 3), ["query": file])
        #expect(try reader.next()?.row != nil)
        try #require(truncate("\(fixture.folder.url.path())/query.npy", off_t(file.bytes.count - 60)) == 0)
        #expect(datastoreError { _ = try reader.next() }?.code == .npyTruncated)
        #expect(datastoreError { _ = try reader.next() }?.code == .npyTruncated, "keeps failing")
    }
}
