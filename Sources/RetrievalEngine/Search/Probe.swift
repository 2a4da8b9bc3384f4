import DatastoreCore
import VectorIndex

/// What is looked for, once texts are encoded, entries looked up and terms found in the vocabularies.
enum Probe: Sendable {
    case dense([Float])
    /// For each binding, as each has a vocabulary of its own.
    case lexical([SparseVector])
    case fused([Float], [SparseVector])
}

/// An entry on its way into the answer. Its text is read when it is needed first.
struct Candidate: Sendable {
    /// Where the entry is: in a row of the version, or in a slot of the pending changes beside it.
    enum Place: Sendable, Hashable {
        case version(row: Int)
        case pending(slot: Int)
    }

    let binding: Int
    let id: Int64
    let place: Place
    /// By the key that was searched; of fused rankings the fused one.
    var score: Float
    /// What it is ordered by.
    var rank: Double
    /// Fused rankings: the score by each key.
    var parts: (dense: Float?, lexical: Float?)?
    var entry: Entry?
    /// What a reranker gave.
    var relevance: Double?

    /// Best first, ties by id.
    static func precedes(_ one: Candidate, _ other: Candidate) -> Bool {
        if one.rank != other.rank { return one.rank > other.rank }
        return one.id != other.id ? one.id < other.id : one.binding < other.binding
    }

    /// What it is, whatever its score.
    struct Identity: Hashable {
        let binding: Int
        let id: Int64
    }

    var identity: Identity { Identity(binding: binding, id: id) }
}
