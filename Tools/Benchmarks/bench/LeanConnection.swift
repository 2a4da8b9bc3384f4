import Foundation

/// One keep-alive connection over a blocking socket: a request is one `send` of bytes made beforehand, an answer is
/// read until its `Content-Length` is reached. Nothing else is parsed, so that what is measured is the daemon.
///
/// Not thread-safe: each client of a load has its own.
final class LeanConnection {
    private let descriptor: Int32
    private var buffer = [UInt8](repeating: 0, count: 1 << 16)
    private static let lengthName = Array("content-length:".utf8)
    /// No call may wait for longer.
    private static let timeoutSeconds = 30

    init(host: String, port: UInt16) throws {
        #if canImport(Glibc)
            let stream = Int32(SOCK_STREAM.rawValue)
        #else
            let stream = SOCK_STREAM
        #endif
        descriptor = socket(AF_INET, stream, 0)
        guard descriptor >= 0 else { throw Self.failure("socket") }
        var yes: Int32 = 1
        var limit = timeval(tv_sec: Self.timeoutSeconds, tv_usec: 0)
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else { throw BenchmarkError("\(host) is no address") }
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw Self.failure("connect") }
    }

    deinit {
        close(descriptor)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// - Returns: the body; valid until the next call.
    /// - Throws: `BenchmarkError` when the status is not 200.
    @discardableResult
    func ask(_ request: [UInt8]) throws -> ArraySlice<UInt8> {
        try request.withUnsafeBytes { bytes in
            var sent = 0
            while sent < bytes.count {
                let count = write(descriptor, bytes.baseAddress.map { $0 + sent }, bytes.count - sent)
                guard count > 0 else { throw Self.failure("send") }
                sent += count
            }
        }
        var filled = 0
        var head: (bodyStart: Int, end: Int)?
        while head.map({ filled < $0.end }) ?? true {
            if filled == buffer.count { buffer += [UInt8](repeating: 0, count: buffer.count) }
            let count = buffer.withUnsafeMutableBytes {
                read(descriptor, $0.baseAddress.map { $0 + filled }, $0.count - filled)
            }
            guard count > 0 else { throw Self.failure(count == 0 ? "the daemon closed the connection" : "receive") }
            filled += count
            if head == nil { head = try readHead(filled) }
        }
        guard let (bodyStart, end) = head else { return [] }
        guard buffer.starts(with: "HTTP/1.1 200".utf8) else {
            throw BenchmarkError("got \(String(decoding: buffer[..<end], as: UTF8.self)), expected status 200")
        }
        return buffer[bodyStart..<end]
    }

    /// Where the body starts and ends, nil while the head is not whole.
    private func readHead(_ filled: Int) throws -> (bodyStart: Int, end: Int)? {
        var lineStart = 0
        var length: Int?
        return try buffer.withUnsafeBufferPointer { bytes in
            for index in 0..<filled where bytes[index] == UInt8(ascii: "\n") {
                if index - lineStart <= 1 {
                    guard let length else { throw BenchmarkError("the answer has no Content-Length") }
                    return (index + 1, index + 1 + length)
                }
                let line = bytes[lineStart..<index]
                if line.count > Self.lengthName.count,
                    zip(line, Self.lengthName).allSatisfy({ $0 | 0x20 == $1 | 0x20 })
                {
                    length = line.dropFirst(Self.lengthName.count).reduce(0) {
                        (48...57).contains($1) ? $0 * 10 + Int($1 - 48) : $0
                    }
                }
                lineStart = index + 1
            }
            return nil
        }
    }

    private static func failure(_ what: String) -> BenchmarkError {
        BenchmarkError("\(what): \(String(cString: strerror(errno)))")
    }
}
