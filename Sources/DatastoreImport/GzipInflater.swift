import CZlib
import DatastoreCore

/// Inflates the gzip members of a file, one after the other, as one stream (RFC 1952).
///
/// Not thread-safe.
final class GzipInflater {
    /// The first bytes of every gzip member.
    static let magic: [UInt8] = [0x1F, 0x8B]

    /// zlib keeps the address of its stream, so the stream must not move.
    private let stream: UnsafeMutablePointer<z_stream>
    private let input: UnsafeMutableRawBufferPointer
    private var isBetweenMembers = true
    /// Whether zlib may still hold output that the last call had no room for.
    private var hasPendingOutput = false

    /// - Parameter chunkSize: compressed bytes read at a time, 1 or more.
    /// - Throws: `source_unreadable` when there is no memory for the inflater.
    init(chunkSize: Int) throws {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        input = .allocate(byteCount: chunkSize, alignment: 16)
        // 15 bits of window, plus 16: gzip and nothing else.
        let status = inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            throw DatastoreError(.sourceUnreadable, "cannot start zlib \(ZLIB_VERSION): status \(status)")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
        input.deallocate()
    }

    /// Compressed bytes that were read from the file and not used yet.
    var unusedInput: Int { Int(stream.pointee.avail_in) }

    /// Inflates the next bytes of `file` into `output`.
    ///
    /// - Returns: bytes written, 1 or more; 0 after the last member.
    /// - Throws: `gzip_truncated`, `gzip_corrupt` or `source_unreadable`.
    func read(from file: inout InputFile, into output: UnsafeMutableRawBufferPointer) throws -> Int {
        guard let base = output.baseAddress, output.count > 0 else { return 0 }
        let room = uInt(clamping: output.count)
        stream.pointee.next_out = base.assumingMemoryBound(to: Bytef.self)
        stream.pointee.avail_out = room
        while stream.pointee.avail_out == room {
            if stream.pointee.avail_in == 0, !hasPendingOutput, try !refill(from: &file) {
                return 0
            }
            if isBetweenMembers {
                try startMember(of: file)
            }
            let status = inflate(stream, Z_NO_FLUSH)
            hasPendingOutput = stream.pointee.avail_out == 0
            switch status {
            case Z_OK, Z_BUF_ERROR:
                break
            case Z_STREAM_END:
                isBetweenMembers = true
                hasPendingOutput = false
            case Z_MEM_ERROR:
                throw DatastoreError(.sourceUnreadable, "\(file.name): no memory to inflate it")
            default:
                throw corrupt(file, stream.pointee.msg.map { String(cString: $0) } ?? "status \(status)")
            }
        }
        return Int(room - stream.pointee.avail_out)
    }

    /// Reads more compressed bytes; false when the file ended where it may.
    private func refill(from file: inout InputFile) throws -> Bool {
        let count = try file.read(into: input)
        guard count > 0 else {
            if isBetweenMembers { return false }
            throw DatastoreError(
                .gzipTruncated, "\(file.name): the gzip data stops at byte \(file.offset), before its end was reached")
        }
        stream.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: Bytef.self)
        stream.pointee.avail_in = uInt(count)
        return true
    }

    private func startMember(of file: borrowing InputFile) throws {
        guard stream.pointee.next_in?.pointee == Self.magic[0] else {
            throw corrupt(file, "bytes follow the gzip data that are not gzip")
        }
        guard inflateReset(stream) == Z_OK else {
            throw corrupt(file, "cannot start the next member")
        }
        isBetweenMembers = false
    }

    private func corrupt(_ file: borrowing InputFile, _ reason: String) -> DatastoreError {
        DatastoreError(
            .gzipCorrupt, "\(file.name): corrupt gzip data at compressed byte \(file.offset - unusedInput): \(reason)")
    }
}
