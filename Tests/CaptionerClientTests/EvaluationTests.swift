import CaptionerClient
import DatastoreCore
import Foundation
import Testing

/// Recall and ranks of an evaluation, and the labels that they rest on.
struct EvaluationTests {
    private static func result(_ externalID: String?, image: String?) -> QueryResult {
        let fields = EntryFields(externalID: externalID, text: "t", imageID: image)
        return QueryResult(entry: Entry(id: 1, fields: fields), score: 1, datastore: "coco", version: 1)
    }

    private static let results = [
        result("a", image: "1"), result(nil, image: "2"), result("c", image: nil), result("d", image: "2"),
    ]

    @Test(arguments: [
        (RelevanceLabels(relevant: ["c", "d"]), 3), (RelevanceLabels(imageID: "2"), 2),
        (RelevanceLabels(relevant: ["d"], imageID: "1"), 1), (RelevanceLabels(relevant: ["x"], imageID: "9"), nil),
        (RelevanceLabels(), nil),
    ])
    func aResultIsRightByItsIDOrItsImage(labels: RelevanceLabels, rank: Int?) {
        #expect(labels.rank(in: Self.results) == rank)
    }

    @Test func labelsAreReadLineByLine() throws {
        let text = """
            {"relevant": ["a", 7], "image_id": 391895, "caption": "not looked at"}\r
            {"image_id": "x"}

            {}
            {"relevant": null}

            """
        let labels = try RelevanceLabels.read(Data(text.utf8), name: "labels.jsonl")
        #expect(
            labels == [
                RelevanceLabels(relevant: ["a", "7"], imageID: "391895"), RelevanceLabels(imageID: "x"),
                RelevanceLabels(), RelevanceLabels(), RelevanceLabels(),
            ])
        #expect(labels.map(\.isEmpty) == [false, false, true, true, true])
        #expect(try RelevanceLabels.read(Data(), name: "labels.jsonl").isEmpty)
    }

    @Test(arguments: ["{", "[]", #"{"relevant": "a"}"#, #"{"relevant": [1.5]}"#, #"{"image_id": true}"#])
    func labelsThatAreNoneSayWhere(line: String) {
        let error = #expect(throws: DatastoreError.self) {
            try RelevanceLabels.read(Data("{}\n\(line)\n".utf8), name: "labels.jsonl")
        }
        #expect(error?.code == .malformedRow)
        #expect(error?.detail.hasPrefix("labels.jsonl, line 2: ") == true, "\(error?.detail ?? "")")
    }

    private static func evaluation(_ ranks: [Int?], depth: Int = 10) -> RetrievalEvaluation {
        var evaluation = RetrievalEvaluation(depth: depth)
        for rank in ranks { evaluation.add(rank: rank) }
        return evaluation
    }

    @Test func recallIsTheShareOfQueriesWithARightResult() {
        let evaluation = Self.evaluation([1, 1, 5, 6, 10, nil, nil, 2])
        #expect(evaluation.recall(at: 1) == 2 / 8.0)
        #expect(evaluation.recall(at: 5) == 4 / 8.0)
        #expect(evaluation.recall(at: 10) == 6 / 8.0)
        #expect(evaluation.recall(at: 11) == nil)
        #expect(evaluation.medianRank == 5.5)
        #expect(RetrievalReport.Direction(evaluation).mean == 0.5)
    }

    @Test func medianBeyondTheDepthIsNotKnown() {
        #expect(Self.evaluation([1, nil]).medianRank == nil)
        #expect(Self.evaluation([1, nil, nil]).medianRank == nil)
        #expect(Self.evaluation([nil, 3, 1]).medianRank == 3)
        #expect(Self.evaluation([]).medianRank == nil)
        #expect(Self.evaluation([]).recall(at: 1) == nil)
    }

    @Test func bothDirectionsHaveOneMean() throws {
        var texts = Self.evaluation([nil, 2], depth: 5)
        texts.skipped = 3
        let report = RetrievalReport(
            domain: "coco", revisions: [4], depth: 5, imageToText: Self.evaluation([1], depth: 5), textToImage: texts)
        // R@10 is beyond the depth: it is in no mean.
        #expect(report.imageToText?.mean == 1)
        #expect(report.textToImage?.mean == 0.25)
        #expect(report.meanRecall == 0.625)
        #expect(
            String(decoding: try WireJSON.encode(report), as: UTF8.self)
                == #"{"depth":5,"domain":"coco","image_to_text":{"mean":1,"median_rank":1,"queries":1,"recall_at_1":1,"#
                + #""recall_at_5":1,"skipped":0},"mean_recall":0.625,"revisions":[4],"#
                + #""text_to_image":{"mean":0.25,"queries":2,"recall_at_1":0,"recall_at_5":0.5,"skipped":3}}"#)
    }
}
