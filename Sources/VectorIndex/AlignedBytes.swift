/// Bytes on a multiple of 64, for kernels; all zero at first.
///
/// `@unchecked Sendable`: whoever holds it alone writes it.
final class AlignedBytes: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer

    init(count: Int) {
        bytes = .allocate(byteCount: count, alignment: 64)
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit {
        bytes.deallocate()
    }
}
