import DatastoreCore
package import Foundation

/// A server of a model that the operator has configured under a name.
///
/// Its key is sent to it and shown nowhere: not when this is printed, dumped or reflected.
package struct ModelServer: Sendable, Hashable {
    /// What the server is for.
    package enum Kind: String, Sendable {
        case encoder
        case reranker

        /// When no connection comes about.
        var unreachable: ErrorCode { self == .encoder ? .encoderUnreachable : .rerankerUnreachable }
        /// When it refuses, or answers anything else than it should.
        var failed: ErrorCode { self == .encoder ? .encoderFailed : .rerankerFailed }
    }

    package var kind: Kind
    package var name: String
    /// What the path of a call is appended to, for example `http://127.0.0.1:8089/v1`.
    package var url: URL
    /// Sent as `Authorization: Bearer …`.
    package var apiKey: String?

    /// - Parameters:
    ///   - location: the URL.
    ///   - apiKey: nil or empty when the server needs none.
    /// - Throws: `invalid_value`; what is thrown repeats neither key nor URL, which may carry secrets.
    init(_ kind: Kind, name: String, location: some StringProtocol, apiKey: String?) throws {
        guard let url = URL(string: String(location)), ["http", "https"].contains(url.scheme?.lowercased()),
            let host = url.host(), !host.isEmpty, url.fragment() == nil
        else {
            throw kind.invalid(
                "\(name): expected a URL with http or https and a host, for example http://127.0.0.1:8089/v1")
        }
        guard url.user() == nil, url.password() == nil else {
            throw kind.invalid("\(name): got a URL with a user or a password, expected the key to be given on its own")
        }
        guard apiKey?.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) ?? true else {
            throw kind.invalid("\(name): the key has a space or another character that no header can carry")
        }
        self.kind = kind
        self.name = name
        self.url = url
        self.apiKey = apiKey.flatMap { $0.isEmpty ? nil : $0 }
    }
}

extension ModelServer {
    /// `url` without what may be secret: user, password and query.
    var plainURL: String {
        var parts = URLComponents(url: url, resolvingAgainstBaseURL: false)
        parts?.user = nil
        parts?.password = nil
        parts?.query = nil
        parts?.fragment = nil
        return parts?.string ?? ""
    }

    /// The server as messages name it.
    var title: String { "\(kind.rawValue) \"\(name)\" at \(plainURL)" }
}

extension ModelServer.Kind {
    /// The name and the rest of `NAME=…`.
    ///
    /// - Parameter form: what is expected, for the message.
    /// - Throws: `invalid_value`.
    func split(argument: String, form: String) throws -> (name: String, rest: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let name = try? ResourceName.validate(parts[0]) else {
            throw invalid("got a name that is none, expected \(form)")
        }
        return (name, parts[1])
    }

    func invalid(_ message: String) -> DatastoreError { .field(.invalidValue, rawValue, message) }
}

extension ModelServer: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "\(name)=\(plainURL)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror {
        Mirror(self, children: ["kind": kind, "name": name, "url": plainURL, "hasKey": apiKey != nil])
    }
}
