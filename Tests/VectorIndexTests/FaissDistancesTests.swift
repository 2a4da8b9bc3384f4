import TestSupport
import Testing
import VectorIndex

/// The distance functions that FAISS is linked with: Capstan's, for the instructions of this processor.
@Suite(.serialized) struct FaissDistancesTests {
    @Test func everyFunctionAgreesWithSumsInDoubleWhateverTheInstructions() {
        defer { VectorIndex.useInstructions(nil) }
        for name in VectorIndex.allInstructions where VectorIndex.useInstructions(name) {
            var dims = Array(1...100)
            dims += [127, 128, 255, 257, 383, 512, 767, 768, 769, 1535, 1536]
            for dim in dims {
                let count = 1 + dim * 7 % 41
                let fault = TestDistances.fault(dim: dim, count: count, seed: UInt64(dim))
                #expect(fault == nil, "\(name), \(dim) numbers, \(count) vectors")
            }
        }
    }

    /// Debian's functions know one set of instructions: were they linked, all products would be the same.
    @Test func faissComputesWithTheInstructionsThatWereChosen() {
        var random = SeededGenerator(seed: 3)
        let pairs = (0..<50).map { _ in
            (
                (0..<768).map { _ in Float.random(in: -1...1, using: &random) },
                (0..<768).map { _ in Float.random(in: -1...1, using: &random) }
            )
        }
        var products: [String: [Float]] = [:]
        defer { VectorIndex.useInstructions(nil) }
        for name in VectorIndex.allInstructions where VectorIndex.useInstructions(name) {
            products[name] = pairs.map { TestDistances.innerProduct($0, $1) }
        }
        let portable = products["portable"]
        for (name, values) in products where name != "portable" { #expect(values != portable, "\(name)") }
    }

    @Test func matricesAreMultipliedWithTheInstructionsOfThisProcessor() {
        let wide = ["Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"]
        guard ["AVX2", "AVX-512", "AVX-512 VNNI"].contains(VectorIndex.instructions) else { return }
        #expect(wide.contains(VectorIndex.blasCore), "\(VectorIndex.blasCore)")
    }
}
