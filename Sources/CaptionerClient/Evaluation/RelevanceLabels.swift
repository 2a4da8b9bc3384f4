package import DatastoreCore
package import Foundation

/// Which results are right for one query of an evaluation: those of the listed entries, or of the query's own image.
package struct RelevanceLabels: Sendable, Hashable {
    /// External ids of entries.
    package var relevant: Set<String>
    package var imageID: String?

    package init(relevant: Set<String> = [], imageID: String? = nil) {
        self.relevant = relevant
        self.imageID = imageID
    }

    /// Whether there is nothing that could be right.
    package var isEmpty: Bool { relevant.isEmpty && imageID == nil }

    package func match(_ result: QueryResult) -> Bool {
        if let imageID, result.imageID == imageID { return true }
        return result.externalID.map(relevant.contains) ?? false
    }

    /// The place of the first right result, from 1; nil when there is none.
    package func rank(in results: [QueryResult]) -> Int? {
        results.firstIndex(where: match).map { $0 + 1 }
    }

    /// Reads one JSON object a line: `{"relevant": ["a", 7]}`, `{"image_id": "391895"}`, or both; other members are not
    /// looked at. An empty line is a query without labels.
    ///
    /// - Parameter name: of the file, for messages.
    /// - Throws: `malformed_row`.
    package static func read(_ data: Data, name: String) throws -> [RelevanceLabels] {
        var lines = data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return try lines.enumerated().map { number, line in
            guard !line.allSatisfy({ [0x20, 0x09, 0x0D].contains($0) }) else { return RelevanceLabels() }
            do {
                return try WireJSON.decode(RelevanceLabels.self, from: Data(line))
            } catch let error as DatastoreError {
                throw DatastoreError(.malformedRow, "\(name), line \(number + 1): \(error.detail)")
            }
        }
    }
}

extension RelevanceLabels: Decodable {
    enum CodingKeys: String, CodingKey {
        case relevant
        case imageID = "image_id"
    }

    /// An id as the rows of imports have it: a string, or a whole number.
    private struct Identifier: Decodable {
        let text: String

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let number = try? container.decode(Int64.self) {
                text = String(number)
            } else {
                text = try container.decode(String.self)
            }
        }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        relevant = Set((try container.decodeIfPresent([Identifier].self, forKey: .relevant) ?? []).map(\.text))
        imageID = try container.decodeIfPresent(Identifier.self, forKey: .imageID)?.text
    }
}
