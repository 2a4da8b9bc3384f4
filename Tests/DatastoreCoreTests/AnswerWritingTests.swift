import DatastoreCore
import Foundation
import Testing

/// Answers are written byte for byte as `WireJSON.encode` writes them.
struct AnswerWritingTests {
    private static let texts = [
        "", "a dog", "\"quoted\" and \\", "tab\tline\nreturn\rbell\u{7}\u{8}\u{c}\u{1f}\u{7f}", "grüße 😀 / \u{2028}",
        "e\u{301}", "\u{0}", "a/b",
    ]
    private static let floats: [Float] = [
        0, -0.0, 1, -1, 0.1, 0.31, 1e-7, 1e-45, 1.5e10, 16_777_216, 1e16, 1e20, .greatestFiniteMagnitude,
        .leastNormalMagnitude, 123456.79,
    ]

    private struct Source {
        var random: SplitMix64

        mutating func pick<Value>(_ values: [Value]) -> Value { values[random.next(below: values.count)] }
        mutating func maybe<Value>(_ value: (inout Source) -> Value) -> Value? {
            random.next(below: 2) == 0 ? nil : value(&self)
        }
        mutating func text() -> String { pick(AnswerWritingTests.texts) }
        mutating func float() -> Float {
            let any = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
            return random.next(below: 2) == 0 && any.isFinite ? any : pick(AnswerWritingTests.floats)
        }
        mutating func name() -> String {
            pick(["a", "A", "b", "z10", "z9", "é", "e\u{301}", "", "\"", "aB", "a-b", "a_b", "ä", "😀", "\u{FB01}"])
        }

        mutating func value(_ depth: Int = 0) -> JSONValue {
            switch random.next(below: depth > 3 ? 5 : 7) {
            case 0: return .null
            case 1: return .bool(random.next(below: 2) == 0)
            case 2: return .integer(Int64(bitPattern: random.next() >> UInt64(random.next(below: 64))))
            case 3:
                let double = Double(bitPattern: random.next())
                return .number(double.isFinite ? double : 0.1)
            case 4: return .string(text())
            case 5: return .array((0..<random.next(below: 4)).map { _ in value(depth + 1) })
            default:
                var members: [String: JSONValue] = [:]
                for _ in 0..<random.next(below: 6) { members[name()] = value(depth + 1) }
                return .object(members)
            }
        }

        mutating func result() -> QueryResult {
            let fields = EntryFields(
                externalID: maybe { $0.text() }, text: text(), imageID: maybe { $0.text() },
                origin: maybe { $0.pick([.human, .web, .synthetic]) }, lang: maybe { $0.text() },
                source: maybe { $0.text() }, payload: maybe { $0.value() })
            var result = QueryResult(
                entry: Entry(id: Int64(bitPattern: random.next()), fields: fields), score: float(), datastore: text(),
                version: random.next(below: 1000))
            result.rankScore = maybe { $0.float() }
            result.scores = maybe { source in
                var scores: [String: Float] = [:]
                for _ in 0..<source.random.next(below: 4) { scores[source.name()] = source.float() }
                return scores
            }
            result.pending = maybe { _ in true }
            result.name = maybe { $0.text() }
            result.vector = maybe { $0.random.next(below: 40) }
            result.terms = maybe { source in
                (0..<source.random.next(below: 3)).map { _ in
                    TermShare(
                        term: source.maybe { $0.text() }, index: source.random.next(below: 20_000),
                        weight: source.float(), share: source.float())
                }
            }
            return result
        }

        mutating func answer() -> QueryAnswer {
            QueryAnswer(
                domain: text(), revision: random.next(below: 99),
                results: (0..<random.next(below: 4)).map { _ in result() },
                shortfall: maybe { source in
                    Shortfall(
                        requested: source.random.next(below: 9), returned: 1,
                        reasons: ShortfallReason.allCases.filter { _ in source.random.next(below: 2) == 0 })
                }, prompt: maybe { $0.text() }, names: maybe { [$0.text(), $0.text()] }, joined: maybe { $0.text() },
                notes: maybe { [$0.text()] })
        }
    }

    @Test func answersAreWrittenAsWireJSONEncodesThem() throws {
        var source = Source(random: SplitMix64(seed: 21))
        for _ in 0..<2000 {
            let answer = source.answer()
            let expected = try WireJSON.encode(answer)
            let written = Data(try answer.json())
            try #require(
                written == expected,
                "\(String(decoding: written, as: UTF8.self))\n\(String(decoding: expected, as: UTF8.self))")
        }
    }

    @Test func answersToSeveralAreWrittenAsWireJSONEncodesThem() throws {
        var source = Source(random: SplitMix64(seed: 22))
        for _ in 0..<200 {
            let problem = Problem(
                status: 400, title: source.text(), code: "x", detail: source.text(),
                errors: [], requestID: source.maybe { $0.text() })
            let batch = QueryBatchAnswer(
                domain: source.text(), revision: 3,
                answers: [
                    QueryBatchItem(source.answer()), QueryBatchItem(error: problem), QueryBatchItem(source.answer()),
                ])
            let expected = try WireJSON.encode(batch)
            let written = Data(try batch.json())
            try #require(
                written == expected,
                "\(String(decoding: written, as: UTF8.self))\n\(String(decoding: expected, as: UTF8.self))")
        }
    }
}
