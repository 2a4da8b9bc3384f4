import Foundation
import Testing

/// A socket to a live server, written and read by hand: what a client library would not send.
///
/// Calls block, so they run on threads of their own and never on Swift's pool, where the server runs.
final class RawConnection: Sendable {
    private let descriptor: Int32

    struct Failed: Error, CustomStringConvertible {
        let description: String
        init(_ what: String) { description = "\(what): \(String(cString: strerror(errno)))" }
    }

    /// Runs `body` with a connection to `port` on a thread that may block.
    static func with<Value: Sendable>(
        port: Int, _ body: @escaping @Sendable (RawConnection) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try body(RawConnection(port: port)) })
            }
        }
    }

    private init(port: Int) throws {
        var list: UnsafeMutablePointer<addrinfo>?
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        guard getaddrinfo("localhost", String(port), &hints, &list) == 0 else { throw Failed("getaddrinfo") }
        defer { freeaddrinfo(list) }
        var address = list
        while let candidate = address?.pointee {
            let descriptor = socket(candidate.ai_family, candidate.ai_socktype, candidate.ai_protocol)
            if connect(descriptor, candidate.ai_addr, candidate.ai_addrlen) == 0 {
                self.descriptor = descriptor
                var timeout = timeval(tv_sec: 60, tv_usec: 0)
                for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
                    setsockopt(descriptor, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
                }
                return
            }
            close(descriptor)
            address = candidate.ai_next
        }
        throw Failed("connect")
    }

    deinit {
        close(descriptor)
    }

    /// Sends all of it; false when the server closed before.
    @discardableResult
    func send(_ data: Data) -> Bool {
        data.withUnsafeBytes { bytes in
            var sent = 0
            while sent < bytes.count {
                let count = Foundation.send(
                    descriptor, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
                guard count > 0 else { return false }
                sent += count
            }
            return true
        }
    }

    func send(_ text: String) { send(Data(text.utf8)) }

    /// Sends no more; what was sent arrives.
    func endSending() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Closes so that the server sees the connection reset.
    func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        shutdown(descriptor, Int32(SHUT_RD))
    }

    /// Reads one answer with a `Content-Length`: its head and its body.
    func readAnswer() throws -> (head: String, body: Data) {
        var data = Data()
        let end = Data("\r\n\r\n".utf8)
        while data.range(of: end) == nil {
            guard try read(into: &data) else { throw Failed("closed after \(data.count) bytes") }
        }
        guard let split = data.range(of: end) else { throw Failed("no head") }
        let head = String(decoding: data[..<split.lowerBound], as: UTF8.self)
        var body = Data(data[split.upperBound...])
        let length =
            head.lowercased().split(separator: "\r\n").compactMap { line in
                line.hasPrefix("content-length:") ? Int(line.dropFirst(15).trimmingCharacters(in: .whitespaces)) : nil
            }.first ?? 0
        while body.count < length {
            guard try read(into: &body) else { throw Failed("closed after \(body.count) of \(length) bytes") }
        }
        return (head, body)
    }

    /// Reads what comes next; false at the end.
    private func read(into data: inout Data) throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count >= 0 else { throw Failed("recv") }
        data.append(contentsOf: buffer[..<count])
        return count > 0
    }
}
