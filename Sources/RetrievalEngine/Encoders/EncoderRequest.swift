import DatastoreCore
import Foundation

/// What an encoder is asked, and its body in each dialect.
enum EncoderRequest {
    /// - Parameter base64: whether the numbers are wanted as base64, a quarter of the size of their decimals. Not every
    ///   server knows the field, so without it nothing is said.
    case texts([String], base64: Bool)
    /// A `data:` URL.
    case image(String)

    /// Vectors wanted.
    var count: Int {
        switch self {
        case .texts(let texts, _): texts.count
        case .image: 1
        }
    }

    func body(model: String, dialect: EncoderEndpoint.Dialect) throws -> Data {
        switch (self, dialect) {
        case (.texts(let texts, let base64), _):
            try WireJSON.encode(TextBody(model: model, input: texts, encodingFormat: base64 ? "base64" : nil))
        case (.image(let url), .infinity):
            try WireJSON.encode(InfinityImageBody(model: model, input: [url]))
        case (.image(let url), .vllm):
            try WireJSON.encode(VLLMImageBody(model: model, url: url))
        case (.image, .openai):
            throw DatastoreError(
                .invalidValue,
                "the openai dialect has no images; configure the encoder as infinity+URL or vllm+URL if it takes them")
        }
    }
}

private struct TextBody: Encodable {
    let model: String
    let input: [String]
    let encodingFormat: String?

    enum CodingKeys: String, CodingKey {
        case model, input
        case encodingFormat = "encoding_format"
    }
}

private struct InfinityImageBody: Encodable {
    let model: String
    let modality = "image"
    let input: [String]
}

private struct VLLMImageBody: Encodable {
    struct Message: Encodable {
        let role = "user"
        let content: [Part]
    }

    struct Part: Encodable {
        let type = "image_url"
        let imageURL: [String: String]

        enum CodingKeys: String, CodingKey {
            case type
            case imageURL = "image_url"
        }
    }

    let model: String
    let messages: [Message]
    let encodingFormat = "float"

    init(model: String, url: String) {
        self.model = model
        messages = [Message(content: [Part(imageURL: ["url": url])])]
    }

    enum CodingKeys: String, CodingKey {
        case model, messages
        case encodingFormat = "encoding_format"
    }
}
