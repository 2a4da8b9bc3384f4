import DatastoreCore
import DatastoreStorage
import Foundation
import TestSupport
import Testing

@testable import RetrievalEngine

/// CapFilt: what it keeps, what it drops, and that neither is lost in silence.
struct FilterTests {
    private static let rows: [TestRow] = (0..<40).map { index in
        let origin: [String: JSONValue] =
            switch index % 4 {
            case 0: ["origin": .string("human")]
            case 1: ["origin": .string("web")]
            case 2: ["origin": .string("synthetic")]
            default: [:]
            }
        let itm: [String: JSONValue] = index % 5 == 0 ? [:] : ["itm": .number(Double(index) / 40)]
        return TestRow(
            "caption \(index)", [1, Float(index)], id: "\(index)", more: origin.merging(itm) { first, _ in first })
    }

    private static func isKept(_ index: Int) -> Bool {
        if index % 5 == 0 { return true }
        let score = Float(Double(index) / 40)
        switch index % 4 {
        case 0: return score >= 0.1
        case 1: return score >= 0.5
        default: return score >= 0.25
        }
    }

    private static let request = FilterRequest(
        score: .payload("itm"), threshold: 0.25, thresholds: ["human": 0.1, "web": 0.5], examples: 3)

    @Test func entriesBelowTheThresholdOfTheirOriginAreDroppedAndAllAreTold() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows(Self.rows, into: "d")
            try await engine.bind("street", "d")
            let kept = Self.rows.indices.filter(Self.isKept)
            let dropped = Self.rows.indices.filter { !Self.isKept($0) }
            var dry = Self.request
            dry.dryRun = true
            let tried = try await engine.ended(engine.submitFilter(dry, of: "d"))
            #expect(tried.state == .succeeded, "\(String(describing: tried.error))")
            #expect(try await engine.datastore("d").latestVersion == 1)
            let job = try await engine.ended(engine.submitFilter(Self.request, of: "d"))
            #expect(job.state == .succeeded, "\(String(describing: job.error))")
            #expect(job.version == 2)
            let report = try #require(job.filterReport)
            #expect(report.kept == kept.count)
            #expect(report.dropped == dropped.count)
            #expect(report.unscored == 8)
            #expect(report.histogram.counts.reduce(0, +) == 32)
            #expect(
                report.origins["web"] == .init(kept: kept.count { $0 % 4 == 1 }, dropped: dropped.count { $0 % 4 == 1 })
            )
            #expect(report.droppedExamples.map(\.externalID) == dropped.sorted(by: >).prefix(3).map { "\($0)" })
            #expect(report.keptExamples.count == 3)
            #expect(tried.filterReport?.kept == report.kept)
            let output = try String(contentsOf: await engine.output(ofJob: job.id), encoding: .utf8)
            let told = try output.split(separator: "\n").map {
                try WireJSON.decode(FilterReport.Example.self, from: Data($0.utf8)).externalID
            }
            #expect(told == dropped.map { "\($0)" })
            let answer = try await engine.ask("street", [1, 1], QueryOptions(k: 100))
            #expect(Set(answer.results.compactMap(\.externalID)) == Set(kept.map { "\($0)" }))
            // Ids of what went are not given again.
            let added = try await engine.addEntries(TestRow("new", [1, 1], id: "new").json(), to: "d")
            #expect(added.entries[0].id == 41)
        }
    }

    @Test func pendingChangesGoThroughTheFilterToo() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows([TestRow("good", [1, 0], id: "a", more: ["itm": .number(0.9)])], into: "d")
            _ = try await engine.addEntries(
                TestRow("bad", [1, 0], id: "b", more: ["itm": .number(0.1)]).json(), to: "d")
            _ = try await engine.addEntries(
                TestRow("fine", [1, 0], id: "c", more: ["itm": .number(0.8)]).json(), to: "d")
            let job = try await engine.ended(
                engine.submitFilter(FilterRequest(score: .payload("itm"), threshold: 0.5), of: "d"))
            #expect(job.filterReport?.kept == 2)
            let info = try await engine.datastore("d")
            #expect(info.entries == 2)
            #expect(info.pendingChanges == 0)
        }
    }

    @Test func scoresOfAnySizeAreCounted() async throws {
        let harness = try EngineHarness()
        let scores: [JSONValue] = [
            .number(1e20), .number(-1e300), .number(1e300), .integer(1_760_000_000_000_000_000), .number(0.5),
            .string("0.5"), .null,
        ]
        let rows = scores.enumerated().map { TestRow("caption \($0)", [1, 0], id: "\($0)", more: ["itm": $1]) }
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            try await engine.importRows(rows, into: "d")
            let request = FilterRequest(score: .payload("itm"), threshold: 0.4, dryRun: true)
            let job = try await engine.ended(engine.submitFilter(request, of: "d"))
            #expect(job.state == .succeeded, "\(String(describing: job.error))")
            // Numbers beyond 32 bits are no scores.
            #expect(job.filterReport?.unscored == 4)
            #expect(job.filterReport?.kept == 7)
            #expect(job.filterReport?.histogram.counts.reduce(0, +) == 3)
        }
    }

    @Test func aVectorOfZerosHasNoCosine() async throws {
        let harness = try EngineHarness()
        let keys = ["a", "b"].map { KeySpec(name: $0, dim: 2, metric: .innerProduct) }
        try await harness.run { engine in
            _ = try await engine.createDatastore(CreateDatastoreRequest(name: "d", kind: .captions, keys: keys))
            let rows = [
                #"{"text": "zero", "vector": [0, 0], "vectors": {"b": [1, 0]}}"#,
                #"{"text": "same", "vector": [2, 0], "vectors": {"b": [1, 0]}}"#,
                #"{"text": "other", "vector": [2, 0], "vectors": {"b": [-1, 0]}}"#,
            ]
            let job = try await engine.ended(engine.submit(Data(rows.joined(separator: "\n").utf8), into: "d"))
            #expect(job.counts.accepted == 3)
            let request = FilterRequest(score: .keys("a", "b"), threshold: 0.5)
            let filtered = try await engine.ended(engine.submitFilter(request, of: "d"))
            #expect(filtered.filterReport?.unscored == 1)
            #expect(filtered.filterReport?.droppedExamples.map(\.text) == ["other"])
            #expect(filtered.filterReport?.droppedExamples.map(\.score) == [-1])
        }
    }

    @Test func aFilterThatMeansNothingIsRefused() async throws {
        let harness = try EngineHarness()
        try await harness.run { engine in
            try await engine.create("d", dim: 2)
            let request = FilterRequest(score: .payload("itm"), threshold: 0.5)
            await expectError(.noVersion) { try await engine.submitFilter(request, of: "d") }
            try await engine.importRows([TestRow("good", [1, 0], id: "a", more: ["itm": .number(0.1)])], into: "d")
            await expectError(.unknownKey) {
                try await engine.submitFilter(FilterRequest(score: .keys("text", "image"), threshold: 0), of: "d")
            }
            await expectError(.invalidValue) {
                try await engine.submitFilter(FilterRequest(score: .keys("text", "text"), threshold: 0), of: "d")
            }
            await expectError(.missingField) {
                try await engine.submitFilter(FilterRequest(score: .payload("x")), of: "d")
            }
            // One that would leave nothing changes nothing.
            let job = try await engine.ended(engine.submitFilter(request, of: "d"))
            #expect(job.state == .failed)
            #expect(job.error?.code == "no_rows_accepted")
            #expect(try await engine.datastore("d").latestVersion == 1)
        }
    }
}
