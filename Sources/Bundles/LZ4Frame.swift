internal import CLZ4
import DatastoreCore

/// One frame of the LZ4 frame format: an independent block with the content's size and checksum.
package enum LZ4Frame {
    /// - Parameter content: at most 4 MiB.
    package static func compress(_ content: [UInt8]) throws -> [UInt8] {
        var preferences = LZ4F_preferences_t()
        preferences.frameInfo.blockSizeID = LZ4F_max4MB
        preferences.frameInfo.blockMode = LZ4F_blockIndependent
        preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled
        preferences.frameInfo.contentSize = UInt64(content.count)
        let bound = LZ4F_compressFrameBound(content.count, &preferences)
        return try [UInt8](unsafeUninitializedCapacity: bound) { buffer, count in
            let result = content.withUnsafeBytes {
                LZ4F_compressFrame(buffer.baseAddress, bound, $0.baseAddress, $0.count, &preferences)
            }
            guard LZ4F_isError(result) == 0 else {
                throw DatastoreError(
                    .internalError, "LZ4 could not compress: \(String(cString: LZ4F_getErrorName(result)))")
            }
            count = result
        }
    }
}

/// Decompresses LZ4 frames that lie end to end in a file. Blocks; for one thread.
final class LZ4FrameReader {
    private static let magic: UInt32 = 0x184D_2204
    private static let inputBytes = 1 << 20

    private let file: InputDescriptor
    private let context: OpaquePointer
    /// Where the next bytes of the file are.
    private var offset: Int64
    private var input: [UInt8]
    private var waiting = 0..<0
    private var isInFrame = false

    /// - Parameter offset: where the first frame begins.
    init(_ file: InputDescriptor, offset: Int64) throws {
        self.file = file
        self.offset = offset
        input = [UInt8](repeating: 0, count: Self.inputBytes)
        var made: OpaquePointer?
        let result = LZ4F_createDecompressionContext(&made, UInt32(LZ4F_VERSION))
        guard LZ4F_isError(result) == 0, let made else {
            throw DatastoreError(.internalError, "LZ4 could not begin to decompress")
        }
        context = made
    }

    deinit {
        LZ4F_freeDecompressionContext(context)
    }

    /// Whether the last frame was read to its end.
    var isBetweenFrames: Bool { !isInFrame }

    /// Bytes of the file that were used.
    var bytesRead: Int64 { offset - Int64(waiting.count) }

    /// The next bytes of the content: one at least, none behind the last frame.
    ///
    /// - Throws: `bundle_truncated`, `bundle_corrupt`.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            if !isInFrame {
                try top(up: 4)
                if waiting.isEmpty { return 0 }
                guard waiting.count >= 4 else { throw truncated }
                let magic = input.withUnsafeBytes {
                    UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: waiting.lowerBound, as: UInt32.self))
                }
                guard magic == Self.magic else {
                    throw DatastoreError(
                        .bundleCorrupt,
                        "\(file.name): no LZ4 frame begins at byte \(bytesRead), where one should; copy or export it once "
                            + "more")
                }
                isInFrame = true
            }
            try top(up: 1)
            guard !waiting.isEmpty else { throw truncated }
            var produced = buffer.count
            var used = waiting.count
            let hint = input.withUnsafeBytes {
                LZ4F_decompress(
                    context, buffer.baseAddress, &produced, $0.baseAddress.map { $0 + waiting.lowerBound }, &used, nil)
            }
            guard LZ4F_isError(hint) == 0 else {
                throw DatastoreError(
                    .bundleCorrupt,
                    "\(file.name): damaged near byte \(bytesRead) (\(String(cString: LZ4F_getErrorName(hint)))); copy or "
                        + "export it once more")
            }
            waiting = waiting.lowerBound + used..<waiting.upperBound
            if hint == 0 { isInFrame = false }
            if produced > 0 { return produced }
        }
    }

    private var truncated: DatastoreError {
        DatastoreError(
            .bundleTruncated,
            "\(file.name): it ends after \(file.size) bytes, within a frame; copy or export it once more")
    }

    /// Reads on until `count` bytes wait, or the file ends.
    private func top(up count: Int) throws {
        guard waiting.count < count else { return }
        let rest = waiting.count
        let start = waiting.lowerBound
        let filled = try input.withUnsafeMutableBytes { bytes in
            for position in 0..<rest { bytes[position] = bytes[start + position] }
            return try file.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[rest...]), at: offset)
        }
        offset += Int64(filled)
        waiting = 0..<rest + filled
    }
}
