import Foundation
import Synchronization

/// Stands between a client and a daemon, and breaks connections after so many bytes of answers.
///
/// Each connection has a thread that copies both ways; all end with it.
package final class CuttingProxy: Sendable {
    package enum Cut: Sendable {
        /// The connection breaks.
        case close
        /// Nothing more comes.
        case stall
    }

    private struct State {
        /// What happens to the next connections, in order; later ones are left alone.
        var cuts: ArraySlice<(bytes: Int, cut: Cut)>
        var connections = 0
        var open: Set<Int32> = []
        var isClosed = false
    }

    private let state: Mutex<State>
    private let listener: Int32
    private let target: UInt16
    package let port: UInt16

    /// - Parameters:
    ///   - address: of the daemon, `127.0.0.1:PORT`.
    ///   - cuts: for the first connections, one each: the bytes of answers that come through, and what happens then.
    package init(to address: String, cuts: [(bytes: Int, cut: Cut)]) throws {
        target = address.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
        state = Mutex(State(cuts: cuts[...]))
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var own = Self.address(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &own) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        listener = descriptor
        port = UInt16(bigEndian: own.sin_port)
        guard isListening else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        Thread.detachNewThread { [self] in accept() }
    }

    package var url: String { "http://127.0.0.1:\(port)" }
    package var connections: Int { state.withLock { $0.connections } }

    /// Ends all connections.
    package func close() {
        let open = state.withLock { state in
            state.isClosed = true
            return state.open
        }
        for descriptor in open { shutdown(descriptor, Int32(SHUT_RDWR)) }
        shutdown(listener, Int32(SHUT_RDWR))
    }

    private static func address(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private func accept() {
        while true {
            let client = Foundation.accept(listener, nil, nil)
            guard client >= 0 else { break }
            let next = state.withLock { state -> (bytes: Int, cut: Cut)? in
                state.connections += 1
                return state.cuts.popFirst()
            }
            Thread.detachNewThread { [self] in serve(client, next) }
        }
        Foundation.close(listener)
    }

    private func serve(_ client: Int32, _ cut: (bytes: Int, cut: Cut)?) {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer {
            state.withLock { $0.open.subtract([client, server]) }
            Foundation.close(client)
            Foundation.close(server)
        }
        let isClosed = state.withLock { state in
            state.open.formUnion([client, server])
            return state.isClosed
        }
        var address = Self.address(port: target)
        let isConnected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected, !isClosed else { return }
        var left = cut?.bytes ?? .max
        var isStalled = false
        while true {
            var polled = [
                pollfd(fd: client, events: Int16(POLLIN), revents: 0),
                pollfd(fd: isStalled ? -1 : server, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&polled, 2, -1) > 0 else { return }
            if polled[0].revents != 0, Self.copy(client, server, .max) == nil { return }
            if !isStalled, polled[1].revents != 0 {
                guard let count = Self.copy(server, client, left) else { return }
                if left != .max { left -= count }
                if left == 0 {
                    guard cut?.cut == .stall else { return }
                    isStalled = true
                }
            }
        }
    }

    /// - Returns: the bytes that were copied; nil at the end.
    private static func copy(_ from: Int32, _ to: Int32, _ most: Int) -> Int? {
        var buffer = [UInt8](repeating: 0, count: min(most, 1 << 16))
        let count = read(from, &buffer, buffer.count)
        guard count > 0 else { return nil }
        var sent = 0
        while sent < count {
            let written = buffer[sent..<count].withUnsafeBytes {
                send(to, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard written > 0 else { return nil }
            sent += written
        }
        return count
    }
}
