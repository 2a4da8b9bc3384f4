/// 128 bits that stand for one or more strings, byte by byte: equal strings have equal digests, different ones equal
/// digests so rarely that it does not happen. Digests are for one process only.
struct TextDigest: Hashable {
    private let high: UInt64
    private let low: UInt64

    init(_ strings: String?...) {
        var first = Hasher()
        var second = Hasher()
        second.combine(1)
        for string in strings {
            var string = string
            // What separates nil from the empty string, and one string from the next.
            let length = string?.utf8.count ?? -1
            first.combine(length)
            second.combine(length)
            string?.withUTF8 { bytes in
                first.combine(bytes: UnsafeRawBufferPointer(bytes))
                second.combine(bytes: UnsafeRawBufferPointer(bytes))
            }
        }
        high = UInt64(bitPattern: Int64(first.finalize()))
        low = UInt64(bitPattern: Int64(second.finalize()))
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(low)
    }
}
