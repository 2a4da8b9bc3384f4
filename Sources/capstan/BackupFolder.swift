import Bundles
import DatastoreCore
import Foundation

/// A complete backup on disk: a data directory, and `backup.json`, which lists its files with their checksums and is written
/// last.
struct BackupFolder {
    static let listName = "backup.json"
    /// What a backup is called while it is made.
    static let partialSuffix = ".partial"

    struct List: Codable {
        static let currentFormat = 1

        var format = currentFormat
        var release: String
        var createdAt: Date
        var files: [BackupFile]

        enum CodingKeys: String, CodingKey {
            case format, release, files
            case createdAt = "created_at"
        }
    }

    let url: URL
    let list: List

    /// - Throws: `source_unreadable`, `newer_format`, `backup_damaged`.
    init(_ url: URL) throws {
        self.url = url
        let file = url.appending(path: Self.listName)
        guard let data = try? Data(contentsOf: file) else {
            throw DatastoreError(
                .sourceUnreadable,
                "\(url.path): no \(Self.listName) in it, so it is no complete backup; give one that capstan backup made, or the "
                    + "folder of them")
        }
        struct FormatOnly: Decodable { var format: Int }
        do {
            let format = try WireJSON.decode(FormatOnly.self, from: data).format
            guard format <= List.currentFormat else {
                throw DatastoreError(
                    .newerFormat,
                    "\(file.path): format \(format), this release reads up to \(List.currentFormat); upgrade capstan")
            }
            list = try WireJSON.decode(List.self, from: data)
        } catch let error as DatastoreError where error.code != .newerFormat {
            throw DatastoreError(.backupDamaged, "\(file.path): \(error.detail)")
        }
        for file in list.files { try Self.check(file) }
    }

    /// The backup itself, or the newest in a folder of them.
    ///
    /// - Throws: as `init`.
    static func found(at url: URL) throws -> BackupFolder {
        if !FileManager.default.fileExists(atPath: url.appending(path: listName).path),
            let newest = try names(in: url).last
        {
            return try BackupFolder(url.appending(path: newest))
        }
        return try BackupFolder(url)
    }

    /// The newest complete one in a folder; nil when there is none that can be read.
    static func newest(in parent: URL) throws -> BackupFolder? {
        for name in try names(in: parent).reversed() {
            if let backup = try? BackupFolder(parent.appending(path: name)) { return backup }
        }
        return nil
    }

    /// Complete backups, oldest first.
    private static func names(in parent: URL) throws -> [String] {
        guard FileManager.default.fileExists(atPath: parent.path) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: parent.path).filter { name in
            isName(name)
                && FileManager.default.fileExists(
                    atPath: parent.appending(path: name).appending(path: listName).path)
        }.sorted()
    }

    /// `20261122T043000.123Z`: names sort as times do.
    static func name(of date: Date) -> String {
        let milliseconds = Int64((date.timeIntervalSince1970 * 1000).rounded(.down))
        let whole = Date(timeIntervalSince1970: Double(milliseconds / 1000))
            .formatted(
                .iso8601.year().month().day().dateSeparator(.omitted).time(includingFractionalSeconds: false)
                    .timeSeparator(.omitted))
        let part = String(milliseconds % 1000)
        return whole + "." + String(repeating: "0", count: 3 - part.count) + part + "Z"
    }

    private static func isName(_ name: String) -> Bool {
        name.wholeMatch(of: /[0-9]{8}T[0-9]{6}\.[0-9]{3}Z/) != nil
    }

    /// Makes sure that a listed file lies in its folder and nowhere else.
    ///
    /// - Throws: `backup_damaged`.
    static func check(_ file: BackupFile) throws {
        let parts = file.path.split(separator: "/", omittingEmptySubsequences: false)
        let isPlain = parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." && !$0.contains("\0") }
        guard isPlain, (1...16).contains(parts.count), file.path != listName, file.bytes >= 0,
            Checksum.isChecksum(file.sha256)
        else {
            throw DatastoreError(
                .backupDamaged, "\(file.path.prefix(200).debugDescription) is no file that a backup can have")
        }
    }
}
