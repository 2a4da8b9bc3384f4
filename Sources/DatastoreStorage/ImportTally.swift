package import DatastoreCore

/// What became of the rows that an import has read so far.
package struct ImportTally: Codable, Sendable, Hashable {
    package var counts = JobCounts()
    /// How many rows each reject code refused.
    package var rejectedByCode: [String: Int] = [:]

    package init() {}

    package mutating func reject(_ code: ErrorCode) {
        counts.seen += 1
        counts.rejected += 1
        rejectedByCode[code.rawValue, default: 0] += 1
    }
}

/// How far the reading of an import is, kept with its rows: where it goes on after a restart.
package struct ImportPosition: Codable, Sendable, Hashable {
    /// Rows read; those after them are not in the batch.
    package var rows = 0
    package var tally = ImportTally()
    /// Bytes of the file of rejected rows that belong to the rows read.
    package var rejectBytes: Int64 = 0
    /// Revisions of the encoders that made vectors of these rows, by key.
    package var encoderRevisions: [String: String]?
    /// What an earlier release kept of the only key's.
    package var encoderRevision: String?
    /// Whether an encoder made vectors of them.
    package var isEncoded = false
    /// The files that are read, as they were when the reading began.
    package var sources: [SourceStamp] = []

    package init() {}

    package func revision(ofKey key: String) -> String? { encoderRevisions?[key] ?? encoderRevision }
}

/// A file by name, size, place and times of its last changes: enough to tell that it is no longer what it was.
package struct SourceStamp: Codable, Sendable, Hashable {
    package var name: String
    package var bytes: Int64
    /// Nanoseconds since 1970.
    package var modifiedAt: Int64
    /// Of the content or of what the file system knows of it: nanoseconds since 1970.
    package var changedAt: Int64
    package var inode: UInt64

    package init(name: String, bytes: Int64, modifiedAt: Int64, changedAt: Int64, inode: UInt64) {
        self.name = name
        self.bytes = bytes
        self.modifiedAt = modifiedAt
        self.changedAt = changedAt
        self.inode = inode
    }
}
