import DatastoreCore
import Foundation
import Testing

/// Vectors on their way in: every form the same numbers, and nothing that means nothing.
struct QueryVectorsTests {
    private static let numbers: [Float] = [
        0, -0.0, 1, -1, 0.1, .pi, .leastNonzeroMagnitude, .greatestFiniteMagnitude, -1e-20, 1e18,
    ]

    @Test func base64ComesBackExactly() throws {
        let text = QueryVectors.base64(Self.numbers)
        let floats = try QueryVectors.floats(base64: text, field: "x")
        #expect(floats.map(\.bitPattern) == Self.numbers.map(\.bitPattern))
        #expect(try QueryVectors.floats(base64: "", field: "x") == [])
        // As any other program writes them: little-endian.
        #expect(QueryVectors.base64([1, -2]) == "AACAPwAAAMA=")
        #expect(try QueryVectors.floats(base64: "AACAPwAAAMA=", field: "x") == [1, -2])
    }

    @Test(arguments: [
        "!", "AACAPw", "AACAPw=", "AACA Pw==", "AACAPw==\n", "AACAPwAA", "AA==", "AACAPwA=", "-_-_",
        "ÄÖ==",
    ])
    func base64ThatIsNoneOrNoFloatsIsRefused(text: String) {
        let error = expectError(.invalidBase64) { try QueryVectors.floats(base64: text, field: "query.vector_base64") }
        #expect(error?.errors.map(\.field) == ["query.vector_base64"])
    }

    @Test func bytesAreReadAsSoManyVectors() throws {
        let data = QueryVectors.littleEndian([1, 2, 3, 4, 5, 6])
        for (count, dim) in [(1, 6), (2, 3), (3, 2), (6, 1)] {
            let vectors = try data.withUnsafeBytes { try QueryVectors(littleEndian: $0, count: count, field: "body") }
            #expect(vectors.count == count)
            #expect(vectors.dim == dim)
            #expect(vectors.values == [1, 2, 3, 4, 5, 6])
        }
        // Not aligned as floats are.
        let shifted = Data([0xFF]) + data
        let vectors = try shifted.withUnsafeBytes {
            try QueryVectors(littleEndian: UnsafeRawBufferPointer(rebasing: $0[1...]), count: 2, field: "body")
        }
        #expect(vectors.values == [1, 2, 3, 4, 5, 6])
    }

    @Test(arguments: [(24, 4), (24, 5), (24, 7), (23, 1), (1, 1), (4, 2)])
    func bytesThatAreNoWholeVectorsAreRefused(bytes: Int, count: Int) {
        let data = Data(repeating: 0, count: bytes)
        expectError(.vectorDimMismatch) {
            try data.withUnsafeBytes { try QueryVectors(littleEndian: $0, count: count, field: "body") }
        }
    }

    @Test(arguments: [0, -1, .min])
    func countsBelowOneAreRefused(count: Int) {
        let data = Data(repeating: 0, count: 8)
        expectError(.invalidValue) {
            try data.withUnsafeBytes { try QueryVectors(littleEndian: $0, count: count, field: "body") }
        }
    }

    @Test func nothingIsNoVector() {
        expectError(.missingField) { try QueryVectors(values: [], count: 1) }
        expectError(.missingField) { try QueryVectors(values: [], count: 0) }
        expectError(.missingField) {
            try Data().withUnsafeBytes { try QueryVectors(littleEndian: $0, count: 1, field: "body") }
        }
    }

    @Test(arguments: Metric.allCases)
    func soundVectorsPass(metric: Metric) throws {
        for values: [Float] in [[1, 2], [-0.0, 1e-45], [.greatestFiniteMagnitude, .leastNonzeroMagnitude]] {
            try QueryVectors(values: values, count: 1).validate(dim: 2, metric: metric)
            #expect(VectorFault.find(in: values[...], metric: metric) == nil)
        }
    }

    @Test func zeroMeansNothingToCosineOnly() throws {
        let zero = try QueryVectors(values: [0, -0.0, 0], count: 1)
        expectError(.vectorZero) { try zero.validate(dim: 3, metric: .cosine) }
        try zero.validate(dim: 3, metric: .innerProduct)
    }

    @Test(arguments: Metric.allCases, [Float.nan, .infinity, -.infinity, .signalingNaN])
    func whatIsNotFiniteIsRefusedAtItsPosition(metric: Metric, bad: Float) throws {
        for position in 0..<5 {
            var values: [Float] = [0, 0, 0, 0, 0]
            values[position] = bad
            let error = expectError(.vectorNotFinite) {
                try QueryVectors(values: values, count: 1).validate(dim: 5, metric: metric)
            }
            #expect(error?.detail.contains("position \(position)") == true)
        }
    }

    @Test func theFaultyOneOfManyIsNamed() throws {
        let vectors = try QueryVectors(values: [1, 0, 0, 0, 1, 1], count: 3, field: "query.vectors")
        let error = expectError(.vectorZero) { try vectors.validate(dim: 2, metric: .cosine) }
        #expect(error?.errors.map(\.field) == ["query.vectors[1]"])
        let dim = expectError(.vectorDimMismatch) { try vectors.validate(dim: 3, metric: .cosine) }
        #expect(dim?.detail == "query.vectors: got 2 numbers, expected 3")
    }

    @Test func positionsAreOfTheVectorNotOfTheWholeArray() throws {
        let vectors = try QueryVectors(values: [1, 1, 1, 1, .nan, 1], count: 3, field: "x")
        let error = expectError(.vectorNotFinite) { try vectors.validate(dim: 2, metric: .cosine) }
        #expect(error?.detail.contains("x[2]: got nan at position 0") == true)
    }
}
