import DatastoreCore
import Foundation
import Testing

/// A sparse vector is in order or is refused, and pruning keeps the weights it should.
struct SparseVectorTests {
    @Test func termsAreSortedAndZerosDropped() throws {
        let vector = try SparseVector(indices: [7, 0, 3, 9], values: [1, -2, 0, -0.0])
        #expect(vector.indices == [0, 7])
        #expect(vector.values == [-2, 1])
        #expect(try SparseVector(indices: [1, 2], values: [0, 5]) == SparseVector(indices: [2], values: [5]))
        #expect(try SparseVector(indices: [], values: []) == .empty)
        #expect(try SparseVector(indices: [.max, 0], values: [1, 2]).indices == [0, .max])
    }

    @Test(arguments: [([1], []), ([], [1]), ([1, 2], [1])] as [([UInt32], [Float])])
    func asManyWeightsAsTermsAreExpected(indices: [UInt32], values: [Float]) {
        let error = expectError(.sparseRagged) { try SparseVector(indices: indices, values: values, field: "sparse") }
        #expect(error?.errors.first?.field == "sparse")
        #expect(error?.detail.contains("got \(indices.count) indices and \(values.count) values") == true)
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func weightsAreFinite(weight: Float) {
        let error = expectError(.weightNotFinite) { try SparseVector(indices: [4, 2], values: [1, weight]) }
        #expect(error?.detail.contains("position 1") == true)
    }

    @Test(arguments: [[1, 1], [5, 1, 9, 5], [0, 1, 2, 1]] as [[UInt32]])
    func aTermTwiceIsRefused(indices: [UInt32]) {
        // Even where one of the two weighs nothing: which one is meant is not known.
        for last: Float in [0, 1] {
            let values = [Float](repeating: 1, count: indices.count - 1) + [last]
            expectError(.duplicateTerm) { try SparseVector(indices: indices, values: values) }
        }
    }

    @Test func pruningKeepsWhatIsOverTheThreshold() throws {
        let vector = try SparseVector(indices: [1, 2, 3, 4, 5], values: [0.5, -3, 0.25, 1, 0.125])
        #expect(SparsePruning(threshold: 0.25).apply(vector).indices == [1, 4])
        #expect(SparsePruning(threshold: 0).apply(vector).indices == [1, 3, 4, 5])
        #expect(SparsePruning().apply(vector).indices == [1, 3, 4, 5])
        #expect(SparsePruning(threshold: -5).apply(vector).values.allSatisfy { $0 > 0 })
        #expect(SparsePruning(threshold: 1).apply(vector) == .empty)
    }

    @Test func pruningKeepsTheLargestAndOfEqualOnesTheLower() throws {
        let vector = try SparseVector(indices: [1, 2, 3, 4, 5, 6], values: [1, 2, 1, 3, 1, -9])
        #expect(SparsePruning(top: 3).apply(vector).indices == [1, 2, 4])
        #expect(SparsePruning(top: 4).apply(vector).indices == [1, 2, 3, 4])
        #expect(SparsePruning(top: 1).apply(vector).indices == [4])
        #expect(SparsePruning(top: 100).apply(vector).indices == [1, 2, 3, 4, 5])
        #expect(SparsePruning(threshold: 1, top: 100).apply(vector).indices == [2, 4])
    }

    @Test func theUsualThresholdIsOfTheVocabulary() throws {
        #expect(SparsePruning(terms: 10_000) == SparsePruning(threshold: 0.01))
        #expect(SparsePruning(terms: 30_522).threshold == Float(1 / 30_522.0.squareRoot()))
    }

    @Test func pruningThatMakesNoSenseIsRefused() throws {
        for pruning in [
            SparsePruning(threshold: -0.1), SparsePruning(threshold: .nan), SparsePruning(threshold: .infinity),
            SparsePruning(top: 0), SparsePruning(top: -1),
        ] {
            expectError(.invalidValue, "\(pruning)") { try pruning.validate() }
        }
        try SparsePruning().validate()
        try SparsePruning(threshold: 0, top: 1).validate()
    }
}
