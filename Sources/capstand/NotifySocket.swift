import DatastoreCore
import Foundation

/// The datagram socket on which systemd hears of a service's state (`sd_notify(3)`).
///
/// Thread-safe: it holds an address only; each message opens a socket of its own.
struct NotifySocket: Sendable {
    private let path: String

    /// - Parameter path: `NOTIFY_SOCKET`: a file, or an abstract name behind `@`.
    /// - Throws: `invalid_value`.
    init(path: String) throws {
        guard path.hasPrefix("/") || path.hasPrefix("@"), (2..<Self.longestPath).contains(path.utf8.count) else {
            throw DatastoreError(
                .invalidValue,
                "NOTIFY_SOCKET: got \"\(path.prefix(120))\", expected an absolute path or @NAME below \(Self.longestPath) bytes"
            )
        }
        self.path = path
    }

    private static let longestPath = MemoryLayout.size(ofValue: sockaddr_un().sun_path)

    /// Sends lines of `NAME=value` as one message. Never waits.
    ///
    /// - Throws: `storage_failed`, with what the system says.
    func send(_ lines: [String]) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure() }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        if path.hasPrefix("@") { name[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let size = MemoryLayout<sockaddr_un>.offset(of: \.sun_path).map { $0 + name.count } ?? 0
        let message = Array(lines.joined(separator: "\n").utf8)
        let sent = withUnsafePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(
                    descriptor, message, message.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT), $0,
                    socklen_t(size))
            }
        }
        guard sent == message.count else { throw failure() }
    }

    private func failure() -> DatastoreError {
        DatastoreError(.storageFailed, "\(path): \(String(cString: strerror(errno)))")
    }
}
