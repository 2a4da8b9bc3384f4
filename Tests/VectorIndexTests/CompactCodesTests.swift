import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// Exact searches by compact codes find what brute force finds, whatever the vectors, the question and the processor.
///
/// Serialised: which instructions are used is one choice for the process.
@Suite(.serialized)
struct CompactCodesTests {
    private struct Files {
        let vectors: VectorFile
        let codes: CompactCodes
        let codesPath: String

        init(
            _ vectors: Vectors, _ metric: Metric, _ element: VectorFile.Element, in folder: TemporaryDirectory
        ) throws {
            let path = folder.file(UUID().uuidString).path
            let writer = try VectorFileWriter(path: path, dim: vectors.dim, element: element)
            for row in 0..<vectors.count {
                try vectors[row].withUnsafeBufferPointer { try writer.append(id: Int64(row + 1), $0) }
            }
            try writer.finish()
            self.vectors = try VectorFile(path: path)
            codesPath = path + ".codes"
            try CompactCodesWriter.write(self.vectors, metric: metric, to: codesPath)
            codes = try CompactCodes(path: codesPath)
        }

        func key(_ metric: Metric) throws -> KeyIndex {
            try KeyIndex(vectors: vectors, metric: metric, codes: codes, leastCodedRows: 1)
        }
    }

    /// What vectors can be like.
    private enum Nature: CaseIterable {
        case clustered, spread, duplicates, ties, oneNumber, shifted, outlierNumbers, tiny, huge, denormal, mixed, flat

        func vectors(_ count: Int, _ dim: Int, _ random: inout SeededGenerator) -> Vectors {
            var vectors = Vectors(clustered: count, dim: dim, seed: random.next())
            func scale(_ row: Int, _ factor: Float) {
                for place in row * dim..<(row + 1) * dim { vectors.values[place] *= factor }
            }
            switch self {
            case .clustered: break
            case .spread:
                for place in vectors.values.indices { vectors.values[place] = .random(in: -1...1, using: &random) }
            case .duplicates:
                for row in 0..<count where row % 3 > 0 {
                    let other = Int.random(in: 0..<count, using: &random)
                    for place in 0..<dim { vectors.values[row * dim + place] = vectors.values[other * dim + place] }
                }
            case .ties:
                for place in vectors.values.indices {
                    vectors.values[place] = Float(Int.random(in: 1...2, using: &random))
                }
            case .oneNumber:
                for place in vectors.values.indices { vectors.values[place] = 0 }
                for row in 0..<count {
                    vectors.values[row * dim + Int.random(in: 0..<dim, using: &random)] = .random(
                        in: 0.5...2, using: &random)
                }
            case .shifted: for place in vectors.values.indices { vectors.values[place] += 20 }
            case .outlierNumbers:
                let outlier = Int.random(in: 0..<dim, using: &random)
                for row in 0..<count { vectors.values[row * dim + outlier] *= 300 }
            case .tiny: for row in 0..<count { scale(row, 1e-18) }
            case .huge: for row in 0..<count { scale(row, 1e18) }
            case .denormal: for row in 0..<count { scale(row, 1e-40) }
            case .mixed:
                let factors: [Float] = [1, 1, 1, 1e-12, 1e-30, 1e-42, 1e9, 1e15, 1e30]
                for row in 0..<count { scale(row, factors.randomElement(using: &random) ?? 1) }
            case .flat:
                for row in 1..<max(1, count) {
                    for place in 0..<dim { vectors.values[row * dim + place] = vectors.values[place] }
                }
            }
            // What rounding to zero has left without a direction.
            for row in 0..<count where vectors[row].allSatisfy({ $0 == 0 }) { vectors.values[row * dim] = 1e-40 }
            return vectors
        }
    }

    @Test(arguments: [Metric.cosine, .innerProduct])
    func theAnswerIsThatOfBruteForceIdForId(metric: Metric) throws {
        defer { VectorIndex.useInstructions(nil) }
        var random = SeededGenerator(seed: metric == .cosine ? 601 : 602)
        var cases = 0
        let levels = VectorIndex.allInstructions.filter { VectorIndex.useInstructions($0) }
        for turn in 0..<240 {
            let folder = try TemporaryDirectory()
            // One in eight is as long as what large encoders make.
            let dim =
                turn % 8 == 0 ? Int.random(in: 200...1536, using: &random) : Int.random(in: 1...140, using: &random)
            let count = Int.random(in: 1...(turn % 8 == 0 ? 260 : 700), using: &random)
            let nature = Nature.allCases[turn % Nature.allCases.count]
            let element: VectorFile.Element =
                turn % 5 == 4 && [.clustered, .ties, .shifted].contains(nature) ? .f16 : .f32
            var vectors = nature.vectors(count, dim, &random)
            if element == .f16 { vectors = Vectors(values: vectors.values.map { Float(Float16($0)) }, dim: dim) }
            VectorIndex.useInstructions(levels[turn % levels.count])
            let files = try Files(vectors, metric, element, in: folder)
            let key = try files.key(metric)
            var questions = Vectors(clustered: 3, dim: dim, seed: random.next())
            for place in 0..<dim { questions.values[place] = vectors.values[(count / 2) * dim + place] }
            if turn % 7 == 0 { for place in dim..<2 * dim { questions.values[place] *= 1e-25 } }
            if turn % 7 == 1 { for place in dim..<2 * dim { questions.values[place] *= 1e20 } }
            let expected = bruteForce(vectors, questions, k: count, cosine: metric == .cosine)
            let share = [1, 0.5, 0.1, 0.9][turn % 4]
            let members = (0..<count).map { _ in Double.random(in: 0..<1, using: &random) < share }
            let masks = [nil, RowSet(capacity: count) { members[$0] }]
            for level in levels {
                VectorIndex.useInstructions(level)
                for (question, best) in expected.enumerated() {
                    let query = KeyQuery(questions[question][...], metric: metric)
                    let limits = [1, 4, max(1, count / 9), count].prefix(question == 0 ? 4 : 3)
                    for (mask, limit) in masks.flatMap({ mask in limits.map { (mask, $0) } }) {
                        let wanted = best.filter { mask?.contains($0.row) ?? true }.prefix(limit)
                        let hits = try key.search(query, limit: limit, among: mask)
                        #expect(
                            hits.map(\.row) == wanted.map(\.row),
                            "turn \(turn), \(nature), \(level), \(count) x \(dim), limit \(limit), \(mask?.count ?? count)"
                        )
                        cases += 1
                    }
                }
            }
        }
        #expect(cases >= 20 * 240 * levels.count)
    }

    @Test func severalQuestionsAtOnceFindWhatEachFindsAlone() throws {
        defer { VectorIndex.useInstructions(nil) }
        let folder = try TemporaryDirectory()
        let vectors = Vectors(clustered: 1500, dim: 75, seed: 31)
        let key = try Files(vectors, .cosine, .f16, in: folder).key(.cosine)
        let questions = Vectors(clustered: 41, dim: 75, seed: 32)
        let rows = RowSet(capacity: 1500) { $0 % 3 != 1 }
        for level in VectorIndex.allInstructions where VectorIndex.useInstructions(level) {
            for count in [0, 1, 2, 8, 9, 32, 41] {
                let queries = (0..<count).map { KeyQuery(questions[$0][...], metric: .cosine) }
                let apart = try queries.map { try key.search($0, limit: 7, among: rows) }
                #expect(try key.search(queries, limit: 7, among: rows) == apart, "\(level), \(count)")
            }
        }
    }

    @Test(.enabled(if: TestData.hasShared, "no real data at CAPSTAN_TEST_DATA"))
    func realCaptionsAndPicturesFindWhatBruteForceFinds() throws {
        let folder = try TemporaryDirectory()
        for (name, questions) in [("sets/rsitmd20k", "sets/rsitmd20k.queries"), ("clip/texts.b32", "clip/images.b32")] {
            let vectors = try Vectors(npy: TestData.shared.appending(path: "\(name).f16.npy"))
            let asked = try Vectors(npy: TestData.shared.appending(path: "\(questions).f16.npy"))
            let some = Vectors(values: Array(asked.values.prefix(64 * asked.dim)), dim: asked.dim)
            let key = try Files(vectors, .cosine, .f16, in: folder).key(.cosine)
            let queries = (0..<some.count).map { KeyQuery(some[$0][...], metric: .cosine) }
            let expected = bruteForce(vectors, some, k: 10).map { $0.map(\.row) }
            #expect(try key.search(queries, limit: 10).map { $0.map(\.row) } == expected, "\(name)")
            #expect(try queries.map { try key.search($0, limit: 10).map(\.row) } == expected, "\(name)")
        }
    }

    @Test(arguments: [Metric.cosine, .innerProduct])
    func codesAreKnownForThoseOfTheirVectors(metric: Metric) throws {
        let folder = try TemporaryDirectory()
        var random = SeededGenerator(seed: 603)
        for nature in Nature.allCases {
            for (count, dim) in [(1, 1), (40, 7), (333, 65), (100, 700)] {
                let vectors = nature.vectors(count, dim, &random)
                let files = try Files(vectors, metric, .f32, in: folder)
                try files.key(metric).checkCodes()
            }
        }
        // A row whose vector is another, and a bound that is half of what it should be.
        let vectors = Vectors(clustered: 90, dim: 30, seed: 4)
        let files = try Files(vectors, metric, .f32, in: folder)
        var others = vectors
        for place in 57 * 30..<58 * 30 { others.values[place] = -others.values[place] }
        let other = try Files(others, metric, .f32, in: folder)
        #expect {
            try KeyIndex(vectors: other.vectors, metric: metric, codes: files.codes).checkCodes()
        } throws: {
            ($0 as? DatastoreError)?.code == .versionDamaged && "\($0)".contains("row 57, entry 58")
        }
        var bytes = try Data(contentsOf: URL(filePath: files.codesPath))
        let blockSize = CompactCodes.blockSize(dim: 30)
        let error = 64 + 240 + 16 + 3 * blockSize + 64 + 4 * 5
        let known = bytes[error..<error + 4].withUnsafeBytes { $0.loadUnaligned(as: Float.self) }
        #expect(known > 0)
        withUnsafeBytes(of: known / 2) { bytes.replaceSubrange(error..<error + 4, with: $0) }
        let path = folder.file("halved.codes")
        try bytes.write(to: path)
        #expect {
            try KeyIndex(vectors: files.vectors, metric: metric, codes: CompactCodes(path: path.path)).checkCodes()
        } throws: {
            "\($0)".contains("row 53, entry 54")
        }
    }

    @Test func codesMadeTwiceAreTheSameBytes() throws {
        let folder = try TemporaryDirectory()
        let vectors = Vectors(clustered: 333, dim: 50, seed: 8)
        let paths = try (0..<2).map { _ in try Files(vectors, .cosine, .f32, in: folder).codesPath }
        let bytes = try paths.map { try Data(contentsOf: URL(fileURLWithPath: $0)) }
        #expect(bytes[0] == bytes[1])
        #expect(bytes[0].count == 512 + 21 * (192 + 64 * 7) + 333 * 4)
    }

    @Test func aDamagedFileOfCodesIsRefused() throws {
        let folder = try TemporaryDirectory()
        let files = try Files(Vectors(clustered: 40, dim: 9, seed: 3), .cosine, .f32, in: folder)
        let good = try Data(contentsOf: URL(fileURLWithPath: files.codesPath))
        func code(_ change: (inout Data) -> Void) throws -> ErrorCode? {
            var data = good
            change(&data)
            let path = folder.file(UUID().uuidString)
            try data.write(to: path)
            do {
                _ = try CompactCodes(path: path.path)
                return nil
            } catch let error as DatastoreError {
                return error.code
            }
        }
        #expect(try code { _ in } == nil)
        #expect(try code { $0.removeLast() } == .versionDamaged)
        #expect(try code { $0.append(0) } == .versionDamaged)
        #expect(try code { $0 = Data() } == .versionDamaged)
        #expect(try code { $0 = $0.prefix(63) } == .versionDamaged)
        #expect(try code { $0[0] = 0 } == .versionDamaged)
        #expect(try code { $0[8] = 2 } == .newerFormat)
        #expect(try code { $0[16] = 7 } == .versionDamaged)
        #expect(try code { $0[24] = 0 } == .versionDamaged)
        for place in 24..<40 { #expect(try code { $0[place] = 0xFF } == .versionDamaged, "byte \(place)") }
    }

    @Test func codesOfOtherVectorsAreRefused() throws {
        let folder = try TemporaryDirectory()
        let files = try Files(Vectors(clustered: 40, dim: 9, seed: 3), .cosine, .f32, in: folder)
        let others = [
            try Files(Vectors(clustered: 41, dim: 9, seed: 3), .cosine, .f32, in: folder),
            try Files(Vectors(clustered: 40, dim: 10, seed: 3), .cosine, .f32, in: folder),
            try Files(Vectors(clustered: 40, dim: 9, seed: 3), .innerProduct, .f32, in: folder),
        ]
        for other in others {
            #expect {
                _ = try KeyIndex(vectors: files.vectors, metric: .cosine, codes: other.codes)
            } throws: {
                ($0 as? DatastoreError)?.code == .versionDamaged
            }
        }
    }
}
