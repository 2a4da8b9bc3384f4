import DatastoreCore

/// A file of a kind that is not read where it was given, known by its first bytes.
enum ForeignFile {
    case lfsPointer, htmlPage, numpy, faissIndex, gzip, otherCompression, zip, pickle, parquet, hdf5, utf16

    /// Bytes from the start of a file that suffice.
    static let prefixBytes = 512

    private static let faissPrefixes = ["Ix", "Iw", "IH", "Iv", "Iu", "IB"].map { Array($0.utf8) }

    /// - Parameter bytes: the first of the file, `prefixBytes` or what it has.
    init?(_ bytes: UnsafeRawBufferPointer) {
        let bytes = UnsafeRawBufferPointer(rebasing: bytes.prefix(Self.prefixBytes))
        let start = String(decoding: bytes, as: UTF8.self).trimmingPrefix { $0.isWhitespace }.lowercased()
        func begins(_ magic: [UInt8]) -> Bool { bytes.starts(with: magic) }
        if start.hasPrefix("version https://git-lfs.github.com/spec/") {
            self = .lfsPointer
        } else if ["<!doctype", "<html", "<head", "<?xml"].contains(where: start.hasPrefix) {
            self = .htmlPage
        } else if begins(NumpyHeader.magic) {
            self = .numpy
        } else if Self.isFaissIndex(bytes) {
            self = .faissIndex
        } else if begins(GzipInflater.magic) {
            self = .gzip
        } else if begins([0x28, 0xB5, 0x2F, 0xFD]) || begins([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00])
            || (begins(Array("BZh".utf8)) && bytes.dropFirst(4).starts(with: [0x31, 0x41, 0x59, 0x26]))
        {
            self = .otherCompression
        } else if begins([0x50, 0x4B, 0x03, 0x04]) || begins([0x50, 0x4B, 0x05, 0x06]) {
            self = .zip
        } else if bytes.count > 1, bytes[0] == 0x80, (0x02...0x05).contains(bytes[1]) {
            self = .pickle
        } else if begins(Array("PAR1".utf8)) {
            self = .parquet
        } else if begins([0x89, 0x48, 0x44, 0x46]) {
            self = .hdf5
        } else if begins([0xFF, 0xFE]) || begins([0xFE, 0xFF]) {
            self = .utf16
        } else {
            return nil
        }
    }

    /// What is said of it where rows were expected.
    ///
    /// - Returns: `lfs_pointer`, `html_page` or `format_unknown`.
    func rowsError(name: String) -> DatastoreError {
        switch self {
        case .lfsPointer, .htmlPage:
            return DatastoreError(code ?? .formatUnknown, "\(name): got \(description)")
        case .numpy, .faissIndex:
            return DatastoreError(
                .formatUnknown, "\(name): got \(description), expected rows; give it as the vectors (--vectors)")
        case .gzip, .otherCompression, .zip, .pickle, .parquet, .hdf5, .utf16:
            return DatastoreError(.formatUnknown, "\(name): got \(description), expected rows; \(remedy)")
        }
    }

    /// What is said of a file that is not NumPy's where one was expected.
    ///
    /// - Returns: `lfs_pointer`, `html_page` or `npy_not_numpy`.
    static func vectorsError(name: String, first bytes: UnsafeRawBufferPointer) -> DatastoreError {
        let expected = "expected a NumPy .npy file of vectors"
        guard let kind = ForeignFile(bytes) else {
            let got = bytes.isEmpty ? "an empty file" : "a file whose first bytes are not \\x93NUMPY"
            return DatastoreError(.npyNotNumpy, "\(name): got \(got), \(expected)")
        }
        switch kind {
        case .lfsPointer, .htmlPage:
            return DatastoreError(kind.code ?? .npyNotNumpy, "\(name): got \(kind.description)")
        case .numpy, .faissIndex:
            return DatastoreError(.npyNotNumpy, "\(name): got \(kind.description), \(expected)")
        case .gzip, .otherCompression, .zip, .pickle, .parquet, .hdf5, .utf16:
            return DatastoreError(.npyNotNumpy, "\(name): got \(kind.description), \(expected); \(kind.remedy)")
        }
    }

    /// The code of what is no file of data at all.
    private var code: ErrorCode? {
        switch self {
        case .lfsPointer: .lfsPointer
        case .htmlPage: .htmlPage
        default: nil
        }
    }

    private var description: String {
        switch self {
        case .lfsPointer:
            "a Git LFS pointer instead of the file; fetch the file itself with `git lfs pull` in its repository"
        case .htmlPage:
            "a web page instead of the file, such as a login or an error page that was saved; download the file again"
        case .numpy: "a NumPy file"
        case .faissIndex: "a FAISS index"
        case .gzip: "gzip"
        case .otherCompression: "a compressed file (bzip2, xz or zstd)"
        case .zip: "a zip archive (.zip, .npz, .pt)"
        case .pickle: "a Python pickle"
        case .parquet: "a Parquet file"
        case .hdf5: "an HDF5 file"
        case .utf16: "text in UTF-16"
        }
    }

    private var remedy: String {
        switch self {
        case .gzip, .otherCompression: "unpack it first"
        case .utf16: "save it as UTF-8"
        case .zip: "unpack it first; vectors of an .npz are its .npy files"
        case .parquet:
            "save its columns as CSV or NDJSON; Tools/python/capstan-convert reads clip-retrieval's folders of them"
        default: "convert it with Tools/python/capstan-convert"
        }
    }

    /// A FAISS index begins with four letters, such as `IxFI`, and its dim in binary; a caption may begin with "Ivy".
    private static func isFaissIndex(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let letters = bytes.prefix(4)
        guard letters.count == 4, faissPrefixes.contains(where: letters.starts),
            letters.allSatisfy({ Unicode.Scalar($0).properties.isAlphabetic || (0x30...0x39).contains($0) })
        else { return false }
        return bytes.count == 4 || bytes.prefix(64).contains(0)
    }
}
