import Foundation

/// What Linux says of a process under `/proc`.
struct ProcessStatistics: Sendable {
    let pid: Int32

    /// CPU seconds of all its threads so far, user and system.
    func cpuSeconds() throws -> Double {
        let text = try read("stat")
        // The name of the command, in parentheses, may hold anything; utime and stime are fields 14 and 15.
        guard let end = text.lastIndex(of: ")") else { throw BenchmarkError("/proc/\(pid)/stat has another form") }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
            throw BenchmarkError("/proc/\(pid)/stat has another form")
        }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    func memory() throws -> Memory {
        let text = try read("status")
        func bytes(_ name: String) -> Int {
            let line = text.split(separator: "\n").first { $0.hasPrefix("\(name):") }
            return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
                ?? 0
        }
        return Memory(
            resident: bytes("VmRSS"), peak: bytes("VmHWM"), anonymous: bytes("RssAnon"), mapped: bytes("RssFile"))
    }

    private func read(_ name: String) throws -> String {
        do {
            return try String(contentsOfFile: "/proc/\(pid)/\(name)", encoding: .utf8)
        } catch {
            throw BenchmarkError("no /proc/\(pid)/\(name): capstand has ended")
        }
    }

    /// CPU seconds of this process so far.
    static func ownCPUSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

/// Bytes of a process in memory.
struct Memory: Codable, Sendable {
    /// VmRSS, which is `anonymous` + `mapped`.
    var resident: Int
    /// VmHWM: the most that was ever resident.
    var peak: Int
    /// RssAnon: the heap, the FAISS index in it.
    var anonymous: Int
    /// RssFile: mapped files, the original vectors among them; the kernel can drop these.
    var mapped: Int
}
