/// The steps of publishing a version, in order. A crash after any of them leaves the old state or the new.
package enum PublishStep: String, Sendable, CaseIterable {
    /// All files are written, none is synced.
    case staged
    /// Files, manifest and folder are on disk.
    case synced
    /// The folder has its final name.
    case renamed
    /// The catalog names it, and the domains that follow the latest are at a new revision.
    case cataloged
    /// Queries see it.
    case switched
}
