internal import CFaiss
import DatastoreCore
import Foundation

/// What reading an index file of one size may take, of the process that reads it.
package struct IndexFileLimits: Sendable, Equatable {
    /// Address space: three times the file, for the index, its codes on the way, and the ids, and 2 GiB besides.
    package let memoryBytes: Int
    /// Ten minutes, and a second for each 16 MiB.
    package let cpuSeconds: Int
    /// 64 times the file: quantised vectors take up to 64 times their codes, flat ones just what they took.
    package let outputBytes: Int
    /// Twice the time on the processor, since the file may be on a slow disk.
    package var wallClock: Duration { .seconds(cpuSeconds * 2) }

    /// - Parameters:
    ///   - fileSize: bytes of the index file.
    ///   - memoryCap: bytes that are not exceeded however large the file is.
    package init(fileSize: Int, memoryCap: Int? = nil) {
        func atLeast(_ times: Int, _ more: Int) -> Int {
            let (product, tooLarge) = fileSize.multipliedReportingOverflow(by: times)
            return tooLarge ? .max : product.addingReportingOverflow(more).overflow ? .max : product + more
        }
        memoryBytes = min(atLeast(3, 2 << 30), memoryCap ?? .max)
        cpuSeconds = 600 + fileSize / (16 << 20)
        outputBytes = atLeast(64, 4096)
    }

    /// Holds this process to them, and to its parent, for good. It can open no file any more, either, nor leave a core behind.
    ///
    /// - Throws: `internal_error` when a limit is refused.
    package func impose() throws {
        // A process has the mask of the thread that started it, and libdispatch's threads block most signals.
        guard cfaiss_stay_with_parent() == 0 else {
            throw DatastoreError(.internalError, "the process that asked for the vectors has ended")
        }
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
        signal(SIGXCPU, SIG_DFL)
        // Writing too much is an error that can be told, not a signal.
        signal(SIGXFSZ, SIG_IGN)
        try Self.limit(RLIMIT_CORE, to: 0)
        try Self.limit(RLIMIT_FSIZE, to: outputBytes)
        // SIGXCPU at the limit; the kernel's SIGKILL only to what ignores that.
        try Self.limit(RLIMIT_CPU, to: cpuSeconds, hard: cpuSeconds + 5)
        try Self.limit(RLIMIT_AS, to: memoryBytes)
        try Self.limit(RLIMIT_NOFILE, to: 0)
    }

    private static func limit(_ resource: __rlimit_resource, to soft: Int, hard: Int? = nil) throws {
        var limit = rlimit()
        let resource = __rlimit_resource_t(resource.rawValue)
        var isSet = getrlimit(resource, &limit) == 0
        limit.rlim_max = min(limit.rlim_max, rlim_t(hard ?? soft))
        limit.rlim_cur = min(limit.rlim_max, rlim_t(soft))
        isSet = isSet && setrlimit(resource, &limit) == 0
        guard isSet else {
            throw DatastoreError(
                .internalError, "limit \(resource) cannot be set to \(soft): \(String(cString: strerror(errno)))")
        }
    }
}
