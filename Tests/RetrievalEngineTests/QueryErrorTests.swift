import DatastoreCore
import Foundation
import RetrievalEngine
import TestSupport
import Testing

/// Questions that cannot be answered, and questions in batches.
struct QueryErrorTests {
    private static func withDomain(_ body: @Sendable (CapstanEngine) async throws -> Void) async throws {
        let harness = try EngineHarness()
        var configuration = harness.configuration
        configuration.maximumK = 50
        configuration.maximumBatch = 6
        try await harness.run(configuration) { engine in
            try await engine.create("cosine", dim: 4)
            try await engine.importRows(TestRow.several(20, dim: 4, seed: 1), into: "cosine")
            try await engine.bind("c", "cosine")
            try await engine.create("products", dim: 4, metric: .innerProduct)
            try await engine.importRows(TestRow.several(20, dim: 4, seed: 2), into: "products")
            try await engine.bind("p", "products")
            try await body(engine)
        }
    }

    @Test func vectorsThatMeanNothingAreRefused() async throws {
        try await Self.withDomain { engine in
            for bad in [Float.nan, .infinity, -.infinity] {
                await expectError(.vectorNotFinite) { try await engine.ask("c", [1, bad, 0, 0]) }
                await expectError(.vectorNotFinite) { try await engine.ask("p", [1, 0, 0, bad]) }
            }
            await expectError(.vectorZero) { try await engine.ask("c", [0, -0.0, 0, 0]) }
            let ofZero = try await engine.ask("p", [0, 0, 0, 0])
            #expect(ofZero.results.map(\.id) == [1, 2, 3, 4])
            for wrong: [Float] in [[1], [1, 0, 0], [1, 0, 0, 0, 0]] {
                let error = await expectError(.vectorDimMismatch) { try await engine.ask("c", wrong) }
                #expect(error?.detail.contains("got \(wrong.count) numbers, expected 4") == true)
                #expect(error?.errors.first?.field == "query.vector")
            }
        }
    }

    @Test(arguments: [(0, false), (-1, false), (1, true), (50, true), (51, false)])
    func kIsOneToTheLimit(k: Int, isGood: Bool) async throws {
        try await Self.withDomain { engine in
            if isGood {
                let answer = try await engine.ask("c", [1, 0, 0, 0], QueryOptions(k: k))
                #expect(answer.results.count == min(k, 20))
            } else {
                let error = await expectError(.kOutOfRange) {
                    try await engine.ask("c", [1, 0, 0, 0], QueryOptions(k: k))
                }
                #expect(error?.errors.first?.field == "k")
                await expectError(.kOutOfRange) { try await engine.bind("d", "cosine", defaults: QueryDefaults(k: k)) }
            }
        }
    }

    @Test func aDomainThatIsNotThereIsNamed() async throws {
        try await Self.withDomain { engine in
            let error = await expectError(.unknownDomain) { try await engine.ask("nowhere", [1, 0, 0, 0]) }
            #expect(error?.detail.contains("\"nowhere\"") == true)
            try await engine.deleteDomain("c")
            await expectError(.unknownDomain) { try await engine.ask("c", [1, 0, 0, 0]) }
        }
    }

    @Test func severalVectorsAreAnsweredAsEachAlone() async throws {
        try await Self.withDomain { engine in
            let queries = Vectors(clustered: 6, dim: 4, seed: 5)
            let options = QueryOptions(k: 3, excludeImageIDs: ["caption-image-1"], dedupe: .text, prompt: true)
            let together = try await engine.answers(
                QueryVectors(values: queries.values, count: 6), of: "c", options: options)
            #expect(together.answers.count == 6)
            for index in 0..<6 {
                let alone = try await engine.ask("c", queries[index], options)
                #expect(together.answers[index] == QueryBatchItem(alone))
                #expect(together.revision == alone.revision)
            }
        }
    }

    @Test func tooManyVectorsOrABadOneRefuseAll() async throws {
        try await Self.withDomain { engine in
            await expectError(.tooManyQueries) {
                try await engine.answers(
                    QueryVectors(values: [Float](repeating: 1, count: 28), count: 7), of: "c", options: QueryOptions())
            }
            let error = await expectError(.vectorZero) {
                try await engine.answers(
                    QueryVectors(values: [1, 0, 0, 0, 0, 0, 0, 0], count: 2, field: "query.vectors"), of: "c",
                    options: QueryOptions())
            }
            #expect(error?.errors.first?.field == "query.vectors[1]")
        }
    }

    @Test func aBatchAnswersEachQuestionWithItsResultOrItsError() async throws {
        try await Self.withDomain { engine in
            let good = QueryInput.vector([1, 0, 0, 0])
            let questions = [
                QueryRequest(query: good, options: QueryOptions(k: 2)),
                QueryRequest(query: .vector([0, 0, 0, 0])),
                QueryRequest(query: good, options: QueryOptions(k: 0)),
                QueryRequest(query: .vectorBase64("!")),
                QueryRequest(query: .vectors([1, 0, 0, 0], count: 1)),
                QueryRequest(query: .vectorBase64(QueryVectors.base64([1, 0, 0, 0])), options: QueryOptions(k: 2)),
            ]
            let answer = try await engine.answers(questions, of: "c") { error in
                Problem(status: 0, title: "", code: (error as? DatastoreError)?.code.rawValue ?? "other", detail: "")
            }
            #expect(
                answer.answers.map { $0.error?.code }
                    == [nil, "vector_zero", "k_out_of_range", "invalid_base64", "invalid_value", nil])
            #expect(answer.answers[0].results?.count == 2)
            #expect(answer.answers[0].results == answer.answers[5].results)
            #expect(answer.answers[1].results == nil)
            await expectError(.tooManyQueries) {
                try await engine.answers(questions + questions, of: "c") { _ in
                    Problem(status: 0, title: "", code: "", detail: "")
                }
            }
            await expectError(.missingField) {
                try await engine.answers([], of: "c") { _ in Problem(status: 0, title: "", code: "", detail: "") }
            }
        }
    }
}
