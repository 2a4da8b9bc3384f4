package import DatastoreCore
package import Foundation

/// What stands at the front of a bundle: which version it holds, and what a datastore has to be to take it.
///
/// A bundle (`.capstan`) is a sequence of LZ4 frames, as `lz4` and its library read them; all numbers are little-endian.
///
/// | bytes | what |
/// | --- | --- |
/// | 4 | `5C 2A 4D 18`: a skippable frame, which `lz4 -d` passes over |
/// | 4 | bytes of the rest of this frame, n |
/// | 32 | SHA-256 of the JSON that follows |
/// | n - 32 | this header as JSON |
/// | to the end | LZ4 frames, each of 4 MiB of one tar (the last of what is left), with the content's size and checksum |
///
/// The tar (ustar) holds regular files only: `manifest.json`, then the files that it lists, in its order; mode 0444, owner and
/// time 0; two blocks of zeros end it. So equal versions make equal bundles, and any frame can be made without those
/// before it.
package struct BundleHeader: Codable, Sendable, Hashable {
    /// The format that this release writes, and the newest that it reads.
    package static let currentFormat = 1
    /// Bytes of the tar in each frame.
    package static let frameBytes = 4 << 20

    static let magic: UInt32 = 0x184D_2A5C
    static let maximumBytes = 1 << 20
    private static let digestBytes = 32

    package var format: Int
    package var datastore: String
    package var version: Int
    package var kind: DatastoreKind
    package var keys: [KeySpec]
    package var description: String?
    package var licence: String?
    package var plan: IndexPlan?
    package var recallGate: Double?
    package var manifestSHA256: String

    package init(
        datastore: String, version: Int, kind: DatastoreKind, keys: [KeySpec], description: String?, licence: String?,
        plan: IndexPlan? = nil, recallGate: Double? = nil, manifestSHA256: String
    ) {
        format = Self.currentFormat
        self.datastore = datastore
        self.version = version
        self.kind = kind
        self.keys = keys
        self.description = description
        self.licence = licence
        self.plan = plan
        self.recallGate = recallGate
        self.manifestSHA256 = manifestSHA256
    }

    enum CodingKeys: String, CodingKey {
        case datastore, version, kind, keys, description, licence, plan
        case recallGate = "recall_gate"
        case format = "bundle_format"
        case manifestSHA256 = "manifest_sha256"
    }

    /// `coco@7`.
    package var name: String { "\(datastore)@\(version)" }

    /// The skippable frame.
    package func frame() throws -> [UInt8] {
        let json = try WireJSON.encode(self)
        var bytes: [UInt8] = []
        for number in [Self.magic, UInt32(Self.digestBytes + json.count)] {
            withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
        }
        return bytes + Checksum.bytes(of: json) + json
    }

    /// Whether a file begins as a bundle does.
    package static func begins(_ url: URL) -> Bool {
        guard let handle = try? FileHandle(forReadingFrom: url) else { return false }
        defer { try? handle.close() }
        let start = (try? handle.read(upToCount: 4)) ?? nil
        return start.map { Array($0) == withUnsafeBytes(of: magic.littleEndian) { Array($0) } } ?? false
    }

    /// Reads the header of a bundle.
    ///
    /// - Throws: `bundle_unreadable`, `bundle_truncated`, `bundle_corrupt`, `bundle_newer_format`, `source_unreadable`.
    package init(of url: URL) throws {
        let file = try InputDescriptor(url)
        self = try Self.read(file).header
    }

    /// - Returns: the header, and where the LZ4 frames begin.
    static func read(_ file: InputDescriptor) throws -> (header: BundleHeader, end: Int64) {
        let start = try file.read(upTo: 8, at: 0)
        guard start.count >= 4, start.number(at: 0) == magic else {
            throw DatastoreError(
                .bundleUnreadable,
                "\(file.name): not a bundle of Capstan; expected a file that capstan export made")
        }
        guard start.count == 8 else { throw truncated(file) }
        let length = Int(start.number(at: 4))
        guard (digestBytes + 2...maximumBytes).contains(length) else {
            throw DatastoreError(
                .bundleUnreadable,
                "\(file.name): its header says that it has \(length) bytes, expected at most \(maximumBytes): not a bundle "
                    + "of Capstan")
        }
        let bytes = try file.read(upTo: length, at: 8)
        guard bytes.count == length else { throw truncated(file) }
        let json = Data(bytes[digestBytes...])
        guard Checksum.bytes(of: json) == Array(bytes[..<digestBytes]) else {
            throw DatastoreError(
                .bundleCorrupt, "\(file.name): the header differs from its checksum; copy or export it once more")
        }
        struct FormatOnly: Decodable {
            var format: Int
            enum CodingKeys: String, CodingKey { case format = "bundle_format" }
        }
        do {
            let format = try WireJSON.decode(FormatOnly.self, from: json).format
            guard format <= currentFormat else {
                throw DatastoreError(
                    .bundleNewerFormat,
                    "\(file.name): bundle format \(format), this release reads up to \(currentFormat); upgrade capstand"
                )
            }
            let header = try WireJSON.decode(BundleHeader.self, from: json)
            try header.validate()
            return (header, Int64(8 + length))
        } catch let error as DatastoreError where error.code != .bundleNewerFormat {
            throw DatastoreError(.bundleUnreadable, "\(file.name): its header makes no sense: \(error.detail)")
        }
    }

    private func validate() throws {
        try ResourceName.validate(datastore, field: "datastore")
        guard (1...Self.maximumVersion).contains(version) else {
            throw DatastoreError.field(
                .invalidValue, "version", "got \(version), expected 1 to \(Self.maximumVersion)")
        }
        guard (1...16).contains(keys.count), Set(keys.map(\.name)).count == keys.count else {
            throw DatastoreError.field(.invalidValue, "keys", "expected 1 to 16 keys, each name once")
        }
        for key in keys { try key.validate() }
        try plan?.validate()
        guard (0...1).contains(recallGate ?? 0) else {
            throw DatastoreError.field(.invalidValue, "recall_gate", "expected 0 to 1")
        }
    }

    /// Numbers go on after it.
    private static let maximumVersion = 1_000_000_000

    private static func truncated(_ file: InputDescriptor) -> DatastoreError {
        DatastoreError(.bundleTruncated, "\(file.name): it ends within its header; copy or export it once more")
    }
}

extension [UInt8] {
    /// A little-endian number; there must be four bytes.
    fileprivate func number(at offset: Int) -> UInt32 {
        withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
    }
}
