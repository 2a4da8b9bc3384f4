/// Writes the postings of a file of sparse vectors; `PostingsFile` has the format.
package enum PostingsWriter {
    package static func write(_ vectors: SparseVectorFile, to path: String) throws {
        let file = try BufferedFile(path: path, headerSize: FileHeader.size)
        try file.finish(header: PostingsFile.header.bytes([vectors.terms, vectors.count]))
    }
}
