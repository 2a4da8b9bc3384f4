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

    package var name: String
    /// What `/embeddings` is appended to, for example `http://127.0.0.1:8089/v1`.
    package var url: URL
    package var dialect: Dialect
    /// Sent as `Authorization: Bearer …`.
    package var apiKey: String?

    /// Reads `NAME=URL` or `NAME=DIALECT+URL`, for example `clip=infinity+http://127.0.0.1:7997`. Without a dialect it
    /// is `openai`.
    ///
    /// - Parameter apiKey: nil or empty when the server needs none.
    /// - Throws: `invalid_value`; what is thrown repeats neither key nor URL, which may carry secrets.
    package init(argument: String, apiKey: String?) throws {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let name = try? ResourceName.validate(parts[0]) else {
            throw Self.invalid(
                "got a name that is none, expected NAME=URL or NAME=DIALECT+URL, for example "
                    + "clip=infinity+http://127.0.0.1:7997")
        }
        self.name = name
        (dialect, url) = try Self.location(parts[1], name: name)
        guard apiKey?.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) ?? true else {
            throw Self.invalid("\(name): the key has a space or another character that no header can carry")
        }
        self.apiKey = apiKey.flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func location(_ text: String, name: String) throws -> (Dialect, URL) {
        var location = text[...]
        var dialect = Dialect.openai
        if let plus = location.firstIndex(of: "+"), !location[..<plus].contains(":") {
            guard let named = Dialect(rawValue: String(location[..<plus])) else {
                let known = Dialect.allCases.map(\.rawValue).joined(separator: ", ")
                throw invalid("\(name): got dialect \"\(location[..<plus].prefix(32))\", expected one of \(known)")
            }
            dialect = named
            location = location[location.index(after: plus)...]
        }
        guard let url = URL(string: String(location)), ["http", "https"].contains(url.scheme?.lowercased()),
            let host = url.host(), !host.isEmpty, url.fragment() == nil
        else {
            throw invalid("\(name): expected a URL with http or https and a host, for example http://127.0.0.1:8089/v1")
        }
        guard url.user() == nil, url.password() == nil else {
            throw invalid("\(name): got a URL with a user or a password, expected the key to be given on its own")
        }
        return (dialect, url)
    }

    private static func invalid(_ message: String) -> DatastoreError { .field(.invalidValue, "encoder", message) }
}

extension EncoderEndpoint {
    /// Where vectors are asked for.
    var embeddingsURL: URL { url.appending(path: "embeddings") }

    /// `url` without what may be secret: user, password and query.
    var plainURL: String {
        var parts = URLComponents(url: url, resolvingAgainstBaseURL: false)
        parts?.user = nil
        parts?.password = nil
        parts?.query = nil
        parts?.fragment = nil
        return parts?.string ?? ""
    }

    /// The encoder as messages name it.
    var title: String { "encoder \"\(name)\" at \(plainURL)" }
}

extension EncoderEndpoint: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "\(name)=\(dialect.rawValue)+\(plainURL)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror {
        Mirror(self, children: ["name": name, "url": plainURL, "dialect": dialect, "hasKey": apiKey != nil])
    }
}
