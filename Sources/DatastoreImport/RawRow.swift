/// The bytes of one row as they stand in its file, valid only inside the closure that they are given to.
package struct RawRow {
    /// Bytes that are given of a row that is too long.
    package static let excerptBytes = 4096

    /// Line of the file on which it begins, from 1.
    package let line: Int
    /// Byte of the file, inflated, at which it begins, from 0.
    package let byte: Int
    /// Without the line end or what else ends the row; the first `excerptBytes` at most when it is too long.
    package let bytes: UnsafeRawBufferPointer
    /// Bytes of the whole row.
    package let length: Int
    package let isTooLong: Bool

    /// Whether it holds nothing but white space.
    package var isBlank: Bool { !isTooLong && bytes.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D } }
}
