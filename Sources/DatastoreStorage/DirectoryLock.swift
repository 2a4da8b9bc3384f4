import DatastoreCore
import Foundation

/// Keeps a second daemon out of a data directory, and tells it who is in.
///
/// The lock is the kernel's (`flock`): it ends with the process, however that ends.
package final class DirectoryLock: Sendable {
    private let descriptor: Int32

    /// Who holds a data directory.
    package struct Holder: Codable, Sendable, Hashable {
        package var pid: Int32
        /// Where it listens, once it does.
        package var address: String?

        package init(pid: Int32, address: String?) {
            self.pid = pid
            self.address = address
        }
    }

    /// - Throws: `data_directory_in_use`, naming the daemon that holds it.
    package init(_ directory: DataDirectory) throws {
        let file = directory.lockFile
        descriptor = open(file.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw DurableFiles.failure("open", file) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let holder = (try? Data(contentsOf: file)).flatMap { try? WireJSON.decode(Holder.self, from: $0) }
            let who = holder.map { "capstand, process \($0.pid)" + ($0.address.map { ", listening on \($0)" } ?? "") }
            // `deinit` closes the file, after a throw too.
            throw DatastoreError(
                .dataDirectoryInUse,
                "\(directory.root.path) is in use by \(who ?? "another process"); "
                    + "stop it first, or give this daemon a --data-dir of its own"
            )
        }
        try announce(address: nil)
    }

    deinit {
        close(descriptor)
    }

    /// Writes who holds the directory, for the message of the next one.
    package func announce(address: String?) throws {
        let holder = Holder(pid: ProcessInfo.processInfo.processIdentifier, address: address)
        let data = try WireJSON.encode(holder)
        ftruncate(descriptor, 0)
        _ = data.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    }
}
