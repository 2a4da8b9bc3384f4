import DatastoreCore
package import Foundation

/// An encoder that the operator has configured: a server with OpenAI's `/embeddings`, under a name.
///
/// Its key is sent to it and shown nowhere: not when this is printed, dumped or reflected.
package struct EncoderEndpoint: Sendable, Hashable {
    /// How the server is asked for the vector of an image. Texts are asked for alike everywhere.
    package enum Dialect: String, CaseIterable, Sendable {
        /// Texts only.
        case openai
        /// A data URL in `input`, and `"modality": "image"`.
        case infinity
        /// A chat message with an `image_url`.
        case vllm
    }

    /// `/embeddings` is appended to its URL.
    let server: ModelServer
    package var dialect: Dialect

    package var name: String { server.name }
    package var url: URL { server.url }
    package var apiKey: String? { server.apiKey }

    /// Reads `NAME=URL` or `NAME=DIALECT+URL`, for example `clip=infinity+http://127.0.0.1:7997`. Without a dialect it
    /// is `openai`.
    ///
    /// - Parameter apiKey: nil or empty when the server needs none.
    /// - Throws: `invalid_value`; what is thrown repeats neither key nor URL, which may carry secrets.
    package init(argument: String, apiKey: String?) throws {
        let kind = ModelServer.Kind.encoder
        let (name, rest) = try kind.split(
            argument: argument, form: "NAME=URL or NAME=DIALECT+URL, for example clip=infinity+http://127.0.0.1:7997")
        var location = rest[...]
        dialect = .openai
        if let plus = location.firstIndex(of: "+"), !location[..<plus].contains(":") {
            guard let named = Dialect(rawValue: String(location[..<plus])) else {
                let known = Dialect.allCases.map(\.rawValue).joined(separator: ", ")
                throw kind.invalid("\(name): got dialect \"\(location[..<plus].prefix(32))\", expected one of \(known)")
            }
            dialect = named
            location = location[location.index(after: plus)...]
        }
        server = try ModelServer(kind, name: name, location: location, apiKey: apiKey)
    }
}

extension EncoderEndpoint {
    /// Where vectors are asked for.
    var embeddingsURL: URL { url.appending(path: "embeddings") }

    /// The encoder as messages name it.
    var title: String { server.title }
}

extension EncoderEndpoint: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "\(name)=\(dialect.rawValue)+\(server.plainURL)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror {
        Mirror(
            self, children: ["name": name, "url": server.plainURL, "dialect": dialect, "hasKey": apiKey != nil])
    }
}
