import DatastoreCore

/// What a file of vectors is, by its first bytes.
package enum VectorsFileKind: Sendable {
    /// `NumpyReader` reads it.
    case numpy
    /// FAISS can take its vectors out, if it stores them.
    case faissIndex

    /// - Throws: `lfs_pointer`, `html_page`; `npy_not_numpy`, which says what the file looks like and what is expected;
    ///   `source_unreadable`.
    package init(path: String) throws {
        var file = try InputFile(path: path)
        let first = try file.readBytes(ForeignFile.prefixBytes)
        let name = file.name
        self = try first.withUnsafeBytes { bytes in
            switch ForeignFile(bytes) {
            case .numpy: .numpy
            case .faissIndex: .faissIndex
            default: throw ForeignFile.vectorsError(name: name, first: bytes)
            }
        }
    }
}
