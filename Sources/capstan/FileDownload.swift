import Bundles
import CaptionerClient
import Crypto
import DatastoreCore
import Foundation

/// A file that is fetched from the daemon, and goes on where it was when the connection breaks.
struct FileDownload {
    struct Outcome {
        var bytes: Int64
        var sha256: String
    }

    /// How often in a row nothing may come.
    private static let attempts = 8

    let file: URL
    /// Begins the download at an offset, of the bytes of an ETag.
    let fetch: (_ offset: Int64, _ etag: String?) async throws -> ByteDownload

    /// Makes the file, or makes it anew, and puts it on disk.
    ///
    /// - Parameter progress: told the bytes that are there.
    /// - Throws: `storage_failed`, or what the daemon says. What came stays in the file.
    func run(progress: (_ bytes: Int64, _ total: Int64?) -> Void = { _, _ in }) async throws -> Outcome {
        let descriptor = open(file.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("make") }
        defer { close(descriptor) }
        var state = State()
        var failures = 0
        while true {
            do {
                try await goOn(&state, descriptor) { bytes, total in
                    failures = 0
                    progress(bytes, total)
                }
                break
            } catch let error as CaptionerError where error.code == .rangeNotSatisfiable && state.bytes > 0 {
                // It broke off behind the last byte.
                break
            } catch let error as CaptionerError where error.kind == .unreachable || error.kind == .timedOut {
                failures += 1
                guard failures <= Self.attempts, state.bytes > 0 else { throw error }
                try await Task.sleep(for: .milliseconds(min(5000, 100 << failures)))
            }
        }
        guard fsync(descriptor) == 0 else { throw failure("sync") }
        return Outcome(bytes: state.bytes, sha256: state.hash.finalize().hexadecimal)
    }

    private struct State {
        var bytes: Int64 = 0
        var etag: String?
        var hash = SHA256()
    }

    private func goOn(
        _ state: inout State, _ descriptor: Int32, progress: (Int64, Int64?) -> Void
    ) async throws {
        let download = try await fetch(state.bytes, state.etag)
        if download.offset != state.bytes {
            // There are other bytes by now: from the beginning.
            guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else { throw failure("empty") }
            state = State()
        }
        state.etag = download.etag
        for try await bytes in download.bytes {
            try write(bytes, to: descriptor)
            state.hash.update(data: bytes)
            state.bytes += Int64(bytes.count)
            progress(state.bytes, download.totalBytes)
        }
    }

    private func write(_ data: Data, to descriptor: Int32) throws {
        try data.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                let count = Foundation.write(descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw failure("write") }
                written += count
            }
        }
    }

    private func failure(_ action: String) -> DatastoreError {
        DatastoreError(
            .storageFailed, "could not \(action) \(file.path): \(String(cString: strerror(errno)))")
    }
}
