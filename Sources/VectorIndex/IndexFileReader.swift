internal import CFaiss
package import DatastoreCore
import Foundation

/// Takes the vectors out of a FAISS index file and writes them as a `.npy` file.
///
/// FAISS trusts what it reads: a file made to do harm can have it write anywhere in memory (faiss#5400). So this belongs
/// into a process that may be lost and is held to `IndexFileLimits`: `capstand extract-vectors`.
package enum IndexFileReader {
    /// What an index held.
    package struct Summary: Codable, Sendable, Hashable {
        package let rows: Int
        /// Numbers of each row.
        package let dim: Int
        /// `inner_product`, `l2`, or `faiss_` and the number of another.
        package let metric: String
        /// FAISS's classes, the outermost first: `IndexIDMap(IndexFlatIP)`.
        package let kind: String
        /// Whether the rows are the vectors that were added, bit for bit; else the index kept, and gave, likenesses.
        package let isExact: Bool

        private enum CodingKeys: String, CodingKey {
            case rows, dim, metric, kind
            case isExact = "is_exact"
        }
    }

    /// An error on its way out of the process that reads.
    package struct Problem: Codable, Sendable, Hashable {
        package let code: ErrorCode
        package let detail: String

        package init(code: ErrorCode, detail: String) {
            self.code = code
            self.detail = detail
        }
    }

    /// Rows are read and written this many at a time, or fewer when they are long.
    private static let chunkRows = 4096
    private static let chunkBytes = 16 << 20

    /// Where the rows are written until they are complete.
    package static func partialPath(of npyPath: String) -> String { npyPath + ".partial" }

    /// Writes the vectors of an index to a `.npy` file (version 1.0, `<f4`, rows in C order).
    ///
    /// Row r is the vector of id r: ids must be 0 to n - 1, each once. The file is there whole or not at all.
    /// Blocks the caller.
    ///
    /// - Parameters:
    ///   - indexPath: an index that `faiss.write_index` wrote, of floats.
    ///   - npyPath: replaced when it is there.
    ///   - onceOpen: called with the file's size when nothing more has to be opened, before FAISS sees the file; a
    ///     process limits itself here.
    /// - Throws: `source_unreadable`, `lfs_pointer`, `html_page`, `index_file_invalid`, or `storage_failed` when the rows
    ///   cannot be written.
    package static func extractVectors(
        from indexPath: String, to npyPath: String, onceOpen: (_ fileSize: Int) throws -> Void = { _ in }
    ) throws -> Summary {
        let name = (indexPath as NSString).lastPathComponent
        let index = try open(index: indexPath, name: name)
        var isIndexOpen = true
        defer { if isIndexOpen { close(index.descriptor) } }
        let output = try NumpyRowWriter(path: npyPath, partialPath: partialPath(of: npyPath))
        try onceOpen(index.size)

        var rows: OpaquePointer?
        var info = cfaiss_rows_info()
        isIndexOpen = false
        try explained(name) { () throws(FaissError) in
            try FaissError.check { cfaiss_rows_open(index.descriptor, &rows, &info, $0) }
        }
        defer { cfaiss_rows_free(rows) }
        let summary = Summary(info)
        guard summary.rows > 0 else { throw invalid(name, "it has no vectors") }
        let (numbers, tooMany) = summary.rows.multipliedReportingOverflow(by: summary.dim)
        let most = IndexFileLimits(fileSize: index.size).outputBytes / MemoryLayout<Float>.size
        guard summary.dim <= KeySpec.maximumDim, !tooMany, numbers <= most else {
            throw invalid(
                name,
                "got \(summary.rows) vectors of \(summary.dim) numbers in \(index.size) bytes, expected at most "
                    + "\(KeySpec.maximumDim) numbers a vector, and 64 times the file's size in all")
        }

        try output.begin(rows: summary.rows, dim: summary.dim)
        let step = max(1, min(chunkRows, chunkBytes / (summary.dim * MemoryLayout<Float>.size)))
        var chunk = [Float](repeating: 0, count: min(step, summary.rows) * summary.dim)
        for first in stride(from: 0, to: summary.rows, by: step) {
            let count = min(step, summary.rows - first)
            try explained(name) { () throws(FaissError) in
                try FaissError.check { cfaiss_rows_read(rows, Int64(first), Int64(count), &chunk, $0) }
            }
            try chunk[..<(count * summary.dim)].withUnsafeBytes { try output.write($0) }
        }
        try output.finish()
        return summary
    }

    /// Opens the file and looks at its start: what is no index at all never comes to FAISS.
    private static func open(index path: String, name: String) throws -> (descriptor: Int32, size: Int) {
        func unreadable(_ why: String) -> DatastoreError {
            DatastoreError(.sourceUnreadable, "\(name): cannot be read: \(why)")
        }
        let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw unreadable(String(cString: strerror(errno))) }
        do {
            var status = stat()
            var start = [UInt8](repeating: 0, count: 512)
            guard fstat(descriptor, &status) == 0 else { throw unreadable(String(cString: strerror(errno))) }
            guard status.st_mode & S_IFMT == S_IFREG else { throw unreadable("it is not a regular file") }
            let count = pread(descriptor, &start, start.count, 0)
            guard count >= 0 else { throw unreadable(String(cString: strerror(errno))) }
            try sniff(start.prefix(count), name: name)
            return (descriptor, Int(status.st_size))
        } catch {
            close(descriptor)
            throw error
        }
    }

    private static func sniff(_ start: ArraySlice<UInt8>, name: String) throws {
        guard !start.isEmpty else { throw invalid(name, "the file is empty") }
        let text = String(decoding: start, as: UTF8.self)
        guard !text.hasPrefix("version https://git-lfs.") else {
            throw DatastoreError(
                .lfsPointer,
                "\(name): a Git LFS pointer, not the index that it stands for; fetch that with `git lfs pull`")
        }
        let markup = text.drop { $0.isWhitespace || $0 == "\u{FEFF}" }.prefix(64).lowercased()
        guard !["<!doctype", "<html", "<head", "<!--"].contains(where: markup.hasPrefix) else {
            throw DatastoreError(
                .htmlPage,
                "\(name): an HTML page, not an index; it was saved from a link that shows a page: download the file")
        }
        guard !text.hasPrefix("IB") else {
            throw invalid(name, "it is an index of binary vectors, expected one of floats")
        }
        guard text.hasPrefix("I") else {
            throw invalid(name, "it starts with \(text.prefix(8).debugDescription), as no index does")
        }
    }

    private static func explained(_ name: String, _ call: () throws(FaissError) -> Void) throws {
        do throws(FaissError) {
            try call()
        } catch {
            let why = error.plainMessage
            if error.kind == .outOfMemory {
                throw invalid(name, "it takes more memory than a file of its size may, or than there is")
            }
            if error.message.contains("OnDiskInvertedLists") {
                throw invalid(name, "its vectors are in another file (OnDiskInvertedLists), expected all in one")
            }
            if why.hasPrefix("read error") {
                throw invalid(name, "it ends before it is complete, or is damaged")
            }
            throw invalid(name, why)
        }
    }

    private static func invalid(_ name: String, _ why: String) -> DatastoreError {
        DatastoreError(
            .indexFileInvalid,
            "\(name): not an index that vectors can be taken from: \(why); write it again with faiss.write_index of "
                + "FAISS \(VectorIndex.faissVersion), or give the vectors as a .npy file")
    }
}

extension IndexFileReader.Summary {
    fileprivate init(_ info: cfaiss_rows_info) {
        let kind = withUnsafeBytes(of: info.kind) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let metric =
            switch info.metric {
            case 0: "inner_product"
            case 1: "l2"
            default: "faiss_\(info.metric)"
            }
        self.init(
            rows: Int(info.count), dim: Int(info.dim), metric: metric, kind: kind, isExact: info.is_exact != 0)
    }
}

extension FaissError {
    /// The message without the place in FAISS's sources that it starts with, nor the condition that did not hold.
    fileprivate var plainMessage: String {
        var text = message[...]
        for pattern in [#"^Error in .*? at \S+:\d+: "#, #"^Error: '.*?' failed: "#, "^Error: "] {
            if let prefix = text.range(of: pattern, options: .regularExpression) { text = text[prefix.upperBound...] }
        }
        return String(text)
    }
}
