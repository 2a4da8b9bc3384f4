import DatastoreCore
import HTTPTypes
import Hummingbird
import Logging

/// Turns every error into `application/problem+json` and gives every answer its request id.
struct ProblemMiddleware: RouterMiddleware {
    private static let requestID = HTTPField.Name("X-Request-ID")
    /// Seconds after which an overloaded or loading daemon is worth asking again.
    private static let retryAfter = "1"

    func handle(
        _ request: Request, context: CapstanRequestContext,
        next: (Request, CapstanRequestContext) async throws -> Response
    ) async throws -> Response {
        var response: Response
        do {
            response = try await next(request, context)
        } catch {
            let problem = Problem(error, requestID: context.id)
            if problem.status >= 500 {
                context.logger.error(
                    "request failed",
                    metadata: [
                        "method": "\(request.method.rawValue)", "path": "\(request.uri.path)",
                        "code": "\(problem.code)", "error": "\(error)",
                    ])
            }
            response = try .json(
                problem, status: HTTPResponse.Status(code: problem.status), contentType: "application/problem+json")
            if problem.status == 503 { response.headers[.retryAfter] = Self.retryAfter }
        }
        if let name = Self.requestID { response.headers[name] = context.id }
        return response
    }
}
