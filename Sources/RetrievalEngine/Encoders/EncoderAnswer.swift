import DatastoreCore
import Foundation

/// An encoder's answer, OpenAI's list of embeddings.
struct EncoderAnswer: Decodable {
    struct Item: Decodable {
        let index: Int
        let embedding: Embedding
    }

    /// Numbers, or base64 of little-endian 32-bit floats: servers answer either, whatever was asked.
    enum Embedding: Decodable {
        case numbers([Float])
        case base64(String)

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                self = .base64(text)
            } else {
                self = .numbers(try container.decode([Float].self))
            }
        }

        func floats() throws -> [Float] {
            switch self {
            case .numbers(let numbers): numbers
            case .base64(let text): try QueryVectors.floats(base64: text, field: "embedding")
            }
        }
    }

    let data: [Item]
    let model: String?
    let revision: String?

    private static let longestName = 200

    /// Whether a text may be kept and shown as the name of a model or of a revision.
    private static func isName(_ text: String) -> Bool {
        (1...longestName).contains(text.count)
            && text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control && $0 != "\u{2028}" }
    }

    /// The most bytes that a sound answer can have, and one of vectors that are somewhat too long.
    static func byteLimit(count: Int, dim: Int) -> Int {
        let perVector = max(dim, 8192) * 32 + 1024
        let (bytes, tooLarge) = count.multipliedReportingOverflow(by: perVector)
        return tooLarge ? .max : bytes + (1 << 20)
    }

    /// The vectors, in the order of the inputs.
    ///
    /// - Parameter title: of the encoder, for messages.
    /// - Throws: `encoder_mismatch` when vectors have another number of dimensions, `encoder_failed` when anything else
    ///   is not as it should be.
    func vectors(count: Int, dim: Int, model asked: String, title: String) throws -> EncodedVectors {
        func failed(_ what: String) -> DatastoreError { DatastoreError(.encoderFailed, "\(title): \(what)") }
        guard data.count == count else { throw failed("got \(data.count) vectors, expected \(count)") }
        var byIndex = [Embedding?](repeating: nil, count: count)
        for item in data {
            guard byIndex.indices.contains(item.index), byIndex[item.index] == nil else {
                throw failed("got index \(item.index) twice or out of place, expected 0 to \(count - 1), each once")
            }
            byIndex[item.index] = item.embedding
        }
        var values: [Float] = []
        values.reserveCapacity(count * dim)
        for (index, embedding) in byIndex.enumerated() {
            let vector: [Float]
            do {
                vector = try embedding?.floats() ?? []
            } catch let error as DatastoreError {
                throw failed("vector \(index): \(error.detail)")
            }
            guard vector.count == dim else {
                throw DatastoreError(
                    .encoderMismatch,
                    "\(title): got vectors of \(vector.count) numbers from \(asked), expected \(dim)")
            }
            if case .notFinite(let position, let value) = VectorFault.find(in: vector[...], metric: .innerProduct) {
                throw failed("vector \(index): got \(value) at position \(position), expected finite numbers")
            }
            values += vector
        }
        for (field, name) in [("model", model), ("revision", revision)] {
            guard let name, !Self.isName(name) else { continue }
            throw failed(
                "got a \(field) of \(name.count) characters, expected 1 to \(Self.longestName) that can be printed")
        }
        return EncodedVectors(values: values, count: count, dim: dim, model: model ?? asked, revision: revision)
    }
}
