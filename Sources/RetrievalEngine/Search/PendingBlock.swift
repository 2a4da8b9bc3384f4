import DatastoreCore
import DatastoreStorage
import VectorIndex

/// Some pending changes one after the other, laid out for search: the vectors of each key lie end to end.
///
/// Thread-safe: it never changes.
final class PendingBlock: Sendable {
    /// A change without its vectors.
    struct Change: Sendable {
        let sequence: Int64
        let entry: Entry
        let isDeletion: Bool
    }

    private enum Column {
        case dense(FlatVectors)
        case sparse([SparseVector])
    }

    let changes: [Change]
    /// In the order of the datastore's keys; none when all are deletions.
    private let columns: [Column]
    /// Places of the changes that put an entry of an image.
    private let places: [String: [Int]]

    init(_ entries: [PendingEntry]) {
        changes = entries.map { Change(sequence: $0.sequence, entry: $0.entry, isDeletion: $0.isDeletion) }
        let form = entries.first { !$0.isDeletion }?.vectors ?? []
        columns = form.enumerated().map { position, form in
            switch form.vector {
            case .dense(let numbers):
                var vectors = FlatVectors(dim: max(1, numbers.count))
                for entry in entries { vectors.append(entry.isDeletion ? nil : entry.vectors[position].vector.numbers) }
                return .dense(vectors)
            case .sparse:
                return .sparse(
                    entries.map { entry in
                        guard !entry.isDeletion, case .sparse(let weights) = entry.vectors[position].vector else {
                            return .empty
                        }
                        return weights
                    })
            }
        }
        places = Self.places(changes)
    }

    /// Two blocks as one.
    init(_ one: PendingBlock, _ next: PendingBlock) {
        changes = one.changes + next.changes
        columns = zip(one.filled(like: next), next.filled(like: one)).map { one, next in
            switch (one, next) {
            case (.dense(var vectors), .dense(let more)):
                vectors.append(more)
                return .dense(vectors)
            case (.sparse(let vectors), .sparse(let more)): return .sparse(vectors + more)
            case (.dense, .sparse), (.sparse, .dense): preconditionFailure("the keys of a datastore never change")
            }
        }
        places = Self.places(changes)
    }

    private static func places(_ changes: [Change]) -> [String: [Int]] {
        var places: [String: [Int]] = [:]
        for (place, change) in changes.enumerated() {
            if let image = change.entry.fields.imageID { places[image, default: []].append(place) }
        }
        return places
    }

    /// The columns; of deletions alone empty ones, as another block has them.
    private func filled(like other: PendingBlock) -> [Column] {
        guard columns.isEmpty else { return columns }
        return other.columns.map { column in
            switch column {
            case .dense(let vectors):
                var empty = FlatVectors(dim: vectors.dim)
                for _ in changes { empty.append(nil) }
                return .dense(empty)
            case .sparse: return .sparse(Array(repeating: .empty, count: changes.count))
            }
        }
    }

    var count: Int { changes.count }

    func places(ofImage image: String) -> [Int] { places[image] ?? [] }

    /// The vectors of a dense key; nil where it has none.
    func vectors(_ position: Int) -> FlatVectors? {
        guard position < columns.count, case .dense(let vectors) = columns[position] else { return nil }
        return vectors
    }

    /// The weights of a sparse key.
    func weights(_ position: Int) -> [SparseVector] {
        guard position < columns.count, case .sparse(let weights) = columns[position] else { return [] }
        return weights
    }
}
