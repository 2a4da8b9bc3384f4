import DatastoreCore
import Foundation
import HTTPTypes
import Hummingbird

/// Refuses what a web page in somebody's browser sends to the daemon on the same machine.
///
/// There are no keys yet: whoever reaches loopback is trusted. A page of another site reaches it too, either openly (its
/// `Origin` says so) or under a name that resolves to loopback (the `Host` says so).
struct LocalOnlyMiddleware: RouterMiddleware {
    func handle(
        _ request: Request, context: CapstanRequestContext,
        next: (Request, CapstanRequestContext) async throws -> Response
    ) async throws -> Response {
        if let host = request.head.authority, !Self.isPlainlyLocal(host),
            !Self.isLocal(URLComponents(string: "http://\(host)")?.host)
        {
            throw DatastoreError(
                .foreignRequest,
                "got Host \(host), expected a loopback address; a proxy must set it, as it sets its keys")
        }
        if let origin = request.headers[.origin], !Self.isLocal(URLComponents(string: origin)?.host) {
            throw DatastoreError(.foreignRequest, "got Origin \(origin), expected none or a loopback address")
        }
        return try await next(request, context)
    }

    /// Whether an authority is a loopback name and a port and nothing else, as that of almost all requests: to take an address
    /// apart by all its rules costs more than the rest of this.
    private static func isPlainlyLocal(_ authority: String) -> Bool {
        let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let isPort = parts.count < 2 || (!parts[1].isEmpty && parts[1].utf8.allSatisfy { (48...57).contains($0) })
        return isPort && LoopbackHost.contains(String(parts[0]))
    }

    private static func isLocal(_ host: String?) -> Bool {
        guard let host = host?.trimmingCharacters(in: ["[", "]"]).lowercased() else { return false }
        return LoopbackHost.contains(host)
    }
}
