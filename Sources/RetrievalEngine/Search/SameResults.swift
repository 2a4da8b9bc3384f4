import DatastoreCore
import VectorIndex

/// Remembers what was taken, to tell results that count as the same.
struct SameResults {
    private let dedupe: Dedupe
    private var texts: Set<FoldedText> = []
    private var images: Set<String> = []
    private var vectors: [KeyQuery] = []

    init(_ dedupe: Dedupe) {
        self.dedupe = dedupe
    }

    /// Whether a candidate is the same as one that was taken; if not, it is taken.
    mutating func contains(
        _ candidate: Candidate, vector: (Candidate) -> [Float], _ spec: KeySpec?
    ) -> Bool {
        let text = dedupe.text ? candidate.entry.map { FoldedText($0.fields.text) } : nil
        if let text, texts.contains(text) { return true }
        let image = dedupe.image ? candidate.entry?.fields.imageID : nil
        if let image, images.contains(image) { return true }
        if let least = dedupe.similarity, let spec {
            let values = vector(candidate)
            guard !vectors.contains(where: { $0.score(of: values) >= least }) else { return true }
            vectors.append(KeyQuery(values[...], metric: spec.metric))
        }
        if let text { texts.insert(text) }
        if let image { images.insert(image) }
        return false
    }
}
