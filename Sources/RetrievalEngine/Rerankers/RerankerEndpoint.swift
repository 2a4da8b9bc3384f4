import DatastoreCore
package import Foundation

/// A reranker that the operator has configured: a server with `/rerank`, under a name.
///
/// Its key is sent to it and shown nowhere: not when this is printed, dumped or reflected.
package struct RerankerEndpoint: Sendable, Hashable {
    /// `/rerank` is appended to its URL.
    let server: ModelServer
    /// What the server is asked for; nil where it has one model only.
    package let model: String?

    package var name: String { server.name }
    package var url: URL { server.url }
    package var apiKey: String? { server.apiKey }

    /// Reads `NAME=URL`, for example `bge=http://127.0.0.1:7997`.
    ///
    /// - Parameter apiKey: nil or empty when the server needs none.
    /// - Throws: `invalid_value`; what is thrown repeats neither key nor URL, which may carry secrets.
    package init(argument: String, model: String? = nil, apiKey: String?) throws {
        let kind = ModelServer.Kind.reranker
        let (name, location) = try kind.split(
            argument: argument, form: "NAME=URL, for example bge=http://127.0.0.1:7997")
        server = try ModelServer(kind, name: name, location: location, apiKey: apiKey)
        self.model = model.flatMap { $0.isEmpty ? nil : $0 }
    }
}

extension RerankerEndpoint {
    /// Where relevances are asked for.
    var rerankURL: URL { url.appending(path: "rerank") }

    /// The reranker as messages name it.
    var title: String { server.title }
}

extension RerankerEndpoint: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { server.description }
    package var debugDescription: String { description }
    package var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "name": name, "url": server.plainURL, "model": model as Any, "hasKey": apiKey != nil,
            ])
    }
}
