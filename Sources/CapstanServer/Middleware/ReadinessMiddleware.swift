import DatastoreCore
import Hummingbird
import RetrievalEngine

/// Answers `not_ready` until it is known which domains there are, so that none is ever taken for missing.
struct ReadinessMiddleware: RouterMiddleware {
    let engine: CapstanEngine

    func handle(
        _ request: Request, context: CapstanRequestContext,
        next: (Request, CapstanRequestContext) async throws -> Response
    ) async throws -> Response {
        let readiness = engine.readiness
        guard readiness.status != .loading || engine.answersQuestions else {
            throw DatastoreError(.notReady, "still loading: \(readiness.detail)")
        }
        return try await next(request, context)
    }
}
