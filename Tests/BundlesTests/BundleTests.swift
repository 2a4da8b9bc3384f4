import Bundles
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// Bundles: the same bytes out and in, and nothing in that a writer would not have written.
struct BundleTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    static let files: [(name: String, content: [UInt8])] = [
        ("entries.sqlite", Array("some entries".utf8)), ("text.vectors", [UInt8](repeating: 7, count: 1024)),
        ("text.faiss", (0..<3000).map { UInt8(truncatingIfNeeded: $0 &* 31) }), ("empty", []),
    ]

    private func unpack(_ data: Data, limit: Int64 = 1 << 30) throws -> URL {
        let file = try directory.write("\(UUID()).capstan", data)
        let folder = directory.file(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        _ = try BundleReader(file).unpack(into: folder, limit: limit)
        return folder
    }

    @Test func whatWentInComesOut() throws {
        let bundle = try CraftedBundle(files: Self.files)
        let folder = try unpack(bundle.data())
        for file in Self.files {
            #expect(try Data(contentsOf: folder.appending(path: file.name)) == Data(file.content))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == Self.files.count + 1)
    }

    /// A folder with files of more than a frame, and what a writer makes of it.
    private func written() throws -> (BundleWriter, [UInt8]) {
        let folder = directory.file("version")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var random = SplitMix64(seed: 5)
        let large = (0..<(9 << 20) / 8).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }
        let small = [UInt8](repeating: 0, count: 600_000)
        var crafted = try CraftedBundle(files: [("a", large), ("b", small), ("c", [1])])
        crafted.frameBytes = BundleHeader.frameBytes
        for member in crafted.members {
            try Data(member.content).write(to: folder.appending(path: member.name))
        }
        let writer = try BundleWriter(
            crafted.header, folder: folder,
            files: crafted.members.map { VersionFile(name: $0.name, bytes: Int64($0.content.count), sha256: "") })
        return (writer, Array(try crafted.data()))
    }

    @Test func aBundleIsTheSameBytesEachTimeAndByAnyHand() throws {
        let (writer, expected) = try written()
        #expect(writer.pieceCount == 4)
        let pieces = try (0..<writer.pieceCount).map { try writer.piece($0) }
        #expect(pieces.flatMap { $0 } == expected)
        #expect(try writer.piece(2) == pieces[2])
        _ = try unpack(Data(expected))
    }

    @Test func theToolsOfEverySystemReadABundle() throws {
        let (writer, _) = try written()
        let bundle = try directory.write(
            "x.capstan", Data((0..<writer.pieceCount).flatMap { try writer.piece($0) }))
        let output = directory.file("unpacked")
        try FileManager.default.createDirectory(at: output, withIntermediateDirectories: true)
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = [
            "-c", "command -v lz4 > /dev/null || exit 77; lz4 -dc \(bundle.path) | tar -xf - -C \(output.path)",
        ]
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus != 77 else { return }
        #expect(process.terminationStatus == 0)
        for name in ["manifest.json", "a", "b", "c"] {
            #expect(
                try Data(contentsOf: output.appending(path: name))
                    == Data(contentsOf: directory.file("version").appending(path: name)), "\(name)")
        }
    }

    @Test func sizesBeyondElevenOctalDigitsAreKept() throws {
        let folder = directory.file("large")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let size: Int64 = (8 << 30) + 5
        let holes = try directory.write("large/holes", Data())
        #expect(truncate(holes.path, Int(size)) == 0)
        let crafted = try CraftedBundle(files: [])
        let writer = try BundleWriter(
            crafted.header, folder: folder, files: [VersionFile(name: "holes", bytes: size, sha256: "")])
        #expect(writer.pieceCount == 2050)
        let tar = try directory.write("start.lz4", Data(writer.piece(1)))
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = [
            "-c",
            "command -v lz4 > /dev/null || exit 77; lz4 -dc \(tar.path) | tar -tvf - 2>/dev/null | grep -q \(size)",
        ]
        try process.run()
        process.waitUntilExit()
        #expect([0, 77].contains(process.terminationStatus))
    }

    @Test func theHeaderTellsWhatABundleHolds() throws {
        let crafted = try CraftedBundle(files: Self.files)
        let file = try directory.write("x.capstan", crafted.data())
        #expect(BundleHeader.begins(file))
        #expect(try BundleHeader(of: file) == crafted.header)
        let rows = try directory.write("rows", Data(#"{"id": 1}"#.utf8))
        #expect(!BundleHeader.begins(rows))
    }

    /// One way in which a bundle can be wrong.
    struct Fault: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let code: ErrorCode
        let make: @Sendable () throws -> Data

        init(_ name: String, _ code: ErrorCode, _ edit: @escaping @Sendable (inout CraftedBundle) throws -> Void) {
            self.init(
                name, code,
                bytes: {
                    var bundle = try CraftedBundle(files: files)
                    try edit(&bundle)
                    return try bundle.data()
                })
        }

        init(_ name: String, _ code: ErrorCode, bytes make: @escaping @Sendable () throws -> Data) {
            testDescription = name
            self.code = code
            self.make = make
        }
    }

    private static func whole() throws -> Data { try CraftedBundle(files: files).data() }

    /// The manifest lists a file of another name, and there is one.
    private static func renamed(_ name: String) -> Fault {
        Fault("the name \(name.debugDescription)", .bundleUnsafeMember) { bundle in
            try bundle.setManifest(files: [VersionFile(name: name, bytes: 1, sha256: Checksum.hex(of: Data([1])))])
            bundle.members = [bundle.members[0], .init(name, [1])]
        }
    }

    private static func inserted(_ name: String, _ type: Character, link: String = "") -> Fault {
        Fault("\(name) of type \(type)", .bundleUnsafeMember) {
            $0.members.insert(.init(name, [], type: type, link: link), at: 2)
        }
    }

    static let faults: [Fault] = [
        Fault("nothing", .bundleUnreadable, bytes: { Data() }),
        Fault("a text", .bundleUnreadable, bytes: { Data("{\"id\": 1, \"text\": \"a dog\"}".utf8) }),
        Fault(
            "no header", .bundleUnreadable,
            bytes: {
                let bundle = try CraftedBundle(files: files)
                return try bundle.frames(of: bundle.tar)
            }),
        Fault("the header of a newer release", .bundleNewerFormat) { $0.header.format = 2 },
        Fault(
            "another checksum of the header", .bundleCorrupt,
            bytes: {
                var data = try whole()
                data[60] ^= 1
                return data
            }),
        Fault("a header without keys", .bundleUnreadable) { $0.header.keys = [] },
        Fault("a header with a path for a name", .bundleUnreadable) { $0.header.datastore = "../x" },
        Fault("a header with version 0", .bundleUnreadable) { $0.header.version = 0 },
        Fault("a header with a version beyond all", .bundleUnreadable) { $0.header.version = .max },
        Fault("a huge header", .bundleUnreadable, bytes: { Data([0x5C, 0x2A, 0x4D, 0x18, 0xFF, 0xFF, 0xFF, 0xFF]) }),
        Fault("half a header", .bundleTruncated, bytes: { try whole().prefix(50) }),
        Fault("the header alone", .bundleTruncated, bytes: { try Data(CraftedBundle(files: files).header.frame()) }),
        Fault("no last byte", .bundleTruncated, bytes: { try whole().dropLast() }),
        Fault(
            "no last frame", .bundleTruncated,
            bytes: {
                let bundle = try CraftedBundle(files: files)
                return try Data(bundle.header.frame()) + bundle.frames(of: Array(bundle.tar.prefix(4096)))
            }),
        Fault("no end of the tar", .bundleTruncated) { $0.end = [] },
        Fault("one block at its end", .bundleTruncated) { $0.end = [UInt8](repeating: 0, count: 512) },
        Fault(
            "a changed byte in a frame", .bundleCorrupt,
            bytes: {
                var data = try whole()
                data[data.count - 700] ^= 0x10
                return data
            }),
        Fault(
            "no frame where one should be", .bundleCorrupt,
            bytes: {
                let bundle = try CraftedBundle(files: files)
                return try Data(bundle.header.frame()) + Data("junk".utf8) + bundle.frames(of: bundle.tar)
            }),
        Fault(
            "a second header in place of a frame", .bundleCorrupt,
            bytes: {
                let bundle = try CraftedBundle(files: files)
                return try Data(bundle.header.frame()) + bundle.header.frame() + bundle.frames(of: bundle.tar)
            }),
        Fault("a byte behind its end", .bundleTrailingData, bytes: { try whole() + Data([0]) }),
        Fault("a text behind its end", .bundleTrailingData, bytes: { try whole() + Data("trailing".utf8) }),
        Fault(
            "a frame behind its end", .bundleTrailingData, bytes: { try whole() + Data(LZ4Frame.compress([1, 2, 3])) }),
        Fault("zeros behind its end", .bundleTrailingData) { $0.end += [UInt8](repeating: 0, count: 512) },
        Fault("junk in its end", .bundleTrailingData) { $0.end[3] = 1 },
        Fault("another manifest than the header's", .bundleChecksumMismatch) {
            $0.members[0].content[10] ^= 1
        },
        Fault("another file than the manifest's", .bundleChecksumMismatch) { $0.members[1].content[0] ^= 1 },
        Fault("a longer file than the manifest's", .bundleChecksumMismatch) { $0.members[1].content.append(1) },
        Fault("a file that is missing", .bundleMissingFile) { $0.members.remove(at: 2) },
        Fault("the last file missing", .bundleMissingFile) { $0.members.removeLast() },
        Fault("files in another order", .bundleMissingFile) { $0.members.swapAt(1, 2) },
        Fault("no manifest", .bundleUnsafeMember) { $0.members.removeFirst() },
        Fault("a file that is not in the manifest", .bundleUnsafeMember) { $0.members.append(.init("more", [1])) },
        Fault("a file twice", .bundleUnsafeMember) { $0.members.insert($0.members[1], at: 2) },
        Fault("the manifest twice", .bundleUnsafeMember) { $0.members.append($0.members[0]) },
        renamed("/etc/passwd"), renamed("../x"), renamed(".."), renamed("a/b"), renamed(".hidden"), renamed(""),
        renamed("a\\b"), renamed("a\u{0}b"), renamed("manifest.json"), renamed(String(repeating: "a", count: 101)),
        inserted("/etc/passwd", "0"), inserted("../../x", "0"), inserted("link", "2", link: "/etc/passwd"),
        inserted("text.vectors", "2", link: "/etc/passwd"), inserted("hard", "1", link: "entries.sqlite"),
        inserted("device", "3"), inserted("block", "4"), inserted("folder", "5"), inserted("pipe", "6"),
        inserted("pax", "x"), inserted("long", "L"),
        Fault("a manifest that lists a file twice", .bundleUnsafeMember) {
            let file = VersionFile(name: "a", bytes: 0, sha256: Checksum.hex(of: Data()))
            try $0.setManifest(files: [file, file])
        },
        Fault("a manifest of another version", .bundleInvalidManifest) { try $0.setManifest(files: [], version: 2) },
        Fault("a manifest of another datastore", .bundleInvalidManifest) {
            try $0.setManifest(files: [], datastore: "x")
        },
        Fault("a manifest that is no JSON", .bundleInvalidManifest) { try $0.setManifest(Data("manifest".utf8)) },
        Fault("a manifest with a negative size", .bundleInvalidManifest) {
            try $0.setManifest(files: [VersionFile(name: "a", bytes: -1, sha256: Checksum.hex(of: Data()))])
        },
        Fault("a manifest with no checksum", .bundleInvalidManifest) {
            try $0.setManifest(files: [VersionFile(name: "a", bytes: 1, sha256: "x")])
        },
        Fault("a manifest of too many files", .bundleInvalidManifest) {
            try $0.setManifest(
                files: (0..<300).map { VersionFile(name: "f\($0)", bytes: 0, sha256: Checksum.hex(of: Data())) })
        },
        Fault("a manifest with sizes beyond all", .bundleTooLarge) {
            try $0.setManifest(
                files: ["a", "b"].map { VersionFile(name: $0, bytes: .max, sha256: Checksum.hex(of: Data())) })
        },
        Fault("a manifest that takes too much", .bundleTooLarge) { $0.members[0].size = 17 << 20 },
        Fault("a damaged block", .bundleCorrupt) { $0.members[2].isIntact = false },
    ]

    @Test(arguments: faults)
    func whatIsWrongIsRefusedByItsName(_ fault: Fault) throws {
        let data = try fault.make()
        let error = #expect(throws: DatastoreError.self) { _ = try unpack(data) }
        #expect(error?.code == fault.code, "\(error.map(String.init(describing:)) ?? "")")
    }

    @Test func aBombStopsAtWhatItsManifestNames() throws {
        let megabyte = [UInt8](repeating: 0, count: 4 << 20)
        var bundle = try CraftedBundle(files: [("a", [1])])
        bundle.frameBytes = 4 << 20
        let frame = try LZ4Frame.compress(megabyte)
        var data = try Data(bundle.header.frame()) + bundle.frames(of: Array(bundle.tar.dropLast(1024)))
        // 4 GB of zeros, in 16 MB.
        for _ in 0..<1024 { data += frame }
        let start = ContinuousClock.now
        let error = #expect(throws: DatastoreError.self) { _ = try unpack(data) }
        #expect(error?.code == .bundleTrailingData)
        #expect(ContinuousClock.now - start < .seconds(2))
    }

    @Test func filesOverTheLimitAreRefusedBeforeTheyAreRead() throws {
        let data = try CraftedBundle(files: Self.files).data()
        let error = #expect(throws: DatastoreError.self) { _ = try unpack(data, limit: 1000) }
        #expect(error?.code == .bundleTooLarge)
        _ = try unpack(data, limit: 4036)
    }

    /// Whatever single byte is changed, nothing goes in that differs.
    @Test func aChangedByteAnywhereIsRefusedOrHarmless() throws {
        let whole = try CraftedBundle(files: Self.files).data()
        for position in stride(from: 0, to: whole.count, by: 7) {
            var data = whole
            data[position] ^= 0x20
            do {
                let folder = try unpack(data)
                for file in Self.files {
                    #expect(
                        try Data(contentsOf: folder.appending(path: file.name)) == Data(file.content),
                        "byte \(position)")
                }
            } catch is DatastoreError {
                continue
            }
        }
    }

    @Test func everyBeginningOfABundleIsRefused() throws {
        let whole = try CraftedBundle(files: Self.files).data()
        for length in stride(from: 0, to: whole.count, by: 11) {
            let start = whole.prefix(length)
            #expect(throws: DatastoreError.self, "\(length) bytes") { _ = try unpack(start) }
        }
    }
}
