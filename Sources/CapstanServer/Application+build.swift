package import Hummingbird
package import Logging
package import NIOCore
package import RetrievalEngine

/// What the HTTP side is told at start.
package struct ServerConfiguration: Sendable {
    package var host: String
    /// 0 takes a free one.
    package var port: Int
    /// Bytes of a JSON or raw body.
    package var bodyLimit: Int
    /// Bytes of an upload.
    package var uploadLimit: Int
    /// After which a connection that nothing moves on is closed.
    package var idleTimeout: TimeAmount

    package init(
        host: String = "127.0.0.1", port: Int = 7411, bodyLimit: Int = 16 << 20, uploadLimit: Int = 64 << 30,
        idleTimeout: TimeAmount = .seconds(60)
    ) {
        self.host = host
        self.port = port
        self.bodyLimit = bodyLimit
        self.uploadLimit = uploadLimit
        self.idleTimeout = idleTimeout
    }
}

/// Wires the routes to the engine. Tests call it too.
///
/// - Parameter onListening: told the bound address.
package func buildApplication(
    engine: CapstanEngine, configuration: ServerConfiguration, logger: Logger,
    onListening: @escaping @Sendable (SocketAddress?) async -> Void = { _ in }
) -> some ApplicationProtocol {
    Application(
        router: buildRouter(engine: engine, configuration: configuration),
        server: .http1OnLoop(configuration: .init(idleTimeout: configuration.idleTimeout)),
        configuration: ApplicationConfiguration(
            address: .hostname(configuration.host, port: configuration.port), serverName: "capstand"),
        onServerRunning: { channel in await onListening(channel.localAddress) },
        logger: logger)
}

func buildRouter(engine: CapstanEngine, configuration: ServerConfiguration) -> Router<CapstanRequestContext> {
    let router = Router(context: CapstanRequestContext.self)
    router.add(middleware: ProblemMiddleware())
    router.add(middleware: LocalOnlyMiddleware())
    HealthController(engine: engine).addRoutes(to: router)
    let durations = QueryDurations()
    MetricsController(engine: engine, durations: durations).addRoutes(to: router)
    let bodyLimit = configuration.bodyLimit
    let readiness = ReadinessMiddleware(engine: engine)
    QueryController(engine: engine, bodyLimit: bodyLimit, durations: durations)
        .addRoutes(to: router.group("v1/domains").add(middleware: readiness))
    let api = router.group("v1").add(middleware: OffLoopMiddleware()).add(middleware: readiness)
    let domains = api.group("domains")
    DomainController(engine: engine, bodyLimit: bodyLimit).addRoutes(to: domains)
    let datastores = api.group("datastores")
    DatastoreController(engine: engine, bodyLimit: bodyLimit).addRoutes(to: datastores)
    VersionController(engine: engine).addRoutes(to: datastores)
    GarbageController(engine: engine, bodyLimit: bodyLimit).addRoutes(to: api)
    ImportController(engine: engine, bodyLimit: bodyLimit, uploadLimit: configuration.uploadLimit)
        .addRoutes(to: datastores)
    EntryController(engine: engine, bodyLimit: bodyLimit).addRoutes(to: datastores)
    VocabularyController(engine: engine, uploadLimit: configuration.uploadLimit).addRoutes(to: datastores)
    PlanController(engine: engine, uploadLimit: configuration.uploadLimit).addRoutes(to: datastores)
    BundleController(engine: engine, uploadLimit: configuration.uploadLimit).addRoutes(to: datastores)
    BackupController(engine: engine).addRoutes(to: api.group("backups"))
    DumpController(engine: engine, uploadLimit: configuration.uploadLimit).addRoutes(to: domains)
    ScoreController(engine: engine, bodyLimit: bodyLimit).addRoutes(to: api)
    JobController(engine: engine).addRoutes(to: api.group("jobs"))
    return router
}
