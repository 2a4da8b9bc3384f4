import DatastoreCore
import Dispatch
import Foundation
import Synchronization

/// Has the vectors of rows made by the encoder that their datastore names, a few requests at a time.
///
/// Blocking, for one worker thread; not thread-safe.
final class RowEncoder {
    private let client: EncoderClient
    private let encoder: Encoder
    private let dim: Int
    /// The revision that all vectors of the datastore must be of; nil until the encoder has said one.
    var revision: String?
    private(set) var hasAnswered = false

    /// Texts of one request.
    private static let batch = 64
    /// Requests under way at a time: the encoder computes one while the next is on its way.
    private static let lanes = 2

    init(_ client: EncoderClient, key: KeySpec, encoder: Encoder) {
        self.client = client
        self.encoder = encoder
        dim = key.dim
        revision = encoder.revision
    }

    /// The vectors of texts, in order.
    ///
    /// - Throws: `encoder_unreachable`, `encoder_failed`, `encoder_mismatch`, and what `checkpoint` throws, which is
    ///   called while the encoder is waited for.
    func vectors(of texts: [String], checkpoint: () throws -> Void) throws -> [[Float]] {
        guard !texts.isEmpty else { return [] }
        let chunks = stride(from: 0, to: texts.count, by: Self.batch).map {
            Array(texts[$0..<min($0 + Self.batch, texts.count)])
        }
        let answers = try wait(for: chunks, checkpoint)
        var vectors: [[Float]] = []
        vectors.reserveCapacity(texts.count)
        for answer in answers {
            let answered = try encoder.revision(answeredBy: answer, expected: revision)
            guard !hasAnswered || answered == revision else {
                throw DatastoreError(
                    .encoderMismatch,
                    "encoder \"\(encoder.endpoint ?? "")\": got revision \"\(answered ?? "")\", and none before in the same "
                        + "import; import again when it answers alike")
            }
            revision = answered
            hasAnswered = true
            for index in 0..<answer.count {
                vectors.append(Array(answer.values[index * answer.dim..<(index + 1) * answer.dim]))
            }
        }
        return vectors
    }

    /// Blocks until all chunks are encoded.
    private func wait(for chunks: [[String]], _ checkpoint: () throws -> Void) throws -> [EncodedVectors] {
        let answer = Answer()
        let task = Self.start(chunks, client, model: encoder.model, dim: dim, answer)
        do {
            while true {
                if let result = answer.wait(for: .milliseconds(200)) { return try result.get() }
                try checkpoint()
            }
        } catch {
            task.cancel()
            throw error
        }
    }

    private static func start(
        _ chunks: [[String]], _ client: EncoderClient, model: String, dim: Int, _ answer: Answer
    ) -> Task<Void, Never> {
        Task {
            do {
                answer.set(.success(try await encode(chunks, client, model: model, dim: dim)))
            } catch {
                answer.set(.failure(error))
            }
        }
    }

    private static func encode(
        _ chunks: [[String]], _ client: EncoderClient, model: String, dim: Int
    ) async throws -> [EncodedVectors] {
        try await withThrowingTaskGroup(of: (Int, EncodedVectors).self) { group in
            var answers = [EncodedVectors?](repeating: nil, count: chunks.count)
            for (index, chunk) in chunks.enumerated() {
                if index >= lanes, let (done, vectors) = try await group.next() { answers[done] = vectors }
                group.addTask { (index, try await client.encode(texts: chunk, model: model, dim: dim)) }
            }
            for try await (done, vectors) in group { answers[done] = vectors }
            return answers.compactMap { $0 }
        }
    }

    /// What a task answers, once, to a thread that waits.
    private final class Answer: Sendable {
        private let result = Mutex<Result<[EncodedVectors], any Error>?>(nil)
        private let isThere = DispatchSemaphore(value: 0)

        func set(_ value: Result<[EncodedVectors], any Error>) {
            result.withLock { $0 = value }
            isThere.signal()
        }

        func wait(for timeout: DispatchTimeInterval) -> Result<[EncodedVectors], any Error>? {
            guard isThere.wait(timeout: .now() + timeout) == .success else { return nil }
            return result.withLock { $0 }
        }
    }
}

extension Encoder {
    /// The revision that a datastore's vectors are of, after an answer of its encoder. An endpoint that answers as
    /// another model than it was asked for names its revision by that.
    ///
    /// - Throws: `encoder_mismatch` when it is not the one expected: vectors of two models cannot be compared.
    func revision(answeredBy answer: EncodedVectors, expected: String?) throws -> String? {
        let got = answer.revision ?? (answer.model == model ? nil : answer.model)
        guard let expected else { return got }
        guard let got, got != expected else { return expected }
        throw DatastoreError(
            .encoderMismatch,
            "encoder \"\(endpoint ?? "")\": got vectors of \(model) at revision \"\(got)\", expected \"\(expected)\" as "
                + "in the datastore; make a new datastore for the new revision")
    }
}
