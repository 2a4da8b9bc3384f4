import Foundation
import VectorIndex

/// Rows and vectors to import: clustered vectors as NumPy, short texts as NDJSON.
struct DatasetFiles: Sendable {
    let name: String
    let rows: Int
    let dim: Int
    let rowsFile: URL
    let vectorsFile: URL

    /// Makes the vectors once and streams them.
    ///
    /// - Parameter isHalf: whether the file of vectors has 16-bit floats, else 32-bit ones.
    /// - Parameter each: given each part of the vectors, whole rows end to end, and the number of its first row.
    init(
        name: String, rows: Int, dim: Int, seed: UInt64, folder: URL, isHalf: Bool = false,
        each: (_ firstRow: Int, UnsafeMutableBufferPointer<Float>) throws -> Void = { _, _ in }
    ) throws {
        self.name = name
        self.rows = rows
        self.dim = dim
        rowsFile = folder.appending(path: "\(name).ndjson")
        vectorsFile = folder.appending(path: "\(name).npy")
        let rowsOut = try OutputFile(rowsFile)
        let vectorsOut = try OutputFile(vectorsFile)
        var vectors = ClusteredVectors(dim: dim, seed: seed)
        var texts = CaptionTexts(random: SplitMix64(seed: seed &+ 1))

        try vectorsOut.write(Self.numpyHeader(rows: rows, dim: dim, isHalf: isHalf))
        let chunk = 1024
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: chunk * dim)
        buffer.initialize(repeating: 0)
        defer { buffer.deallocate() }
        for start in stride(from: 0, to: rows, by: chunk) {
            let filled = UnsafeMutableBufferPointer(rebasing: buffer[..<(min(chunk, rows - start) * dim)])
            for row in start..<min(start + chunk, rows) {
                let from = (row - start) * dim
                let cluster = vectors.next(into: UnsafeMutableBufferPointer(rebasing: filled[from..<from + dim]))
                try rowsOut.write(
                    Array(
                        """
                        {"id":"\(Self.externalID(row))","text":"\(texts.next())","image_id":"image-\(cluster)-\(row / 5)"}

                        """.utf8))
            }
            if isHalf {
                try VectorMath.halves(Array(filled)).withUnsafeBytes { try vectorsOut.write($0) }
            } else {
                try vectorsOut.write(UnsafeRawBufferPointer(filled))
            }
            try each(start, filled)
        }
        try rowsOut.finish()
        try vectorsOut.finish()
    }

    /// The client's own id of a row, by which answers are compared.
    static func externalID(_ row: Int) -> String { "row-\(row)" }

    /// Version 1.0 of NumPy's format.
    private static func numpyHeader(rows: Int, dim: Int, isHalf: Bool) -> [UInt8] {
        var dictionary = "{'descr': '\(isHalf ? "<f2" : "<f4")', 'fortran_order': False, 'shape': (\(rows), \(dim)), }"
        let unpadded = 10 + dictionary.utf8.count + 1
        dictionary += String(repeating: " ", count: (64 - unpadded % 64) % 64) + "\n"
        let length = dictionary.utf8.count
        return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)] + Array(dictionary.utf8)
    }
}

/// Writes a file in order, through a buffer.
private final class OutputFile {
    private let file: UnsafeMutablePointer<FILE>

    init(_ url: URL) throws {
        guard let opened = fopen(url.path, "wb") else { throw BenchmarkError("\(url.path): cannot be written") }
        file = opened
    }

    deinit {
        fclose(file)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard fwrite(bytes.baseAddress, 1, bytes.count, file) == bytes.count else {
            throw BenchmarkError("the disk is full")
        }
    }

    func write(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try write($0) }
    }

    func finish() throws {
        guard fflush(file) == 0 else { throw BenchmarkError("the disk is full") }
    }
}

/// What stops the benchmark, for people.
struct BenchmarkError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
