import DatastoreCore
import Foundation

/// Prints answers to questions, and counts those that are refused.
struct AnswerPrinter {
    let connection: Connection
    private(set) var failures = 0

    init(connection: Connection) {
        self.connection = connection
    }

    mutating func show(_ answer: QueryAnswer) throws {
        try show(
            AnswerLine(domain: answer.domain, revision: answer.revision, item: QueryBatchItem(answer)), heading: nil)
    }

    /// - Parameter heading: of the nth answer, from 0.
    mutating func show(_ batch: QueryBatchAnswer, heading: (Int) -> String?) throws {
        for (number, item) in batch.answers.enumerated() {
            try show(AnswerLine(domain: batch.domain, revision: batch.revision, item: item), heading: heading(number))
        }
    }

    private mutating func show(_ line: AnswerLine, heading: String?) throws {
        if line.item.error != nil { failures += 1 }
        if let error = line.item.error, !connection.json {
            let place = heading.map { "\(printable($0)): " } ?? ""
            return StandardError.write("capstan: \(place)\(printable(error.detail)) (\(error.code))")
        }
        try connection.show(line) { line in heading.map { "\(printable($0))\n\(line.text)\n" } ?? line.text }
    }
}

/// The answer to one question: a `QueryAnswer`, or the error of that question alone.
private struct AnswerLine: Encodable {
    let domain: String
    let revision: Int
    let item: QueryBatchItem

    func encode(to encoder: any Swift.Encoder) throws {
        if let error = item.error {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(domain, forKey: .domain)
            try container.encode(revision, forKey: .revision)
            try container.encode(error, forKey: .error)
        } else {
            try QueryAnswer(
                domain: domain, revision: revision, results: item.results ?? [], shortfall: item.shortfall,
                prompt: item.prompt, names: item.names, joined: item.joined, notes: item.notes
            ).encode(to: encoder)
        }
    }

    private enum CodingKeys: String, CodingKey {
        case domain, revision, error
    }

    var text: String {
        var parts: [String] = []
        if let results = item.results, !results.isEmpty { parts.append(Self.table(of: results)) }
        if let joined = item.joined { parts.append("\n\(item.names?.count ?? 0) names: \(printable(joined))") }
        if let shortfall = item.shortfall {
            let reasons = shortfall.reasons.map(\.rawValue).joined(separator: ", ")
            parts.append("\(shortfall.returned) of \(shortfall.requested) results: \(reasons)")
        }
        parts += (item.notes ?? []).map { "note: \(printable($0))" }
        if let prompt = item.prompt {
            let lines = prompt.split(separator: "\n", omittingEmptySubsequences: false)
            parts.append("\nprompt:\n" + lines.map { printable(String($0)) }.joined(separator: "\n"))
        }
        return parts.joined(separator: "\n")
    }

    /// Columns that no result has anything for are left out.
    private static func table(of results: [QueryResult]) -> String {
        let columns: [(heading: String, cell: (QueryResult) -> String?)] = [
            ("SCORE", { String(format: "%.4f", $0.score) }),
            ("RANK_SCORE", { $0.rankScore.map { String(format: "%.4f", $0) } }),
            ("NAME", { $0.name }),
            ("TEXT", { $0.text }),
            ("TERMS", { $0.terms.map(Self.shares) }),
            ("VECTOR", { $0.vector.map(String.init) }),
            ("IMAGE", { $0.imageID ?? "-" }),
            ("ENTRY", { "\($0.datastore)@\($0.version) #\($0.id)\($0.pending == true ? " (pending)" : "")" }),
        ]
        let shown = columns.filter { column in results.contains { column.cell($0) != nil } }
        return Table(
            heading: shown.map(\.heading),
            rows: results.map { result in shown.map { $0.cell(result) ?? "-" } },
            numbers: ["SCORE", "RANK_SCORE", "VECTOR"]
        ).text
    }

    /// Each term with its part of the score, the largest first.
    private static func shares(_ terms: [TermShare]) -> String {
        let longest = 5  // all of them with --json
        let largest = terms.prefix(longest).map {
            ($0.term ?? "#\($0.index)") + String(format: " %.0f%%", $0.share * 100)
        }
        return (largest + (terms.count > longest ? ["…"] : [])).joined(separator: ", ")
    }
}
