import DatastoreCore
import Hummingbird
import RetrievalEngine

/// How near candidates are to one query.
struct ScoreController {
    let engine: CapstanEngine
    let bodyLimit: Int

    func addRoutes(to group: RouterGroup<CapstanRequestContext>) {
        group.post("score", use: score)
    }

    @Sendable func score(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        _ = try QueryParameters(request, allowed: [])
        return try .json(try await engine.score(request.json(ScoreRequest.self, upTo: bodyLimit)))
    }
}
