import DatastoreCore

/// Makes vectors of the texts and pictures that a domain is asked with, by the encoder that its datastores name.
struct QueryEncoder {
    private let client: EncoderClient
    private let encoder: Encoder
    private let dim: Int

    /// - Throws: `encoder_not_configured` when the datastores name none; `encoder_mismatch` when they name several.
    init(_ specs: [KeySpec], _ domain: DomainSnapshot, _ client: (String) throws -> EncoderClient) throws {
        guard let spec = specs.first, let encoder = spec.encoder, let name = encoder.endpoint else {
            throw DatastoreError(
                .encoderNotConfigured,
                "domain \"\(domain.info.domain)\" takes vectors only: its datastore names no encoder endpoint")
        }
        for other in specs where other.encoder != encoder {
            throw DatastoreError(
                .encoderMismatch,
                "domain \"\(domain.info.domain)\" reads vectors of \(encoder.model) and of "
                    + "\(other.encoder?.model ?? "an unnamed model"); ask it with a vector")
        }
        self.client = try client(name)
        self.encoder = encoder
        dim = spec.dim
    }

    /// - Throws: `missing_field` for a text that is empty.
    func vector(of text: String) async throws -> QueryVectors {
        guard text.contains(where: { !$0.isWhitespace }) else {
            throw DatastoreError.field(.missingField, "query.text", "got an empty text")
        }
        return try checked(try await client.encode(texts: [text], model: encoder.model, dim: dim))
    }

    /// - Throws: `missing_field` for a text that is empty.
    func vectors(of texts: [String], field: String) async throws -> QueryVectors {
        for (index, text) in texts.enumerated() where !text.contains(where: { !$0.isWhitespace }) {
            throw DatastoreError.field(.missingField, "\(field)[\(index)]", "got an empty text")
        }
        var values: [Float] = []
        for start in stride(from: 0, to: texts.count, by: Self.batch) {
            let part = Array(texts[start..<min(start + Self.batch, texts.count)])
            let answer = try await client.encode(texts: part, model: encoder.model, dim: dim)
            _ = try encoder.revision(answeredBy: answer, expected: encoder.revision)
            values += answer.values
        }
        return try QueryVectors(values: values, count: texts.count, field: field)
    }

    /// Texts of one request.
    private static let batch = 64

    func vector(of image: QueryImage) async throws -> QueryVectors {
        try checked(
            try await client.encode(image: image.data, mediaType: image.mediaType, model: encoder.model, dim: dim))
    }

    private func checked(_ answer: EncodedVectors) throws -> QueryVectors {
        _ = try encoder.revision(answeredBy: answer, expected: encoder.revision)
        return try QueryVectors(values: answer.values, count: 1, field: "the encoder's vector")
    }
}
