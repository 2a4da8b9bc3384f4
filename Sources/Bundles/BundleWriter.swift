internal import CLZ4
package import DatastoreCore
package import Foundation

/// Makes the bytes of a bundle, piece by piece and in any order: the header's frame, then the LZ4 frames.
///
/// The files are opened once, at the beginning: whoever removes the version meanwhile does not disturb. Thread-safe;
/// calls block.
package final class BundleWriter: Sendable {
    private enum Source: Sendable {
        case bytes([UInt8])
        case zeros
        case file(InputDescriptor)
    }

    /// A part of the tar.
    private struct Segment: Sendable {
        var start: Int64
        var length: Int64
        var source: Source

        var end: Int64 { start + length }
    }

    package let header: BundleHeader
    /// Names just these bytes: another header, other files or another release of LZ4 make another.
    package let etag: String
    private let headerFrame: [UInt8]
    private let segments: [Segment]
    private let tarBytes: Int64

    /// - Parameters:
    ///   - folder: of the version.
    ///   - files: `manifest.json` first, then those that it lists.
    /// - Throws: `version_damaged` when a file has not the size that it should.
    package init(_ header: BundleHeader, folder: URL, files: [VersionFile]) throws {
        self.header = header
        headerFrame = try header.frame()
        etag = "\"\(Checksum.hex(of: Data(headerFrame)).prefix(32))-\(LZ4_versionNumber())\""
        var segments: [Segment] = []
        var end: Int64 = 0
        func append(_ length: Int64, _ source: Source) {
            guard length > 0 else { return }
            segments.append(Segment(start: end, length: length, source: source))
            end += length
        }
        for file in files {
            let input = try InputDescriptor(folder.appending(path: file.name))
            guard input.size == file.bytes else {
                throw DatastoreError(
                    .versionDamaged,
                    "\(header.name): \(file.name) has \(input.size) bytes, the manifest says \(file.bytes)")
            }
            append(Int64(TarHeader.blockBytes), .bytes(try TarHeader(name: file.name, size: file.bytes).block()))
            append(file.bytes, .file(input))
            append(TarHeader.padding(file.bytes), .zeros)
        }
        append(Int64(2 * TarHeader.blockBytes), .zeros)
        self.segments = segments
        tarBytes = end
    }

    /// The header's frame and those of the tar.
    package var pieceCount: Int {
        1 + Int((tarBytes + Int64(BundleHeader.frameBytes) - 1) / Int64(BundleHeader.frameBytes))
    }

    /// A piece of the bundle. The same each time.
    ///
    /// - Parameter number: from 0, below `pieceCount`.
    package func piece(_ number: Int) throws -> [UInt8] {
        guard number > 0 else { return headerFrame }
        let start = Int64(number - 1) * Int64(BundleHeader.frameBytes)
        let count = Int(min(Int64(BundleHeader.frameBytes), tarBytes - start))
        let content = try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            try fill(UnsafeMutableRawBufferPointer(buffer), at: start)
            filled = count
        }
        return try LZ4Frame.compress(content)
    }

    private func fill(_ buffer: UnsafeMutableRawBufferPointer, at start: Int64) throws {
        let end = start + Int64(buffer.count)
        for segment in segments where segment.start < end && segment.end > start {
            let from = max(start, segment.start)
            let to = min(end, segment.end)
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[Int(from - start)..<Int(to - start)])
            let offset = from - segment.start
            switch segment.source {
            case .zeros: part.initializeMemory(as: UInt8.self, repeating: 0)
            case .bytes(let bytes):
                bytes.withUnsafeBytes {
                    part.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<Int(offset) + part.count]))
                }
            case .file(let input):
                guard try input.read(into: part, at: offset) == part.count else {
                    throw DatastoreError(
                        .versionDamaged, "\(header.name): \(input.name) became shorter while it was read")
                }
            }
        }
    }
}
