import Foundation
import TestSupport
import Testing

/// What systemd hears of the daemon, on a socket that the test holds in its place; and the units themselves.
struct SystemdTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    @Test(arguments: [false, true])
    func readinessLifeAndStoppingAreTold(isAbstract: Bool) async throws {
        let path = isAbstract ? "@capstan-\(UUID().uuidString)" : directory.file("notify").path
        let socket = try DatagramSocket(path)
        let daemon = try await Daemon(
            dataDirectory: directory.file("data"),
            environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "300000"])
        var messages: [String] = []
        let deadline = ContinuousClock.now + .seconds(30)
        while messages.count(where: { $0.contains("WATCHDOG=1") }) < 4 {
            try #require(ContinuousClock.now < deadline, "\(messages)")
            if let message = socket.next() { messages.append(message) }
        }
        let ready = try #require(messages.firstIndex { $0.split(separator: "\n").contains("READY=1") }, "\(messages)")
        let alive = try #require(messages.firstIndex { $0.split(separator: "\n").contains("WATCHDOG=1") })
        #expect(ready < alive)
        #expect(messages.count(where: { $0.contains("READY=1") }) == 1)
        #expect(messages.last?.contains("STATUS=ready: 0 domains, 0 jobs running") == true, "\(messages)")

        // A daemon that is held does not say that it is alive.
        _ = Foundation.kill(daemon.pid, SIGSTOP)
        while socket.next() != nil {}
        #expect(socket.next() == nil)
        _ = Foundation.kill(daemon.pid, SIGCONT)
        #expect(try await daemon.stop() == 0)
        var last: String?
        while let message = socket.next() { last = message }
        #expect(last == "STOPPING=1\nSTATUS=stopping")
    }

    @Test func aWatchdogOfAnotherProcessIsNotFed() async throws {
        let path = directory.file("notify").path
        let socket = try DatagramSocket(path)
        let daemon = try await Daemon(
            dataDirectory: directory.file("data"),
            environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"])
        var messages: [String] = []
        while let message = socket.next() { messages.append(message) }
        #expect(!messages.contains { $0.contains("WATCHDOG=1") }, "\(messages)")
        #expect(messages.contains { $0.contains("READY=1") }, "\(messages)")
        #expect(try await daemon.stop() == 0)
    }

    private static let analyze = "/usr/bin/systemd-analyze"

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: analyze), "there is no systemd-analyze"))
    func theUnitsAreWhatSystemdReads() throws {
        let units = TestData.package.appending(path: "Tools/systemd")
        var files: [String] = []
        for name in ["capstand.service", "capstan-reindex.service", "capstan-reindex.timer"] {
            let text = try String(contentsOf: units.appending(path: name), encoding: .utf8)
                .replacingOccurrences(of: "/usr/local/bin/", with: Daemon.products.path + "/")
            files.append(try directory.write(name, Data(text.utf8)).path)
        }
        let process = Process()
        process.executableURL = URL(filePath: Self.analyze)
        process.arguments = ["verify", "--man=no", "--generators=no"] + files
        let output = try directory.write("output", Data())
        let handle = try FileHandle(forWritingTo: output)
        process.standardError = handle
        process.standardOutput = handle
        try process.run()
        process.waitUntilExit()
        // Other units of the machine may have faults of their own.
        let ours = try String(contentsOf: output, encoding: .utf8).split(separator: "\n").filter {
            $0.contains("capstan")
        }
        #expect(ours.isEmpty, "\(ours)")
    }
}

/// The receiving end of a unix datagram socket.
private final class DatagramSocket {
    private let descriptor: Int32

    /// - Parameter path: a file, or an abstract name behind `@`.
    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        if path.hasPrefix("@") { name[0] = 0 }
        try #require(name.count < MemoryLayout.size(ofValue: address.sun_path))
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let size = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
        }
        try #require(result == 0, "\(String(cString: strerror(errno)))")
        var timeout = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// The next message; nil when none comes within a second.
    func next() -> String? {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
