import DatastoreCore
import DatastoreStorage
import Foundation
import TestSupport
import Testing

/// Promise 1: what was sealed is what is opened, or it is not opened.
struct VersionFolderTests {
    private static let id = VersionID(datastore: "d", number: 7)
    private static let names = ["entries.sqlite", "text.vectors", "text.codes", "text.faiss"]

    private static func manifest(_ folder: URL) throws -> Manifest {
        var key = Manifest.Key(
            spec: KeySpec(name: "text", dim: 4, metric: .cosine, encoder: Encoder(model: "m/ü", revision: "1")))
        key.setIndex(IndexPlan(.ivfFlat, lists: 16), reason: nil, recall: nil)
        var manifest = Manifest(
            id: id, kind: .captions, entries: 3, keys: [key], files: [],
            lineage: Manifest.Lineage(
                baseVersion: 6, jobID: "j", pendingThrough: 12, lastEntryID: 3, added: 2, replaced: 1),
            tools: ["capstan": "0.1.0"], createdAt: Date(timeIntervalSince1970: 1_750_000_000))
        manifest.files = try names.map { try FileDigest.of(folder.appending(path: $0)) }
        return manifest
    }

    /// A folder with the files of a version, sealed, and the checksum of its manifest.
    private static func sealed(_ temporary: TemporaryDirectory) throws -> (url: URL, sha256: String) {
        let folder = temporary.file("000007")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for (index, name) in names.enumerated() {
            try Data((0..<1000 + index).map { UInt8(truncatingIfNeeded: $0 * 7) })
                .write(to: folder.appending(path: name))
        }
        return (folder, try VersionFolder.seal(folder, manifest: manifest(folder)).sha256)
    }

    private static func replace(_ file: URL, _ change: (Data) throws -> Data?) throws {
        let data = try Data(contentsOf: file)
        try FileManager.default.removeItem(at: file)
        try change(data)?.write(to: file)
    }

    @Test func whatIsSealedIsOpened() throws {
        let temporary = try TemporaryDirectory()
        let folder = temporary.file("000007")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for name in Self.names { try Data(name.utf8).write(to: folder.appending(path: name)) }
        let manifest = try Self.manifest(folder)
        let (sha256, bytes) = try VersionFolder.seal(folder, manifest: manifest)
        let written = try Data(contentsOf: folder.appending(path: "manifest.json"))
        #expect(sha256 == FileDigest.sha256(written))
        #expect(bytes == Int64(written.count + Self.names.map(\.utf8.count).reduce(0, +)))
        for expected in [sha256, nil] {
            let version = try VersionFolder(verifying: folder, id: Self.id, manifestSHA256: expected)
            #expect(version.manifest == manifest)
            #expect(version.entries == folder.appending(path: "entries.sqlite"))
            #expect(version.path("text.faiss") == folder.appending(path: "text.faiss"))
        }
        for name in Self.names + ["manifest.json"] {
            let attributes = try FileManager.default.attributesOfItem(
                atPath: folder.appending(path: name).path)
            #expect(attributes[.posixPermissions] as? Int == 0o444)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 5)
    }

    enum Change: String, Sendable, CaseIterable {
        case firstByte
        case middleByte
        case lastByte
        case truncated
        case emptied
        case grown
        case removed

        func of(_ data: Data) -> Data? {
            var data = data
            switch self {
            case .firstByte: data[0] ^= 1
            case .middleByte: data[data.count / 2] ^= 0x80
            case .lastByte: data[data.count - 1] ^= 1
            case .truncated: data.removeLast()
            case .emptied: data = Data()
            case .grown: data.append(0)
            case .removed: return nil
            }
            return data
        }
    }

    @Test(arguments: names + ["manifest.json"], Change.allCases)
    func aFileThatDiffersIsNamed(name: String, change: Change) throws {
        let temporary = try TemporaryDirectory()
        let (folder, sha256) = try Self.sealed(temporary)
        try Self.replace(folder.appending(path: name)) { change.of($0) }
        let error = expectError(.versionDamaged) {
            try VersionFolder(verifying: folder, id: Self.id, manifestSHA256: sha256)
        }
        #expect(error?.detail.hasPrefix("d@7: \(name)") == true, "\(error?.detail ?? "")")
    }

    @Test func aManifestThatWasWrittenAnewIsRefusedByItsChecksum() throws {
        let temporary = try TemporaryDirectory()
        let (folder, sha256) = try Self.sealed(temporary)
        // Someone changed a file, and the manifest with it.
        try Self.replace(folder.appending(path: "text.vectors")) { Data($0.reversed()) }
        try Self.replace(folder.appending(path: "manifest.json")) { _ in try WireJSON.encode(Self.manifest(folder)) }
        let error = expectError(.versionDamaged) {
            try VersionFolder(verifying: folder, id: Self.id, manifestSHA256: sha256)
        }
        #expect(error?.detail.contains("manifest.json") == true)
        // Without a checksum to compare with, the folder agrees with itself.
        _ = try VersionFolder(verifying: folder, id: Self.id, manifestSHA256: nil)
    }

    @Test(arguments: [
        VersionID(datastore: "d", number: 8), VersionID(datastore: "e", number: 7),
        VersionID(datastore: "", number: 0),
    ])
    func theManifestOfAnotherVersionIsRefused(other: VersionID) throws {
        let temporary = try TemporaryDirectory()
        let (folder, sha256) = try Self.sealed(temporary)
        for expected in [sha256, nil] {
            let error = expectError(.versionDamaged) {
                try VersionFolder(verifying: folder, id: other, manifestSHA256: expected)
            }
            #expect(error?.detail.contains("is of d@7") == true)
        }
    }

    @Test(arguments: names)
    func aManifestThatLeavesOutAFileIsRefused(name: String) throws {
        let temporary = try TemporaryDirectory()
        let (folder, _) = try Self.sealed(temporary)
        try Self.replace(folder.appending(path: "manifest.json")) { _ in
            var manifest = try Self.manifest(folder)
            manifest.files.removeAll { $0.name == name }
            return try WireJSON.encode(manifest)
        }
        let error = expectError(.versionDamaged) {
            try VersionFolder(verifying: folder, id: Self.id, manifestSHA256: nil)
        }
        #expect(error?.detail.contains(name) == true)
    }

    @Test func aFolderThatIsNotThereIsDamage() throws {
        let temporary = try TemporaryDirectory()
        expectError(.versionDamaged) {
            try VersionFolder(verifying: temporary.file("none"), id: Self.id, manifestSHA256: nil)
        }
    }

    // MARK: The manifest

    @Test func aManifestComesBackAsItWasWritten() throws {
        let temporary = try TemporaryDirectory()
        let (folder, _) = try Self.sealed(temporary)
        let manifest = try Self.manifest(folder)
        #expect(try Manifest.read(WireJSON.encode(manifest)) == manifest)
        #expect(try Manifest.read(WireJSON.encode(manifest, pretty: true)) == manifest)
        #expect(manifest.format == 4)
        #expect(manifest.id == Self.id)
    }

    @Test(arguments: [5, 6, 1_000_000])
    func aManifestOfANewerReleaseSaysSo(format: Int) throws {
        // Whatever else is in it: a newer one may look quite different.
        let error = expectError(.newerFormat) { try Manifest.read(Data(#"{"format": \#(format), "files": 7}"#.utf8)) }
        #expect(error?.detail.contains("\(format)") == true)
        let temporary = try TemporaryDirectory()
        let (folder, _) = try Self.sealed(temporary)
        try Self.replace(folder.appending(path: "manifest.json")) { _ in
            var manifest = try Self.manifest(folder)
            manifest.format = format
            return try WireJSON.encode(manifest)
        }
        expectError(.newerFormat) { try VersionFolder(verifying: folder, id: Self.id, manifestSHA256: nil) }
    }

    @Test(arguments: [
        "", "{", "[]", "null", "{}", #"{"format": "1"}"#, #"{"format": 1}"#, #"{"format": 0}"#, #"{"format": null}"#,
        "\u{FEFF}not json",
    ])
    func whatIsNoManifestIsDamage(text: String) {
        let error = expectError(.versionDamaged) { try Manifest.read(Data(text.utf8)) }
        #expect(error?.detail.hasPrefix("manifest.json") == true)
    }

    // MARK: Files

    @Test(arguments: [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ])
    func checksumsAreSHA256(length: Int, expected: String) throws {
        let temporary = try TemporaryDirectory()
        let data = Data("abc".utf8.prefix(length))
        let file = try temporary.write("file", data)
        #expect(try FileDigest.of(file) == VersionFile(name: "file", bytes: Int64(length), sha256: expected))
        #expect(FileDigest.sha256(data) == expected)
    }

    @Test func aFileOfManyChunksHasTheChecksumOfItsBytes() throws {
        let temporary = try TemporaryDirectory()
        let data = Data((0..<3_000_001).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        let file = try temporary.write("file", data)
        #expect(try FileDigest.of(file).sha256 == FileDigest.sha256(data))
        #expect(try FileDigest.of(file).bytes == 3_000_001)
        expectError(.storageFailed) { try FileDigest.of(temporary.file("none")) }
    }

    @Test func aMoveNeverTakesAPlaceThatIsTaken() throws {
        let temporary = try TemporaryDirectory()
        for name in ["from", "to"] {
            try FileManager.default.createDirectory(at: temporary.file(name), withIntermediateDirectories: true)
            _ = try temporary.write("\(name)/file", Data(name.utf8))
        }
        expectError(.storageFailed) { try DurableFiles.move(temporary.file("from"), to: temporary.file("to")) }
        #expect(try Data(contentsOf: temporary.file("to/file")) == Data("to".utf8))
        #expect(try Data(contentsOf: temporary.file("from/file")) == Data("from".utf8))
        try DurableFiles.move(temporary.file("from"), to: temporary.file("free"))
        #expect(try Data(contentsOf: temporary.file("free/file")) == Data("from".utf8))
        #expect(!FileManager.default.fileExists(atPath: temporary.file("from").path))
        expectError(.storageFailed) { try DurableFiles.move(temporary.file("from"), to: temporary.file("x")) }
        try DurableFiles.remove(temporary.file("free"))
        try DurableFiles.remove(temporary.file("free"))
        #expect(!FileManager.default.fileExists(atPath: temporary.file("free").path))
    }

    @Test func writingReplacesTheWholeFile() throws {
        let temporary = try TemporaryDirectory()
        let file = try temporary.write("file", Data("a longer text that was there".utf8))
        try DurableFiles.write(Data("new".utf8), to: file)
        #expect(try Data(contentsOf: file) == Data("new".utf8))
        #expect(try FileManager.default.contentsOfDirectory(atPath: temporary.url.path) == ["file"])
    }

    @Test(arguments: [(1, "000001"), (42, "000042"), (999_999, "999999"), (1_234_567, "1234567")])
    func foldersAreNamedByNumbersThatSort(number: Int, name: String) {
        #expect(VersionID(datastore: "d", number: number).folderName == name)
        #expect(VersionID(datastore: "d", number: number).description == "d@\(number)")
    }
}
