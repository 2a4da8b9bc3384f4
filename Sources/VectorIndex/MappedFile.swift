import Foundation

/// A file mapped for reading, unmapped when the last user lets go.
///
/// `@unchecked Sendable`: the mapping is read-only and stays until `deinit`. The files of a version never change.
package final class MappedFile: @unchecked Sendable {
    package let bytes: UnsafeRawBufferPointer

    /// - Throws: `CocoaError` or `POSIXError` when the file cannot be opened or mapped.
    package init(path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure() }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.failure() }
        let count = Int(status.st_size)
        guard count > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw Self.failure()
        }
        bytes = UnsafeRawBufferPointer(start: address, count: count)
    }

    deinit {
        guard let address = bytes.baseAddress else { return }
        let mapping = Mapping(address: UnsafeMutableRawPointer(mutating: address), count: bytes.count)
        // Who lets go last may be a question, which must not wait until the pages of a large file are let go.
        guard bytes.count >= Self.largeSize else { return mapping.remove() }
        Thread.detachNewThread {
            // Of this thread alone, on Linux: questions go before it.
            setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Self.closingNiceness)
            mapping.remove()
        }
    }

    private static let largeSize = 1 << 20
    private static let closingNiceness: Int32 = 19

    private struct Mapping: @unchecked Sendable {
        let address: UnsafeMutableRawPointer
        let count: Int

        /// Lets go of the pages in parts: other threads of the process map and unmap in between.
        func remove() {
            let part = 8 << 20
            for offset in stride(from: 0, to: count, by: part) {
                madvise(address + offset, min(part, count - offset), Int32(MADV_DONTNEED))
            }
            munmap(address, count)
        }
    }

    /// Lets go of pages that are mapped; who reads them again gets them from the file cache. Parts of a page are kept.
    package func release(_ range: Range<Int>) {
        guard let address = bytes.baseAddress else { return }
        let page = 4096
        let start = (range.lowerBound + page - 1) / page * page
        let end = min(range.upperBound, bytes.count) / page * page
        if start < end {
            madvise(UnsafeMutableRawPointer(mutating: address + start), end - start, Int32(MADV_DONTNEED))
        }
    }

    /// Has the system map what is in its file cache of the first `count` bytes, so that who reads them first does not do it
    /// page by page. A hint; returns when it is done.
    package func populate(_ range: Range<Int>) {
        guard let address = bytes.baseAddress, !range.isEmpty else { return }
        let page = 4096
        let start = range.lowerBound / page * page
        // MADV_POPULATE_READ, of Linux 5.14; an older one refuses it.
        madvise(UnsafeMutableRawPointer(mutating: address + start), min(range.upperBound, bytes.count) - start, 22)
    }

    private static func failure() -> any Error {
        POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
    }
}
