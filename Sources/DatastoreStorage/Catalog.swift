package import Foundation
import GRDB
import Migrations

/// `catalog.sqlite`: datastores, versions, domains and their revisions, jobs.
///
/// Thread-safe; every call blocks the caller, so it is made from a worker thread. Every write is one transaction and is
/// on disk when the call returns.
package final class Catalog: Sendable {
    let pool: DatabasePool

    package init(_ url: URL) throws {
        var configuration = Configuration()
        configuration.busyMode = .timeout(10)
        configuration.maximumReaderCount = 4
        let migrator = DatabaseMigrator(Migration.catalog)
        try migrator.refuseNewer(url)
        pool = try DatabasePool(path: url.path, configuration: configuration)
        try pool.syncEveryCommit()
        try migrator.migrate(pool)
    }

    package func close() throws {
        try pool.close()
    }

    /// Whether what is acknowledged is on disk; tests hold it.
    package func syncsEveryCommit() throws -> Bool {
        try pool.syncsEveryCommit()
    }
}

extension DatabasePool {
    /// Makes a commit mean that it is on disk. A pool sets `synchronous = NORMAL` on its writer as it opens, which may
    /// lose the last commits to a power cut; so this comes after.
    func syncEveryCommit() throws {
        try writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
    }

    /// Writes in one transaction what a power cut may take back: how far something is that goes on.
    func writeInPassing(_ body: (Database) throws -> Void) throws {
        try writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA synchronous = NORMAL")
            defer { try? database.execute(sql: "PRAGMA synchronous = FULL") }
            try database.inTransaction {
                try body(database)
                return .commit
            }
        }
    }

    /// Whether every commit is synced.
    func syncsEveryCommit() throws -> Bool {
        try writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") == 2 }
    }
}

extension Date {
    var milliseconds: Int64 { Int64((timeIntervalSince1970 * 1000).rounded()) }

    init(milliseconds: Int64) {
        self.init(timeIntervalSince1970: Double(milliseconds) / 1000)
    }
}

/// Which rows of a list are wanted.
package struct PageRequest: Sendable, Hashable {
    package static let maximumLimit = 1000

    package let limit: Int
    /// The last key of the page before.
    package let after: String?

    package init(limit: Int = 100, after: String? = nil) {
        self.limit = limit
        self.after = after
    }
}
