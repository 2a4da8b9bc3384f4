import CaptionerClient
import DatastoreCore
import Foundation

/// Where the output of a job goes: a file that appears when it is whole, or standard output.
struct OutputFile {
    let path: String?

    init(_ path: String?) {
        self.path = path == "-" ? nil : path
    }

    /// - Throws: `storage_failed`, or what the daemon says.
    func write(_ output: JobOutput) async throws {
        guard let path else {
            for try await bytes in output { try StandardOutput.write(bytes) }
            return
        }
        let part = path + ".part"
        guard FileManager.default.createFile(atPath: part, contents: nil),
            let handle = FileHandle(forWritingAtPath: part)
        else {
            throw DatastoreError(.storageFailed, "\(part): \(String(cString: strerror(errno)))")
        }
        do {
            for try await bytes in output {
                do {
                    try handle.write(contentsOf: bytes)
                } catch {
                    throw DatastoreError(.storageFailed, "\(part): \(error.localizedDescription)")
                }
            }
            try handle.close()
        } catch {
            try? FileManager.default.removeItem(atPath: part)
            throw error
        }
        guard rename(part, path) == 0 else {
            let reason = String(cString: strerror(errno))
            try? FileManager.default.removeItem(atPath: part)
            throw DatastoreError(.storageFailed, "\(path): \(reason)")
        }
    }
}
