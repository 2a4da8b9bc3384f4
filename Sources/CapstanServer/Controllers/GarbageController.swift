import DatastoreCore
import Hummingbird
import RetrievalEngine

/// What is let go of.
struct GarbageController {
    let engine: CapstanEngine
    let bodyLimit: Int

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.post("gc", use: collect)
    }

    @Sendable func collect(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        try .json(try await engine.collectGarbage(request.json(GCRequest.self, upTo: bodyLimit)))
    }
}
