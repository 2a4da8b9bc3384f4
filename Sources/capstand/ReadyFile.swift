import DatastoreCore
import Foundation
import Logging
import NIOCore
import RetrievalEngine
import ServiceLifecycle

/// Says where the daemon answers, once it does: in the log, in the lock of the data directory, and in a file.
final class ReadyFile: Service {
    private let path: String?
    private let engine: CapstanEngine
    private let logger: Logger
    private let addresses: AsyncStream<String>
    private let continuation: AsyncStream<String>.Continuation

    init(path: String?, engine: CapstanEngine, logger: Logger) {
        self.path = path
        self.engine = engine
        self.logger = logger
        (addresses, continuation) = AsyncStream.makeStream(of: String.self)
    }

    func listening(on address: SocketAddress?) {
        guard let host = address?.ipAddress, let port = address?.port else { return }
        continuation.yield(host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)")
    }

    func run() async throws {
        try await cancelWhenGracefulShutdown { [self] in
            for await address in addresses {
                try engine.announce(address: address)
                logger.info("listening", metadata: ["address": "\(address)"])
                await engine.whenReady()
                guard engine.readiness.status == .ready, let path else { continue }
                try Data("\(address)\n".utf8).write(to: URL(filePath: path), options: .atomic)
            }
        }
        if let path { try? FileManager.default.removeItem(atPath: path) }
    }
}
