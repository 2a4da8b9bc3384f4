/// The SQL of every schema, embedded in the binary. A released step is never edited; a change is a new file.
package struct Migration: Sendable {
    /// Recorded in the database once applied.
    package let name: String
    package let sql: String

    private init(_ name: String, _ bytes: [UInt8]) {
        self.name = name
        self.sql = String(decoding: bytes, as: UTF8.self)
    }

    /// `catalog.sqlite`, in the order they apply.
    package static let catalog = [
        Migration("0001_initial", PackageResources.catalog_0001_initial_sql),
        Migration("0002_jobs", PackageResources.catalog_0002_jobs_sql),
        Migration("0003_keys", PackageResources.catalog_0003_keys_sql),
        Migration("0004_plans", PackageResources.catalog_0004_plans_sql),
        Migration("0005_history", PackageResources.catalog_0005_history_sql),
        Migration("0006_checked", PackageResources.catalog_0006_checked_sql),
    ]
    /// `entries.sqlite` of a version.
    package static let entries = [Migration("0001_initial", PackageResources.entries_0001_initial_sql)]
    /// `pending.sqlite` of a datastore.
    package static let pending = [
        Migration("0001_initial", PackageResources.pending_0001_initial_sql),
        Migration("0002_progress", PackageResources.pending_0002_progress_sql),
        Migration("0003_keys", PackageResources.pending_0003_keys_sql),
        Migration("0004_deletions", PackageResources.pending_0004_deletions_sql),
    ]
}
