import DatastoreCore
import Foundation
import RetrievalEngine
import TestSupport
import Testing

/// What a datastore must have and answer after each change: the rules of the API over a plain list, and exact search by
/// brute force.
struct EntryModel: Sendable {
    struct Stored: Sendable {
        let id: Int64
        var row: TestRow
    }

    /// In the order of their ids.
    private(set) var entries: [Stored] = []
    private var lastID: Int64 = 0

    /// - Returns: whether an entry with its id was there.
    mutating func put(_ row: TestRow) -> Bool {
        if let place = entries.firstIndex(where: { $0.row.id == row.id }) {
            entries[place].row = row
            return true
        }
        lastID += 1
        entries.append(Stored(id: lastID, row: row))
        return false
    }

    /// - Returns: the entry that it was.
    mutating func delete(_ externalID: String) -> Stored? {
        entries.firstIndex { $0.row.id == externalID }.map { entries.remove(at: $0) }
    }

    /// Whether a row passes a filter, by what its JSON has.
    static func passes(_ row: TestRow, _ filter: QueryFilter?) -> Bool {
        guard let filter else { return true }
        func text(_ name: String) -> String? {
            if case .string(let text) = row.more[name] { text } else { nil }
        }
        if let wanted = filter.origin, !wanted.map(\.rawValue).contains(text("origin") ?? "") { return false }
        if let wanted = filter.lang, text("lang") == nil || !wanted.contains(text("lang") ?? "") { return false }
        if let wanted = filter.source, text("source") == nil || !wanted.contains(text("source") ?? "") { return false }
        if let wanted = filter.imageIDs, row.imageID == nil || !wanted.contains(row.imageID ?? "") { return false }
        var payload: [String: JSONValue] = [:]
        if case .object(let members) = row.more["payload"] { payload = members }
        return (filter.payload ?? [:]).allSatisfy { payload[$0.key] == $0.value }
    }

    /// The texts and ids that answer a question, and whether the filter left out entries.
    func answer(_ query: [Float], _ options: QueryOptions) -> (hits: [(entry: Stored, score: Float)], filtered: Bool) {
        guard !entries.isEmpty else { return ([], false) }
        let all = Vectors(values: entries.flatMap(\.row.vector), dim: query.count)
        let passing = entries.indices.filter { Self.passes(entries[$0].row, options.filter) }
        var seen: Set<FoldedText> = []
        let ranked = bruteForce(all, Vectors(values: query, dim: query.count), k: entries.count)[0]
            .sorted { $0.score != $1.score ? $0.score > $1.score : $0.row < $1.row }
        let hits = ranked.filter { hit in
            let row = entries[hit.row].row
            return Self.passes(row, options.filter)
                && !options.excludeImageIDs.contains { $0 == row.imageID }
                && (options.dedupe != .text || seen.insert(FoldedText(row.text)).inserted)
        }
        return (
            hits.prefix(options.k ?? Retriever.defaultK).map { (entries[$0.row], $0.score) },
            passing.count < entries.count
        )
    }

    /// Expects that an answer is the one that must be.
    func check(
        _ answer: QueryAnswer, _ query: [Float], _ options: QueryOptions,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let (hits, filtered) = self.answer(query, options)
        #expect(
            answer.results.map { "\($0.id) \($0.text)" } == hits.map { "\($0.entry.id) \($0.entry.row.text)" },
            "\(options)", sourceLocation: sourceLocation)
        for (result, hit) in zip(answer.results, hits) {
            #expect(abs(result.score - hit.score) <= 1e-6, sourceLocation: sourceLocation)
        }
        let isShort = hits.count < options.k ?? Retriever.defaultK
        #expect((answer.shortfall != nil) == isShort, sourceLocation: sourceLocation)
        guard let reasons = answer.shortfall?.reasons else { return }
        #expect(reasons.contains(.filter) == filtered, "\(options)", sourceLocation: sourceLocation)
        #expect(!reasons.isEmpty, sourceLocation: sourceLocation)
    }

    // MARK: Rows

    /// Real captions with their real vectors, and with origins, languages, sources and payloads by chance.
    static func rows(of sample: String, seed: UInt64) throws -> [TestRow] {
        var random = SeededGenerator(seed: seed)
        let folder = TestData.samples.appending(path: sample)
        struct Line: Decodable { var text: String }
        let lines = try Data(contentsOf: folder.appending(path: "captions.ndjson")).split(separator: UInt8(ascii: "\n"))
        let texts = try lines.map { try WireJSON.decode(Line.self, from: Data($0)).text }
        let vectors = try Vectors(npy: folder.appending(path: "captions.f16.npy"))
        try #require(texts.count == vectors.count)
        return texts.indices.map { place in
            TestRow(
                texts[place], vectors[place], id: "\(sample)-\(place)", imageID: "image-\(place / 5)",
                more: attributes(&random))
        }
    }

    static func attributes(_ random: inout SeededGenerator) -> [String: JSONValue] {
        var more: [String: JSONValue] = [:]
        if let origin = ["human", "web", "synthetic", nil].randomElement(using: &random) ?? nil {
            more["origin"] = .string(origin)
        }
        if let lang = ["en", "en", "en", "de", nil].randomElement(using: &random) ?? nil {
            more["lang"] = .string(lang)
        }
        if Bool.random(using: &random) { more["source"] = .string("s\(Int.random(in: 0..<200, using: &random))") }
        if Bool.random(using: &random) {
            var payload: [String: JSONValue] = ["n": .integer(Int64.random(in: 0..<3, using: &random))]
            payload["split"] = .string(["train", "val", "te\"s'tß"].randomElement(using: &random) ?? "")
            payload["say \"x\""] = .bool(.random(using: &random))
            if Bool.random(using: &random) { payload["gone"] = .null }
            more["payload"] = .object(payload)
        }
        return more
    }

    /// Filters that let few rows through, many, none and all.
    static func filter(_ random: inout SeededGenerator) -> QueryFilter? {
        var filter = QueryFilter()
        switch Int.random(in: 0..<9, using: &random) {
        case 0: return nil
        case 1: filter.origin = [.human]
        case 2: filter.origin = [.web, .synthetic]
        case 3: filter.lang = ["de"]
        case 4: filter.source = (0..<3).map { _ in "s\(Int.random(in: 0..<220, using: &random))" }
        case 5: filter.imageIDs = (0..<4).map { _ in "image-\(Int.random(in: 0..<130, using: &random))" }
        case 6: filter.payload = ["split": .string("te\"s'tß")]
        case 7: filter.payload = ["n": .integer(2), "say \"x\"": .bool(true)]
        default: filter.payload = ["gone": .null]
        }
        if Int.random(in: 0..<3, using: &random) == 0 { filter.lang = ["en", "fr"] }
        if Int.random(in: 0..<4, using: &random) == 0 { filter.origin = [.human, .web] }
        return filter
    }
}
