public import struct Foundation.Date

/// A backup that can be fetched, as `POST /v1/backups` answers it.
public struct BackupInfo: Codable, Sendable, Hashable {
    public var id: String
    /// The release that made it.
    public var release: String
    /// The moment that it is of.
    public var createdAt: Date
    /// When it goes, unless somebody asks for it before.
    public var expiresAt: Date
    /// Of all files.
    public var bytes: Int64
    public var files: [BackupFile]

    public init(
        id: String, release: String, createdAt: Date, expiresAt: Date, bytes: Int64, files: [BackupFile]
    ) {
        self.id = id
        self.release = release
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.bytes = bytes
        self.files = files
    }

    enum CodingKeys: String, CodingKey {
        case id, release, bytes, files
        case createdAt = "created_at"
        case expiresAt = "expires_at"
    }
}

/// A file of a backup.
public struct BackupFile: Codable, Sendable, Hashable {
    /// Below the data directory.
    public var path: String
    public var bytes: Int64
    public var sha256: String

    public init(path: String, bytes: Int64, sha256: String) {
        self.path = path
        self.bytes = bytes
        self.sha256 = sha256
    }
}
