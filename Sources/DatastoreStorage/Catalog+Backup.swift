import DatastoreCore
package import Foundation
import GRDB
import Synchronization

extension Catalog {
    /// Copies the catalog as it is at one moment. In the copy the jobs that had not ended have failed: their files are not
    /// in a backup.
    package func backUp(to url: URL, at now: Date) throws {
        try pool.backUp(to: url) { database in
            try database.execute(
                sql: """
                    UPDATE jobs SET state = 'failed', progress = NULL, finished_at = ?, error_code = ?, error_detail = ?
                    WHERE state IN ('queued', 'running')
                    """,
                arguments: [
                    now.milliseconds, ErrorCode.interrupted.rawValue,
                    "it had not ended when the backup was made that this daemon was restored from, and its files are not "
                        + "in that; do it once more",
                ])
        }
    }
}

extension PendingChanges {
    /// Copies the committed changes as they are at one moment, and links the files of their vectors, which do not change any
    /// more.
    ///
    /// - Parameter folder: gets `pending.sqlite` and `pending/`.
    package func backUp(to target: URL) throws {
        let vectors = target.appending(path: folder.lastPathComponent)
        for _ in 0..<Self.backupAttempts {
            try DurableFiles.remove(vectors)
            try FileManager.default.createDirectory(at: vectors, withIntermediateDirectories: true)
            let database = target.appending(path: "pending.sqlite")
            try DurableFiles.remove(database)
            var jobs: [String] = []
            try pool.backUp(to: database) { copy in
                try copy.execute(
                    sql: """
                        DELETE FROM changes WHERE job_id IN (SELECT job_id FROM batches WHERE committed = 0);
                        DELETE FROM batches WHERE committed = 0
                        """)
                jobs = try String.fetchAll(copy, sql: "SELECT job_id FROM batches WHERE vector_bytes > 0")
            }
            if try link(jobs, into: vectors) { return }
            // A file went into a version since the database was copied; without it there is less to copy.
        }
        throw DatastoreError(
            .overloaded, "the pending changes of \(target.lastPathComponent) moved on too often to be copied; retry")
    }

    private static let backupAttempts = 8

    private func link(_ jobs: [String], into vectors: URL) throws -> Bool {
        for job in jobs {
            let name = job + Self.suffix
            let source = folder.appending(path: name)
            let target = vectors.appending(path: name)
            let isThere = try naming.withLock { _ in
                guard FileManager.default.fileExists(atPath: source.path) else { return false }
                if try DurableFiles.names(of: source) > 1 {
                    // It is becoming a version's, and is written to behind its vectors.
                    try FileManager.default.copyItem(at: source, to: target)
                    return true
                }
                if Foundation.link(source.path, target.path) == 0 { return true }
                guard errno == ENOENT else { throw DurableFiles.failure("link", source) }
                return false
            }
            guard isThere else { return false }
        }
        return true
    }
}

extension DatabasePool {
    /// Copies the database into a new file without a journal beside it, and changes the copy with `body`.
    fileprivate func backUp(to url: URL, _ body: (Database) throws -> Void) throws {
        var configuration = Configuration()
        configuration.prepareDatabase { database in
            // The copy is read once and goes: whoever keeps it syncs its own.
            try database.execute(sql: "PRAGMA synchronous = OFF")
        }
        let copy = try DatabaseQueue(path: url.path, configuration: configuration)
        try backup(to: copy)
        try copy.writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA journal_mode = DELETE")
            try database.inTransaction {
                try body(database)
                return .commit
            }
        }
        try copy.close()
    }
}
