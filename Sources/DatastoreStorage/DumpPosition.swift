package import DatastoreCore

/// How far a dump is: where it goes on after a restart.
package struct DumpPosition: Codable, Sendable, Hashable {
    /// Questions answered.
    package var questions = 0
    /// Bytes of the output that belong to them.
    package var bytes: Int64 = 0
    package var report: DumpReport

    package init(revision: Int) {
        report = DumpReport(revision: revision, images: 0, short: 0)
    }
}
