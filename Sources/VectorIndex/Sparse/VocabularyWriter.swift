import DatastoreCore
import Foundation

/// Writes a vocabulary; `Vocabulary` has the format.
package enum VocabularyWriter {
    /// Writes terms in the order of their indices. Keeps them in memory, as many bytes as the file has.
    ///
    /// - Throws: `invalid_value` when there are none or too many, or one is empty, has a NUL or newline, or is there
    ///   twice; it names the line, counted from 1.
    package static func write(_ terms: some Sequence<String>, to path: String) throws {
        func refused(_ line: Int, _ why: String) -> DatastoreError {
            DatastoreError(.invalidValue, "the vocabulary, line \(line): \(why)")
        }
        var bytes: [UInt8] = []
        var offsets: [UInt32] = [0]
        for term in terms {
            let line = offsets.count
            guard line <= Vocabulary.maximumCount else {
                throw refused(line, "expected at most \(Vocabulary.maximumCount) terms")
            }
            let start = bytes.count
            bytes.append(contentsOf: term.utf8)
            guard bytes.count > start else { throw refused(line, "got an empty term") }
            if bytes[start...].contains(where: { $0 == 0 || $0 == 0x0A || $0 == 0x0D }) {
                throw refused(line, "got a NUL or a newline in \(term.debugDescription)")
            }
            guard let end = UInt32(exactly: bytes.count) else { throw refused(line, "expected at most 4 GiB of terms") }
            offsets.append(end)
        }
        guard offsets.count > 1 else { throw DatastoreError(.invalidValue, "the vocabulary: got no terms") }
        let order = bytes.withUnsafeBytes { bytes in
            (0..<UInt32(offsets.count - 1)).sorted { one, other in
                let order = Vocabulary.compare(
                    UnsafeRawBufferPointer(rebasing: bytes[Int(offsets[Int(one)])..<Int(offsets[Int(one) + 1])]),
                    UnsafeRawBufferPointer(rebasing: bytes[Int(offsets[Int(other)])..<Int(offsets[Int(other) + 1])]))
                return order != 0 ? order < 0 : one < other
            }
        }
        for (one, next) in zip(order, order.dropFirst()) {
            let (one, next) = (Int(one), Int(next))
            let term = bytes[Int(offsets[one])..<Int(offsets[one + 1])]
            if term.elementsEqual(bytes[Int(offsets[next])..<Int(offsets[next + 1])]) {
                let text = String(decoding: term, as: UTF8.self).debugDescription
                throw refused(next + 1, "got \(text) again, which line \(one + 1) has")
            }
        }
        let file = try BufferedFile(path: path, headerSize: FileHeader.size)
        try file.append(offsets)
        try file.append(order)
        try file.append(bytes)
        try file.finish(header: Vocabulary.header.bytes([offsets.count - 1, bytes.count]))
    }
}
