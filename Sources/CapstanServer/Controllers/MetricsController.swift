import DatastoreCore
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import RetrievalEngine

/// `GET /metrics`: numbers for Prometheus.
struct MetricsController {
    let engine: CapstanEngine
    let durations: QueryDurations

    func addRoutes(to router: Router<CapstanRequestContext>) {
        router.get("metrics", use: metrics)
    }

    @Sendable func metrics(_ request: Request, _ context: CapstanRequestContext) async throws -> Response {
        let text = Self.text(try await engine.measurements(), durations)
        return Response(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    private static func text(_ now: Measurements, _ durations: QueryDurations) -> String {
        var text = MetricsText()
        text.gauge("capstan_app_info", "The release that runs.", [(["release": Release.version], 1)])
        text.gauge("capstan_ready", "Whether questions are answered.", [([:], now.isReady ? 1 : 0)])
        text.gauge(
            "capstan_start_time_seconds", "When the daemon was started, in seconds since 1970.",
            [([:], now.startedAt.timeIntervalSince1970.rounded())])
        text.gauge(
            "capstan_datastore_entries", "Entries of the newest version.",
            now.datastores.map { (["datastore": $0.name], Double($0.entries)) })
        text.gauge(
            "capstan_datastore_version", "Number of the newest version, 0 while there is none.",
            now.datastores.map { (["datastore": $0.name], Double($0.latestVersion ?? 0)) })
        text.gauge(
            "capstan_pending_changes", "Durable changes that are in no version yet.",
            now.datastores.map { (["datastore": $0.name], Double($0.pending)) })
        text.gauge(
            "capstan_pending_limit",
            "Pending changes of a datastore that questions may count; beyond it those with include_pending are refused.",
            [([:], Double(now.pendingLimit))])
        let domains = now.domains.sorted { $0.domain < $1.domain }
        text.gauge(
            "capstan_domain_revision", "Revision that answers questions.",
            domains.map { (["domain": $0.domain], Double($0.revision)) })
        text.gauge(
            "capstan_active_version_info", "Versions that answer the questions of a domain.",
            domains.flatMap { domain in
                domain.datastores.map {
                    (["domain": domain.domain, "datastore": $0.name, "version": String($0.version)], 1)
                }
            })
        text.gauge(
            "capstan_searches_in_flight", "Questions waiting or being searched.", [([:], Double(now.searchesInFlight))])
        text.gauge("capstan_jobs_running", "Jobs that run.", [([:], Double(now.jobsRunning))])
        text.gauge("capstan_damaged_versions", "Versions that are not served.", [([:], Double(now.damagedVersions))])
        text.histogram(
            "capstan_query_duration_seconds", "Time to answer a question or a batch, reading its body included.",
            label: "domain", durations.all)
        return text.text
    }
}
