import DatastoreCore
import HTTPTypes
import Hummingbird
import NIOCore
import RetrievalEngine

/// Is it there, does it answer, and what is its API.
struct HealthController {
    let engine: CapstanEngine

    func addRoutes(to router: Router<CapstanRequestContext>) {
        router.get("livez") { _, _ in try Response.json(["status": "alive"]) }
        router.get("readyz") { [engine] _, _ in
            let readiness = engine.readiness
            return try Response.json(readiness, status: readiness.status == .ready ? .ok : .serviceUnavailable)
        }
        router.get("v1/status") { [engine] _, _ in try Response.json(try await engine.status()) }
        router.get("openapi.yaml") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "application/yaml"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: PackageResources.openapi_yaml)))
        }
    }
}
