import Crypto
package import DatastoreCore
package import Foundation

/// Reads a bundle from front to back, and believes nothing of it: names come from the manifest alone, which may hold plain
/// ones only; every block of the tar must be the one that a writer would write; sizes and checksums must be the manifest's;
/// nothing is decompressed beyond what it names. Blocks; for one thread.
package final class BundleReader {
    package let header: BundleHeader
    private let file: InputDescriptor
    private let frames: LZ4FrameReader
    private var buffer = [UInt8](repeating: 0, count: BundleHeader.frameBytes)
    private var waiting = 0..<0

    /// Bytes of a manifest.
    private static let maximumManifestBytes: Int64 = 16 << 20
    private static let maximumFiles = 256

    /// Opens a bundle and reads its header.
    ///
    /// - Throws: as `BundleHeader.init(of:)`.
    package init(_ url: URL) throws {
        file = try InputDescriptor(url)
        let start = try BundleHeader.read(file)
        header = start.header
        frames = try LZ4FrameReader(file, offset: start.end)
    }

    /// Bytes of the bundle.
    package var bytes: Int64 { file.size }

    /// What the reader needs of `manifest.json`.
    private struct Manifest: Decodable {
        var datastore: String
        var version: Int
        var files: [VersionFile]
    }

    /// Reads all files, and writes and syncs them where there is a folder for them. To be called once.
    ///
    /// - Parameters:
    ///   - folder: there and empty; nil only checks.
    ///   - limit: bytes that all files together may have.
    ///   - progress: told now and then how many bytes of the bundle are read; throws to stop.
    /// - Returns: `manifest.json`; its checksum is the header's.
    /// - Throws: `bundle_truncated`, `bundle_corrupt`, `bundle_trailing_data`, `bundle_unsafe_member`,
    ///   `bundle_missing_file`, `bundle_checksum_mismatch`, `bundle_invalid_manifest`, `bundle_too_large`,
    ///   `storage_failed`.
    package func unpack(
        into folder: URL?, limit: Int64, progress: (Int64) throws -> Void = { _ in }
    ) throws -> Data {
        let data = try readManifest()
        let files = try files(of: data, limit: limit)
        if let folder { try write(data, to: folder.appending(path: "manifest.json")) }
        for (position, file) in files.enumerated() {
            try expectHeader(of: file, number: position, of: files)
            let sum = try copy(file, to: folder, progress)
            guard sum == file.sha256 else {
                throw DatastoreError(
                    .bundleChecksumMismatch,
                    "\(name): \(file.name) has SHA-256 \(sum), its manifest says \(file.sha256); export it once more")
            }
            try skipPadding(of: file.bytes)
        }
        try expectEnd(files)
        return data
    }

    // MARK: The manifest

    private func readManifest() throws -> Data {
        let block = try block()
        let found = TarHeader.found(in: block)
        guard let size = found.size, try block == TarHeader(name: "manifest.json", size: size).block() else {
            throw refusal(of: found, expected: "manifest.json", in: [])
        }
        guard size <= Self.maximumManifestBytes else {
            throw DatastoreError(
                .bundleTooLarge,
                "\(name): manifest.json has \(size) bytes, expected at most \(Self.maximumManifestBytes)")
        }
        var data = Data(capacity: Int(size))
        try forEachChunk(of: size) { data.append(contentsOf: $0) }
        let sum = Checksum.hex(of: data)
        guard sum == header.manifestSHA256 else {
            throw DatastoreError(
                .bundleChecksumMismatch,
                "\(name): manifest.json has SHA-256 \(sum), the header says \(header.manifestSHA256); export it once more"
            )
        }
        try skipPadding(of: size)
        return data
    }

    /// The files that the manifest lists, when they can be written.
    private func files(of data: Data, limit: Int64) throws -> [VersionFile] {
        let manifest: Manifest
        do {
            manifest = try WireJSON.decode(Manifest.self, from: data)
        } catch let error as DatastoreError {
            throw invalidManifest(error.detail)
        }
        guard manifest.datastore == header.datastore, manifest.version == header.version else {
            throw invalidManifest("it is of \(manifest.datastore)@\(manifest.version), the header says \(header.name)")
        }
        guard manifest.files.count <= Self.maximumFiles else {
            throw invalidManifest("it lists \(manifest.files.count) files, expected at most \(Self.maximumFiles)")
        }
        var names: Set<String> = ["manifest.json"]
        var total: Int64 = 0
        for file in manifest.files {
            guard (try? ResourceName.validate(String(file.name.prefix(ResourceName.maximumLength)))) != nil,
                file.name.utf8.count <= 100,
                file.name.utf8.dropFirst(ResourceName.maximumLength).allSatisfy(Self.isPlain)
            else {
                throw DatastoreError(
                    .bundleUnsafeMember,
                    "\(name): the manifest lists \(file.name.prefix(100).debugDescription), expected a plain file name")
            }
            guard names.insert(file.name).inserted else {
                throw DatastoreError(.bundleUnsafeMember, "\(name): the manifest lists \(file.name) twice")
            }
            guard file.bytes >= 0, Checksum.isChecksum(file.sha256) else {
                throw invalidManifest("\(file.name) has \(file.bytes) bytes and SHA-256 \(file.sha256.prefix(80))")
            }
            let (sum, isTooLarge) = total.addingReportingOverflow(file.bytes)
            total = isTooLarge ? .max : sum
        }
        guard total <= limit else {
            throw DatastoreError(
                .bundleTooLarge, "\(name): its files have \(total) bytes, expected at most \(limit), the limit here")
        }
        return manifest.files
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
            || [0x2D, 0x2E, 0x5F].contains(byte)
    }

    private func invalidManifest(_ why: String) -> DatastoreError {
        DatastoreError(.bundleInvalidManifest, "\(name): manifest.json: \(why)")
    }

    // MARK: The tar

    private func expectHeader(of file: VersionFile, number: Int, of files: [VersionFile]) throws {
        let block = try block()
        guard try block != TarHeader(name: file.name, size: file.bytes).block() else { return }
        throw refusal(of: TarHeader.found(in: block), expected: file.name, in: files, earlier: number)
    }

    /// What is wrong with a block that is not the expected one.
    private func refusal(
        of found: TarHeader.Found, expected: String, in files: [VersionFile], earlier: Int = 0
    ) -> DatastoreError {
        if found.isEmpty {
            return DatastoreError(.bundleMissingFile, "\(name): it ends before \(expected)")
        }
        let shown = found.name.prefix(120).debugDescription
        guard found.isIntact else {
            return DatastoreError(
                .bundleCorrupt, "\(name): the tar block where \(expected) should begin is damaged; export it once more")
        }
        guard found.type == UInt8(ascii: "0") || found.type == 0 else {
            return DatastoreError(
                .bundleUnsafeMember,
                "\(name): \(shown) is no regular file but \(Self.kind(found.type)); a bundle has none of those")
        }
        if found.name == "manifest.json" && expected != "manifest.json"
            || files.prefix(earlier).contains(where: { $0.name == found.name })
        {
            return DatastoreError(.bundleUnsafeMember, "\(name): \(found.name) is there twice")
        }
        if found.name == expected {
            let listed = files.first { $0.name == expected }?.bytes
            return DatastoreError(
                .bundleChecksumMismatch,
                "\(name): \(expected) has \(found.size ?? 0) bytes, "
                    + (listed.map { "its manifest says \($0)" } ?? "and its block is not as capstan export writes it"))
        }
        if files.contains(where: { $0.name == found.name }) {
            return DatastoreError(.bundleMissingFile, "\(name): got \(found.name), expected \(expected) before it")
        }
        return DatastoreError(
            .bundleUnsafeMember, "\(name): \(shown) is not in its manifest, expected \(expected)")
    }

    private static func kind(_ type: UInt8) -> String {
        switch type {
        case UInt8(ascii: "1"): "a hard link"
        case UInt8(ascii: "2"): "a symbolic link"
        case UInt8(ascii: "3"), UInt8(ascii: "4"): "a device"
        case UInt8(ascii: "5"): "a folder"
        case UInt8(ascii: "6"): "a pipe"
        default: "of type \(type)"
        }
    }

    /// Two blocks of zeros, and nothing behind them.
    private func expectEnd(_ files: [VersionFile]) throws {
        for _ in 0..<2 {
            let block = try block()
            let found = TarHeader.found(in: block)
            guard found.isEmpty else {
                guard found.isIntact else {
                    throw DatastoreError(.bundleTrailingData, "\(name): there is something behind its last file")
                }
                throw refusal(of: found, expected: "its end", in: files, earlier: files.count)
            }
        }
        var rest = waiting.count
        do {
            if rest == 0 { rest = try buffer.withUnsafeMutableBytes { try frames.read(into: $0) } }
        } catch let error as DatastoreError where error.code != .storageFailed && frames.isBetweenFrames {
            // What follows is not even a frame.
            rest = 1
        }
        guard rest == 0 else {
            throw DatastoreError(
                .bundleTrailingData, "\(name): there is something behind its end; copy or export it once more")
        }
    }

    // MARK: Bytes

    private var name: String { file.name }

    private func block() throws -> [UInt8] {
        var block: [UInt8] = []
        block.reserveCapacity(TarHeader.blockBytes)
        try forEachChunk(of: Int64(TarHeader.blockBytes)) { block += $0 }
        return block
    }

    private func skipPadding(of size: Int64) throws {
        var isZero = true
        try forEachChunk(of: TarHeader.padding(size)) { if !$0.allSatisfy({ $0 == 0 }) { isZero = false } }
        guard isZero else {
            throw DatastoreError(.bundleCorrupt, "\(name): there is something between its files; export it once more")
        }
    }

    /// The next `count` bytes of the tar.
    private func forEachChunk(of count: Int64, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        var left = count
        while left > 0 {
            if waiting.isEmpty {
                let filled = try buffer.withUnsafeMutableBytes { try frames.read(into: $0) }
                guard filled > 0 else {
                    throw DatastoreError(
                        .bundleTruncated,
                        "\(name): it ends at byte \(frames.bytesRead), before its last file does; copy or export it once more"
                    )
                }
                waiting = 0..<filled
            }
            let end = Int(min(Int64(waiting.upperBound), Int64(waiting.lowerBound) + left))
            try buffer.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[waiting.lowerBound..<end])) }
            left -= Int64(end - waiting.lowerBound)
            waiting = end..<waiting.upperBound
        }
    }

    /// Reads one file, and writes it where there is a folder.
    ///
    /// - Returns: its SHA-256.
    private func copy(_ file: VersionFile, to folder: URL?, _ progress: (Int64) throws -> Void) throws -> String {
        let output = try folder.map { try OutputDescriptor($0.appending(path: file.name)) }
        var hash = SHA256()
        try forEachChunk(of: file.bytes) { chunk in
            hash.update(bufferPointer: chunk)
            try output?.write(chunk)
            try progress(frames.bytesRead)
        }
        try output?.sync()
        return hash.finalize().hexadecimal
    }

    private func write(_ data: Data, to url: URL) throws {
        let output = try OutputDescriptor(url)
        try data.withUnsafeBytes { try output.write($0) }
        try output.sync()
    }
}
